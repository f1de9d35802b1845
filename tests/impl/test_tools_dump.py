"""`writecache dump` and `restore`: every byte comes back, or there is no output."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from caches import FREE, cache, origin, write
from commands import command, program
from hypothesis import given
from hypothesis import strategies as st

from writecache_impl.tools.records import (
    Data,
    End,
    Free,
    Header,
    OneEntry,
    Record,
    RecordError,
    SuperblockAt,
    Unreadable,
    as_json,
    as_text,
    parse,
)
from writecache_spec.layout import Superblock

ENTRIES = [(0, 3), FREE, FREE, (8, 4), (8, 11), (5, 2**64 - 1), FREE]
IMAGES = {
    "cache": cache(ENTRIES),
    "tail": cache(ENTRIES, tail=b"\0" * 5000 + b"tail"),
    "offset": cache(ENTRIES, offset=4096, block_size=4096),
    "no cache": origin(9),
    "magic is wrong": b"\0" + cache(ENTRIES)[1:],
    "absurd": cache(ENTRIES)[:16] + b"\xff" * 8 + cache(ENTRIES)[24:],
    "truncated": cache(ENTRIES)[:-100],
    "empty": b"",
    "short": b"abc",
    "zeros": bytes(100_000),
}


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("form", ["text", "json"])
def test_a_dump_restored_is_the_image(tmp_path: Path, name: str, form: str) -> None:
    image = write(tmp_path / "a", IMAGES[name])
    dumped = command("dump", image, *(["--json"] if form == "json" else []))
    assert dumped.code == 0
    text = write(tmp_path / "dump", dumped.out.encode())
    assert command("restore", "-i", text, "-o", tmp_path / "copy").code == 0
    assert (tmp_path / "copy").read_bytes() == IMAGES[name]


def test_an_offset_makes_entries_readable(tmp_path: Path) -> None:
    image = write(tmp_path / "a", IMAGES["offset"])
    assert "entry 3 sector=8 seq_count=4 committed" in command("dump", image, "--offset", "4k").out
    text = write(tmp_path / "dump", command("dump", image, "--offset", "8s").out.encode())
    assert command("restore", text, "-o", tmp_path / "copy").code == 0
    assert (tmp_path / "copy").read_bytes() == IMAGES["offset"]


def test_through_a_pipe(tmp_path: Path) -> None:
    image = write(tmp_path / "a", IMAGES["tail"])
    done = program("dump", image, "-o", tmp_path / "dump")
    assert (done.code, done.out) == (0, "")
    with (tmp_path / "dump").open("rb") as file:
        saved = os.dup(0)
        os.dup2(file.fileno(), 0)
        try:
            assert program("restore", "-i", "-", "-o", tmp_path / "copy").code == 0
        finally:
            os.dup2(saved, 0)
            os.close(saved)
    assert (tmp_path / "copy").read_bytes() == IMAGES["tail"]


def test_holes_stay_holes(tmp_path: Path) -> None:
    path = write(tmp_path / "a", IMAGES["cache"])
    os.truncate(path, 2**36)
    done = program("dump", path, "-o", tmp_path / "dump")
    assert done.code == 0
    assert command("restore", tmp_path / "dump", "-o", tmp_path / "copy").code == 0
    copy = (tmp_path / "copy").stat()
    assert copy.st_size == 2**36
    assert copy.st_blocks * 512 < 2**20
    with (tmp_path / "copy").open("rb") as file:
        assert file.read(len(IMAGES["cache"])) == IMAGES["cache"]


def test_metadata_alone_goes_onto_other_data(tmp_path: Path) -> None:
    image = write(tmp_path / "a", IMAGES["cache"])
    out = command("dump", image, "--metadata-only").out
    assert "\ndata " not in out
    text = write(tmp_path / "dump", out.encode())
    assert command("restore", text, "-o", tmp_path / "b", "--data-from", image).code == 0
    assert (tmp_path / "b").read_bytes() == IMAGES["cache"]
    assert command("restore", text, "-o", tmp_path / "c").code == 0
    metadata = 64 + 16 * len(ENTRIES)
    assert (tmp_path / "c").read_bytes() == IMAGES["cache"][:metadata].ljust(
        image.stat().st_size, b"\0"
    )


def test_what_was_not_rescued_is_named_and_zero(tmp_path: Path) -> None:
    image = write(tmp_path / "a", IMAGES["cache"])
    mapped = write(tmp_path / "map", b"0 ? 1\n0 80 +\n80 16 -\n96 700 +\n796 4 -\n800 9999 +\n")
    dumped = command("dump", image, "--map", mapped)
    assert dumped.code == 1
    assert "unreadable 80 16\n" in dumped.out
    assert "unreadable 796 4\n" in dumped.out
    text = write(tmp_path / "dump", dumped.out.encode())
    assert command("restore", text, "-o", tmp_path / "b").code == 1
    expected = bytearray(IMAGES["cache"])
    expected[80:96], expected[796:800] = bytes(16), bytes(4)
    assert (tmp_path / "b").read_bytes() == expected


def damaged_dumps() -> list[bytes]:
    good = (
        "writecache-dump 1 size=4096\n"
        "superblock offset=0 magic=1 version=1 block_size=512 pad=0 n_blocks=2 seq_count=7 "
        "reserved=0,0,0,0\n"
    )
    bad_lines = [
        "entry 2 sector=1 seq_count=1", "entry x", "free 1 0", "free 0 2", "data 4000 100 eJw=",
        "data 0 1 !!!", "data 0 5 eNoDAAAAAAE=", "unreadable 1", "nonsense", "{", "[]", "{}",
        "\xff",
        '{"entry": true}', "[" * 5000, "superblock offset=0", "writecache-dump 1 size=4096",
        "entry 0 sector=99999999999999999999 seq_count=1", "free 0 99999999999999999999999",
        "data 99999999999999999999999 0 eNoDAAAAAAE=",
        '{"data":-5,"length":0,"zlib":"eNoDAAAAAAE="}',
    ]  # fmt: skip
    dumps = [(good + line + "\n").encode("latin-1") for line in bad_lines]
    dumps += [b"", b"\n", good.encode(), good.replace("-dump 1", "-dump 2").encode()]
    dumps += [(good + "end 2 abc\n").encode(), good.partition("\n")[2].encode()]
    return [*dumps, good.replace("=4096", "=18446744073709551615").encode()]


@pytest.mark.parametrize("number", range(len(damaged_dumps())))
def test_a_damaged_dump_makes_no_output(tmp_path: Path, number: int) -> None:
    text = write(tmp_path / "dump", damaged_dumps()[number])
    assert command("restore", text, "-o", tmp_path / "copy").is_refusal()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dump"]


def test_a_changed_dump_is_taken_when_asked_for(tmp_path: Path) -> None:
    image = write(tmp_path / "a", IMAGES["cache"])
    changed = command("dump", image).out.replace("entry 0 sector=0", "entry 0 sector=7")
    text = write(tmp_path / "dump", changed.encode())
    assert "changed" in command("restore", text, "-o", tmp_path / "copy").err
    assert command("restore", "--edited", text, "-o", tmp_path / "copy").code == 0
    assert "entry 0 sector=7 seq_count=3" in command("dump", tmp_path / "copy").out


def test_nothing_is_replaced_unless_asked_for(tmp_path: Path) -> None:
    image = write(tmp_path / "a", IMAGES["cache"])
    assert command("dump", image, "-o", tmp_path / "dump").code == 0
    assert command("dump", image, "-o", tmp_path / "dump").is_refusal()
    assert command("dump", image, "-o", image, "--force").is_refusal()
    kept = write(tmp_path / "kept", b"kept")
    assert command("restore", tmp_path / "dump", "-o", kept).is_refusal()
    assert kept.read_bytes() == b"kept"
    assert command("restore", tmp_path / "dump", "-o", kept, "--force").code == 0
    assert kept.read_bytes() == IMAGES["cache"]
    both = command("restore", tmp_path / "dump", "-o", image, "--data-from", image, "--force")
    assert both.is_refusal()
    for bad in ("/nosuch/x", tmp_path, "/dev/null"):
        assert command("restore", tmp_path / "dump", "-o", bad, "--force").is_refusal()
    assert image.read_bytes() == IMAGES["cache"]


def test_a_full_disk_leaves_no_output(tmp_path: Path) -> None:
    image = write(tmp_path / "a", IMAGES["tail"])
    assert command("dump", image, "-o", tmp_path / "dump").code == 0
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "from writecache_impl.cli import main\n"
        f"sys.argv = ['writecache', 'restore', {str(tmp_path / 'dump')!r}, '-o', "
        f"{str(tmp_path / 'copy')!r}]\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "dump"]


NUMBER = st.integers(0, 2**64 - 1)
SMALL = st.integers(0, 2**32 - 1)
RECORDS = st.one_of(
    st.builds(Header, st.integers(0, 2**63 - 1), st.booleans()),
    st.builds(
        SuperblockAt,
        NUMBER,
        st.builds(
            Superblock, SMALL, SMALL, SMALL, SMALL, NUMBER, NUMBER,
            st.tuples(NUMBER, NUMBER, NUMBER, NUMBER),
        ),
    ),
    st.tuples(NUMBER, NUMBER).map(lambda pair: Free(min(pair), max(pair))),
    st.builds(OneEntry, NUMBER, NUMBER, NUMBER, st.just("")),
    st.builds(Data, NUMBER, st.binary(max_size=100)),
    st.builds(Unreadable, NUMBER, NUMBER),
    st.builds(End, NUMBER, st.text("0123456789abcdef", min_size=1)),
)  # fmt: skip


@given(RECORDS)
def test_records_parse_back(record: Record) -> None:
    assert parse(as_text(record)) == record
    assert parse(as_json(record)) == record


def test_no_file_is_longer_than_an_offset_can_say() -> None:
    for text in (as_text, as_json):
        assert parse(text(Header(2**63 - 1, False))) == Header(2**63 - 1, False)
        with pytest.raises(RecordError, match="no file is that long"):
            parse(text(Header(2**63, False)))


@given(st.text())
def test_any_line_is_a_record_or_a_value_error(line: str) -> None:
    try:
        parse(line)
    except ValueError:
        return

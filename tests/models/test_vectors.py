"""Vector files: what is written reads back; what is malformed is refused, by file and line."""

import json
import lzma
import resource
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writecache_models.vectors import (
    OPERATIONS,
    Trace,
    VectorError,
    check_writable,
    op_problem,
    pack_image,
    read_traces,
    unpack_image,
    write_traces,
)

STEPS: tuple[tuple[list[Any], dict[str, Any]], ...] = (
    (["open"], {"status": "0 1 1 0", "table": "s ORIGIN CACHE 512 0"}),
    (["open", "s é"], {"errno": "EINVAL", "error": "Bad arguments", "status": None}),
    (["write", 8, 8, 2**64 - 1], {"cache": "00ff", "unknown": [1, {"a": None}]}),
    (["message", "flush", "x"], {}),
    (["sleep", 0], {"panic": True}),
)
TRACE = Trace(
    name="one",
    kernel="6.12.1",
    target="1.6.0",
    table="s ORIGIN CACHE 512 0",
    cache_sectors=8,
    origin_sectors=9,
    cache_image=b"\x01\x02",
    extra={"seed": 5},
    steps=STEPS,
)
HEADER: dict[str, Any] = TRACE.header()


def written(path: Path, *lines: object) -> Path:
    text = "".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.xz"])
def test_traces_read_back_as_they_were_written(tmp_path: Path, name: str) -> None:
    other = Trace(
        name="two",
        kernel=None,
        target=None,
        table="",
        cache_sectors=1,
        origin_sectors=2**23,
        steps=((["flush"], {}),),
    )
    write_traces(tmp_path / name, [TRACE, other])
    assert list(read_traces(tmp_path / name)) == [TRACE, other]
    assert TRACE.ops == [op for op, _ in STEPS]
    assert [path.name for path in tmp_path.iterdir()] == [name]


@given(st.binary(max_size=2000))
def test_images_read_back_but_for_trailing_zeros(content: bytes) -> None:
    assert unpack_image(pack_image(content)) == content.rstrip(b"\0")


def test_an_image_of_zeros_is_none() -> None:
    assert pack_image(bytes(99)) is None
    assert unpack_image(None) == b""


def test_blank_lines_and_unknown_keys_are_ignored(tmp_path: Path) -> None:
    path = written(tmp_path / "v", "", {**HEADER, "note": 1}, "  ", {"op": ["flush"], "note": 2})
    (trace,) = read_traces(path)
    assert trace.extra == {"seed": 5, "note": 1}
    assert trace.steps == ((["flush"], {"note": 2}),)


BAD_HEADERS: list[tuple[dict[str, Any], str]] = [
    ({"format": 2}, "format 2 is not 1"),
    ({"format": None}, "format None is not 1"),
    ({"trace": 5}, "trace is not a string"),
    ({"trace": None}, "trace is not a string"),
    ({"table": None}, "table is not a string"),
    ({"cache_sectors": 0}, "cache_sectors 0 is not a number"),
    ({"cache_sectors": True}, "cache_sectors True is not a number"),
    ({"cache_sectors": 8.0}, "cache_sectors 8.0 is not a number"),
    ({"origin_sectors": 2**23 + 1}, "origin_sectors 8388609 is not a number"),
    ({"origin_sectors": None}, "origin_sectors None is not a number"),
    ({"cache_image": "???"}, "cache_image: not a base64 of zlib"),
    ({"cache_image": "AAAA"}, "cache_image: not a base64 of zlib"),
    ({"cache_image": "é"}, "cache_image"),
    ({"cache_image": 5}, "cache_image"),
    ({"cache_image": [1]}, "cache_image"),
    ({"cache_image": (pack_image(b"x" * 99) or "")[:12]}, "cache_image: not a whole zlib stream"),
    ({"origin_image": pack_image(b"x" * 512 * 10)}, "origin_image: longer than the device"),
    ({"kernel": 5}, "kernel"),
    ({"target": ["1.6.0"]}, "target"),
    ({"kernel": "6.1²"}, "kernel '6.1²' is no kernel's release"),
    ({"origin_delay": -1}, "origin_delay is not a number from 0 to 10000"),
    ({"origin_delay": True}, "origin_delay is not a number from 0 to 10000"),
    ({"origin_delay": 10**50}, "origin_delay is not a number from 0 to 10000"),
    ({"kernel": "6.12.117\n"}, r"kernel '6.12.117\n' is no kernel's release"),
    ({"kernel": "next"}, "kernel 'next' is no kernel's release"),
    ({"kernel": "6.٣.0"}, "kernel '6.٣.0' is no kernel's release"),
    ({"kernel": "6." + "9" * 5000}, "kernel '6.999"),
    ({"trace": "x", "format": "9" * 9999}, "format '999"),
]


@pytest.mark.parametrize(("change", "message"), BAD_HEADERS, ids=lambda value: str(value)[:30])
def test_a_malformed_header_is_refused(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    path = written(tmp_path / "v", "", {**HEADER, **change})
    with pytest.raises(VectorError) as caught:
        list(read_traces(path))
    assert str(caught.value).startswith(f"{path}:2: {message}")
    assert len(str(caught.value)) < len(str(path)) + 150


BAD_STEPS: list[tuple[object, str]] = [
    ("{", "not JSON"),
    ('{"op": ', "not JSON"),
    ("[" * 200_000, "nested deeper than 64"),
    ('{"x": ' + "[" * 64 + "]" * 64 + "}", "nested deeper than 64"),
    ("9" * 5000, "a number of 5000 digits in it"),
    ('{"op": ["flush"], "seed": ' + "9" * 101 + "}", "a number of 101 digits in it"),
    ([1], "not an object"),
    ("null", "not an object"),
    ({}, "unknown operation None"),
    ({"op": []}, "unknown operation []"),
    ({"op": "flush"}, "unknown operation 'flush'"),
    ({"op": ["erase"]}, "unknown operation ['erase']"),
    ({"op": [["flush"]]}, "unknown operation [['flush']]"),
    ({"op": [{}]}, "unknown operation [{}]"),
    ({"op": [None]}, "unknown operation [None]"),
    ({"op": ["begin"]}, "unknown operation []"),
    ({"op": ["begin", "begin", "flush"]}, "unknown operation ['begin', 'begin', 'flush']"),
    ({"op": ["sleep", 600_001]}, "sleep: at most 600000 ms"),
    ({"op": ["begin", "sleep", 1]}, "unknown operation ['begin', 'sleep', 1]"),
    ({"op": ["begin", "write", 0, 8]}, "write takes 3 whole numbers"),
    ({"op": ["open", 1]}, "open takes at most one table"),
    ({"op": ["open", "a", "b"]}, "open takes at most one table"),
    ({"op": ["message"]}, "message takes words"),
    ({"op": ["message", 1]}, "message takes words"),
    ({"op": ["write", 1, 2]}, "write takes 3 whole numbers"),
    ({"op": ["write", 1, 2, "3"]}, "write takes 3 whole numbers"),
    ({"op": ["write", 1, 2.0, 3]}, "write takes 3 whole numbers"),
    ({"op": ["write", True, 2, 3]}, "write takes 3 whole numbers"),
    ({"op": ["flush", 1]}, "flush takes 0 whole numbers"),
    ({"op": ["read", -1, 2]}, "read: its numbers must not be negative, a count not zero"),
    ({"op": ["read", 1, 0]}, "read: its numbers must not be negative, a count not zero"),
    ({"op": ["sleep", -1]}, "sleep: its numbers must not be negative, a count not zero"),
    ({"op": ["write", 1, 1, 2**64]}, "write: a number is too large"),
    ({"op": ["flush"], "status": 5}, "status is not a string"),
    ({"op": ["flush"], "cache": ["x"]}, "cache is not a string"),
    ({"op": ["flush"], "status": "0 1 1 0 x"}, "status '0 1 1 0 x' holds no counters"),
    ({"op": ["flush"], "status": "0 1 1 0 ²"}, "status '0 1 1 0 ²' holds no counters"),
    ({"op": ["flush"], "status": "0 1 1 0 " + "9" * 21}, "status '0 1 1 0 999"),
    ({"op": ["x" * 9999]}, "unknown operation ['xxx"),
]


@pytest.mark.parametrize(("line", "message"), BAD_STEPS, ids=lambda value: str(value)[:30])
def test_a_malformed_step_is_refused(tmp_path: Path, line: object, message: str) -> None:
    path = written(tmp_path / "v", HEADER, {"op": ["flush"]}, line)
    with pytest.raises(VectorError) as caught:
        list(read_traces(path))
    assert str(caught.value).startswith(f"{path}:3: {message}")
    assert len(str(caught.value)) < len(str(path)) + 150


def test_a_step_before_any_header_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "v", {"op": ["flush"]})
    with pytest.raises(VectorError, match=r"v:1: a step before any header"):
        list(read_traces(path))


def test_a_file_without_a_trace_is_refused(tmp_path: Path) -> None:
    for text in ("", "\n \n"):
        path = tmp_path / "v"
        path.write_text(text)
        with pytest.raises(VectorError, match="no trace in it"):
            list(read_traces(path))


def test_what_is_nested_as_deep_as_allowed_is_read(tmp_path: Path) -> None:
    deep = '"x": ' + "[" * 63 + "]" * 63
    path = written(tmp_path / "v", json.dumps(HEADER)[:-1] + f", {deep}}}", {"op": ["flush"]})
    assert len(list(read_traces(path))) == 1


@pytest.mark.parametrize("kernel", ["6.1.0-rc1", "5.10.46+", "6.12", "7.2.7-mine²"])
def test_releases_of_built_kernels_are_accepted(tmp_path: Path, kernel: str) -> None:
    path = written(tmp_path / "v", {**HEADER, "kernel": kernel}, {"op": ["flush"]})
    assert [trace.kernel for trace in read_traces(path)] == [kernel]


def test_a_trace_without_steps_is_refused(tmp_path: Path) -> None:
    step = {"op": ["flush"]}
    for number, lines in ((1, [HEADER]), (1, [HEADER, HEADER, step]), (3, [HEADER, step, HEADER])):
        with pytest.raises(VectorError, match=rf"v:{number}: a trace without steps"):
            list(read_traces(written(tmp_path / "v", *lines)))


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("writecache_models.vectors.LONGEST_LINE", 1000)
    (tmp_path / "v.xz").write_bytes(lzma.compress(b"\n" + b" " * 10**6))
    with pytest.raises(VectorError, match="xz:2: longer than 1000 bytes"):
        list(read_traces(tmp_path / "v.xz"))


def test_xz_streams_follow_one_another_with_padding(tmp_path: Path) -> None:
    first, second = (lzma.compress(json.dumps(x).encode()) for x in (HEADER, {"op": ["flush"]}))
    newline = lzma.compress(b"\n")
    for padding in (b"", bytes(8)):
        path = tmp_path / "v.xz"
        path.write_bytes(first + padding + newline + second + padding)
        assert len(list(read_traces(path))) == 1


@pytest.mark.parametrize(
    "junk", [b"junk", b"\0", bytes(3), bytes(8) + b"x", b"\xfd7zX", b"\xfd7z_Z\0"]
)
def test_junk_behind_an_xz_stream_is_refused(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "v.xz"
    write_traces(path, [TRACE])
    path.write_bytes(path.read_bytes() + junk)
    with pytest.raises(VectorError, match="damaged xz file"):
        list(read_traces(path))


def test_an_xz_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "v.xz"
    write_traces(path, [TRACE])
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(VectorError, match="damaged xz file"):
            list(read_traces(path))


def test_text_that_is_not_utf8_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "v"
    path.write_bytes(json.dumps(HEADER).encode() + b"\n\xff\n")
    with pytest.raises(VectorError, match=r"v:2: not UTF-8"):
        list(read_traces(path))


def test_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    good = lzma.compress(json.dumps(HEADER).encode())
    files = {
        "cut.xz": good[:-8],
        "damaged.xz": good[:20] + b"\0\0\0" + good[23:],
        "plain.xz": b"{}",
        "latin.jsonl": b'{"trace": "\xe9"}\n',
        "latin.xz": lzma.compress(b"\xff\n"),
    }
    for name, content in files.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(VectorError, match=name):
            list(read_traces(path))
    for path in (tmp_path / "missing", tmp_path, tmp_path / "missing.xz"):
        with pytest.raises(VectorError, match=str(path)):
            list(read_traces(path))


def test_good_operations_have_no_problem() -> None:
    numbers = {0: [], 1: [5], 2: [0, 1], 3: [0, 1, 0]}
    others: dict[str, list[Any]] = {
        "message": ["flush"],
        "fail": ["cache", "flakey", 0, 1],
        "heal": ["origin"],
        "together": [["flush"], ["read", 0, 8]],
    }
    for name, types in OPERATIONS.items():
        words = others.get(name) or numbers[len(types)]
        assert op_problem([name, *words]) is None
    assert op_problem(["open", "table"]) is None


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    write_traces(path, [TRACE])
    before = path.read_bytes()

    def failing() -> Any:
        yield TRACE
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        write_traces(path, failing())
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_an_error_and_a_device_stays_one() -> None:
    with pytest.raises(VectorError, match="/dev/full: No space left on device"):
        write_traces(Path("/dev/full"), [TRACE])
    assert Path("/dev/full").is_char_device()
    write_traces(Path("/dev/null"), [TRACE])
    assert Path("/dev/null").is_char_device()


def test_a_file_that_outgrows_its_limit_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(VectorError, match="File too large"):
            write_traces(path, [TRACE])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_written_through(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("v.jsonl")
    write_traces(link, [TRACE])
    write_traces(link, [TRACE])
    assert link.is_symlink()
    assert list(read_traces(tmp_path / "v.jsonl")) == [TRACE]


def test_where_a_file_can_be_written_is_known_before(tmp_path: Path) -> None:
    for fine in (tmp_path / "v", Path("/dev/null")):
        check_writable(fine)
    assert list(tmp_path.iterdir()) == []
    for wrong in (tmp_path, tmp_path / "nowhere" / "v", Path("/proc/v")):
        with pytest.raises(VectorError, match=str(wrong)):
            check_writable(wrong)


def test_a_failed_replacement_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "inside").touch()
    with pytest.raises(VectorError, match="folder"):
        write_traces(tmp_path / "folder", [TRACE])
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
    with pytest.raises(VectorError, match="nowhere"):
        write_traces(tmp_path / "nowhere" / "v", [TRACE])


def test_what_is_begun_needs_a_slow_origin(tmp_path: Path) -> None:
    steps = ({"op": ["open"]}, {"op": ["begin", "write", 0, 8, 1]})
    with pytest.raises(VectorError, match=r"v:1: begin needs an origin_delay"):
        list(read_traces(written(tmp_path / "v", HEADER, *steps)))
    path = written(tmp_path / "v", {**HEADER, "origin_delay": 300}, *steps)
    assert [len(trace.steps) for trace in read_traces(path)] == [2]

"""How tools end: by a signal, on a full disk, without a standard output, with words for people."""

import errno
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from bringing_home import ENTRIES, Devices
from caches import cache, origin, write
from commands import command, heeds_signals, program_line, trace_of_reference

from writecache_impl.tools import repair
from writecache_impl.tools.image import Image
from writecache_models.vectors import write_traces


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    return Devices(tmp_path)


def by_shell(redirection: str, *arguments: object) -> "subprocess.CompletedProcess[str]":
    line = ["sh", "-c", f'exec "$@" {redirection}', "sh", *program_line(*arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("words", [["dump"], ["view", "--range", "0+4k", "--origin"]])
def test_a_closed_output_takes_nothing(devices: Devices, words: list[str]) -> None:
    paths = [devices.origin_path, devices.cache_path][len(words) == 1 :]
    done = by_shell(">&-", *words, *paths)
    assert (done.returncode, done.stderr) == (2, "writecache: the standard output is closed\n")


@pytest.mark.parametrize(
    "words",
    [["dump"], ["check"], ["writeback", "--origin"], ["view", "--range", "0+4k", "--origin"]],
)
def test_a_full_output_is_named(devices: Devices, words: list[str]) -> None:
    paths = [devices.origin_path, devices.cache_path]["--origin" not in words :]
    done = by_shell(">/dev/full", *words, *paths)
    said = "writecache: standard output: No space left on device\n"
    assert (done.returncode, done.stderr) == (2, said)


def limited(size: int, *arguments: object) -> "subprocess.CompletedProcess[str]":
    """A program that can make no file longer than `size` bytes."""
    code = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit({int(resource.RLIMIT_FSIZE)}, ({size}, {size}))\n"
        "from writecache_impl.cli import main; main()"
    )
    line = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["view", "-o", "made"], "made"),
        (["writeback", "--to", "made"], "made"),
        (["writeback", "--undo-log", "made"], "made"),
    ],
)
def test_a_file_on_a_full_disk_is_named(devices: Devices, words: list[str], name: str) -> None:
    made = devices.log.with_name(name)
    arguments = [made if word == "made" else word for word in words]
    both = devices.cache_path, "--origin", devices.origin_path
    done = limited(1000, *arguments, *both)
    assert (done.returncode, done.stderr) == (2, f"writecache: {made}: File too large\n")
    assert devices.now() == devices.before
    assert sorted(devices.log.parent.iterdir()) == [devices.origin_path, devices.cache_path]


def test_a_repair_that_fails_leaves_no_log(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(repair, "_drop", drop)
    made = devices.log.with_name("made")
    done = command("repair", devices.cache_path, "-o", made)
    assert done.is_refusal()
    assert f"{made}: No space left" in done.err
    assert sorted(made.parent.iterdir()) == [devices.origin_path, devices.cache_path]


def test_a_log_of_something_that_has_begun_stays(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Image.sync

    def sync(image: Image) -> None:
        if image.path == devices.origin_path:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(image)

    monkeypatch.setattr(Image, "sync", sync)
    done = command("writeback", devices.cache_path, "--origin", devices.origin_path)
    assert done.is_refusal()
    monkeypatch.undo()
    assert command("undo", devices.log).code == 0
    assert devices.now() == devices.before


SLOW = """
import os, sys, time
from writecache_impl.tools import view, restore, writeback, dump
from writecache_impl.tools.image import Image
real = Image.write
def write(image, offset, data):
    real(image, offset, data)
    if image.path.name.endswith(".part"):
        print("writing", file=sys.stderr, flush=True)
        time.sleep(60)
Image.write = write
from writecache_impl.cli import main; main()
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_half_made(devices: Devices, number: signal.Signals) -> None:
    line = [sys.executable, "-c", SLOW, "view", devices.cache_path]
    line += ["--origin", devices.origin_path, "-o", devices.log.with_name("made")]
    with subprocess.Popen(
        [str(word) for word in line],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_signals,
    ) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "writing\n"
        running.send_signal(number)
        said = running.stderr.read()
    assert running.returncode == 128 + number
    assert said.count("\n") == 1
    assert sorted(devices.log.parent.iterdir()) == [devices.origin_path, devices.cache_path]


def test_an_ignored_signal_stays_ignored() -> None:
    code = (
        "import os, signal\n"
        "from writecache_impl.cli.signals import raised\n"
        "signal.signal(1, signal.SIG_IGN)\n"
        "with raised(): os.kill(os.getpid(), 1)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


GARBAGE = [
    bytes(range(256)) * 8,
    b"free a b\n",
    b'{"free": [1, 2\n',
    b"x" * 300_000,
    b"\xff\xfe\n",
]
BEHIND_A_HEADER = [
    b"data 0 4 ====\n",
    b"data 0 4 AAAA\n",
    b"free a b\n",
    b"superblock a\n",
    b"superblock offset=0 magic=z version=1 block_size=1 pad=0 n_blocks=1 seq_count=1 reserved=0\n",
    b'{"data": 0, "length": 4, "zlib": "AAAA"}\n',
    b'{"free": [' + b"9" * 5000 + b", 2]}\n",
    b"\xe9\n",
]


@pytest.mark.parametrize(
    "dump", [*GARBAGE, *(b"writecache-dump 1 size=4096\n" + line for line in BEHIND_A_HEADER)]
)
def test_garbage_is_refused_in_plain_words(tmp_path: Path, dump: bytes) -> None:
    done = command("restore", write(tmp_path / "d", dump), "-o", tmp_path / "o")
    assert done.is_refusal()
    assert "no record of a dump" in done.err or "begins with one header" in done.err
    for word in ("codec", "literal", "unpack", "base64", "decompress", "Expecting", "digits"):
        assert word not in done.err


def test_a_name_is_printed_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    trace = trace_of_reference("a\nb\x1b[2J")
    write_traces(path, [trace])
    shown = command("vectors", "show", path)
    assert shown.out.startswith("a\\nb\\x1b[2J: ")
    assert "\x1b" not in shown.out
    text = path.read_text().replace('"free', '"')
    status = trace.steps[0][1]["status"]
    path.write_text(text.replace(status, "1 2 3 4", 1))
    done = command("vectors", "check", path)
    assert done.code == 1
    assert done.err.startswith("a\\nb\\x1b[2J: ")
    assert "\x1b" not in done.err


def test_a_format_is_a_number(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    write_traces(path, [trace_of_reference()])
    text = path.read_text()
    assert '"format": 1' in text
    path.write_text(text.replace('"format": 1', '"format": true'))
    done = command("vectors", "check", path)
    assert done.is_refusal()
    assert "format True is not 1" in done.err


@pytest.mark.parametrize("image", [b"", b"x" * 63, cache(ENTRIES)[:700]])
def test_the_help_says_how_a_cut_image_is_judged(tmp_path: Path, image: bytes) -> None:
    assert command("check", write(tmp_path / "c", image)).code == 1
    assert "also if IMAGE is empty or cut" in " ".join(command("check", "--help").out.split())


def test_a_request_of_no_whole_blocks_is_told_their_size(tmp_path: Path) -> None:
    from writecache_impl.engine import Engine

    image, slow = write(tmp_path / "c", bytes(1 << 18)), write(tmp_path / "o", origin(512))
    with Engine.open("s ORIGIN CACHE 4096 0", image, slow) as engine:
        for request in (lambda: engine.read(0, 512), lambda: engine.write(512, bytes(4096))):
            with pytest.raises(OSError, match="of 4096 bytes"):
                request()

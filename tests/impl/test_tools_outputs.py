"""What tools replace or take back: nothing that is in use, read from, or another's."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from bringing_home import ENTRIES, SECTORS, Devices
from caches import block_of, cache, origin, write
from commands import command, program_line

from writecache_impl.engine import Engine
from writecache_impl.tools.output import new_file


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    return Devices(tmp_path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Somebody holds a file, as user-mode Linux and others do."""
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def replacing(devices: Devices, used: Path) -> list[list[object]]:
    """Every command line that would replace a file."""
    both = devices.cache_path, "--origin", devices.origin_path
    dumped = used.with_name("dumped")
    assert command("dump", devices.cache_path, "-o", dumped, "--force").code == 0
    return [
        ["restore", dumped, "-o", used, "--force"],
        ["repair", devices.cache_path, "-o", used, "--force"],
        ["repair", devices.cache_path, "-o", used.with_name("r"), "--undo-log", used, "--force"],
        ["view", *both, "-o", used, "--force"],
        ["writeback", *both, "--to", used, "--force"],
        ["dump", devices.cache_path, "-o", used, "--force"],
    ]


def test_a_file_that_is_locked_is_not_replaced(devices: Devices, tmp_path: Path) -> None:
    used = write(tmp_path / "used", b"precious")
    for line in replacing(devices, used):
        with locked(used):
            done = command(*line)
            assert done.is_refusal(), line
            assert "in use" in done.err
        assert used.read_bytes() == b"precious"
        assert not list(tmp_path.glob(".*.part"))
    for line in replacing(devices, used):
        write(used, b"precious")
        assert command(*line).code == 0, line
        assert used.read_bytes() != b"precious"


def test_what_an_engine_runs_on_is_not_replaced(devices: Devices, tmp_path: Path) -> None:
    used, slow = write(tmp_path / "fast", bytes(1 << 16)), write(tmp_path / "slow", bytes(1 << 16))
    lines = replacing(devices, used), replacing(devices, slow)
    with Engine.open("s ORIGIN CACHE 512 0", used, slow) as engine:
        for line in (*lines[0], *lines[1]):
            assert command(*line).is_refusal(), line
        engine.write(0, b"x" * 512)
    assert len(slow.read_bytes()) == 1 << 16


def test_an_output_is_held_until_it_has_its_name(tmp_path: Path) -> None:
    path = write(tmp_path / "out", b"old")
    with new_file(path, force=True) as image:
        image.write(0, b"new")
        with path.open("rb") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    assert path.read_bytes() == b"new"


def copied(devices: Devices, where: Path) -> list[object]:
    """Copies of the devices, as arguments of `undo`."""
    paths = where / "cs", where / "cd"
    shutil.copy(devices.cache_path, paths[0])
    shutil.copy(devices.origin_path, paths[1])
    return ["--cache", paths[0], "--origin", paths[1]]


def test_an_undo_of_copies_is_none_of_the_devices(devices: Devices, tmp_path: Path) -> None:
    assert devices.writeback() == 0
    copies = copied(devices, tmp_path)
    assert command("undo", devices.log, *copies).code == 0
    assert devices.now() == devices.done
    done = command("undo", devices.log, "--json")
    assert (done.code, done.json["already"]) == (0, False)
    assert devices.now() == devices.before
    for arguments in ([], copies):
        done = command("undo", devices.log, *arguments, "--json")
        assert (done.code, done.json["already"]) == (0, True)


def test_what_is_neither_old_nor_new_is_refused(devices: Devices, tmp_path: Path) -> None:
    assert devices.writeback() == 0
    assert command("undo", devices.log, *copied(devices, tmp_path)).code == 0
    with devices.origin_path.open("r+b") as file:
        file.seek(16 * 512)
        file.write(b"since")
    now = devices.now()
    assert command("undo", devices.log).is_refusal()
    assert devices.now() == now
    assert command("undo", devices.log, "--force").code == 0
    assert devices.now() == devices.before


def test_a_log_without_its_end_takes_nothing_half_back(devices: Devices) -> None:
    assert devices.writeback() == 0
    log = devices.log.read_bytes()
    ends_of_header = log.index(b"\n", log.index(b"\n") + 1) + 1
    refused = 0
    for size in range(ends_of_header, len(log), 23):
        devices.log.write_bytes(log[:size])
        done = command("undo", devices.log)
        if done.code == 0:  # nothing but the mark that says that the change is complete was cut off
            assert devices.now() == devices.before
            assert "torn" in done.out
            devices.log.unlink()
            assert devices.writeback() == 0
            continue
        assert done.is_refusal()
        assert devices.now() == devices.done
        refused += 1
    assert refused > 20
    devices.log.write_bytes(log[: ends_of_header + 5])
    done = command("undo", devices.log, "--force", "--json")
    assert (done.code, done.json["whole"], done.json["torn"]) == (1, False, 5)
    assert command("undo", devices.log).is_refusal()
    devices.log.write_bytes(log[: ends_of_header + 5])
    done = command("undo", devices.log, "--force")
    assert done.code == 1
    assert "torn: 5 bytes" in done.out


def test_the_log_of_another_cache_is_refused(devices: Devices) -> None:
    assert devices.writeback("--no-metadata-update") == 0
    log = devices.log.read_bytes()
    other = cache([(24, 3), *ENTRIES[1:]])
    assert other[:64] == devices.image[:64]
    devices.cache_path.write_bytes(other)
    now = devices.now()
    done = command("writeback", devices.cache_path, "--origin", devices.origin_path)
    assert done.is_refusal()
    assert "the undo log of another change" in done.err
    assert devices.now() == now
    assert command("undo", devices.log).is_refusal()
    assert devices.log.read_bytes() == log


BEYOND_AND_MISALIGNED = [(0, 3), (40, 4), (64, 4), (9, 5)]


def test_a_view_says_what_it_leaves_out(tmp_path: Path) -> None:
    image = write(tmp_path / "c", cache(BEYOND_AND_MISALIGNED, block_size=1024))
    slow = write(tmp_path / "o", origin(SECTORS))
    arguments = ["view", image, "--origin", slow]
    done = command(*arguments, "-o", tmp_path / "v", "--json")
    assert done.code == 1
    assert done.json["left_out"] == {"beyond": 2, "misaligned": 1}
    assert "3 blocks of the cache left out" in done.err
    assert (tmp_path / "v").read_bytes() == block_of(0, 1024) + origin(SECTORS)[1024:]
    piece = subprocess.run(
        program_line(*arguments, "--range", "0+1k"), capture_output=True, check=False
    )
    assert (piece.returncode, piece.stdout) == (1, block_of(0, 1024))
    assert b"3 blocks of the cache left out" in piece.stderr


@pytest.mark.parametrize("link", [False, True])
def test_cache_and_origin_are_two_files(tmp_path: Path, link: bool) -> None:
    image = other = write(tmp_path / "c", cache(ENTRIES))
    if link:
        other = tmp_path / "link"
        os.link(image, other)
    for tool in (["view", "-o", tmp_path / "v"], ["view", "--range", "0+512"], ["check"]):
        assert command(*tool, image, "--origin", other).is_refusal(), tool


def test_a_dump_is_not_restored_over_itself(tmp_path: Path) -> None:
    image, dumped = write(tmp_path / "c", cache(ENTRIES)), tmp_path / "d"
    assert command("dump", image, "-o", dumped).code == 0
    text = dumped.read_bytes()
    assert command("restore", dumped, "-o", dumped, "--force").is_refusal()
    with dumped.open("rb") as stdin:
        line = program_line("restore", "-i", "-", "-o", dumped, "--force")
        assert subprocess.run(line, stdin=stdin, capture_output=True, check=False).returncode == 2
    assert dumped.read_bytes() == text


def test_where_no_file_can_be_made_the_output_is_named(devices: Devices, tmp_path: Path) -> None:
    """Nobody, not even root, makes files there; by a link it is named as it was asked for."""
    (tmp_path / "link").symlink_to("/proc")
    for used in (Path("/proc/made"), tmp_path / "link" / "made"):
        both = devices.cache_path, "--origin", devices.origin_path
        for line in (
            ["repair", devices.cache_path, "-o", used],
            ["view", *both, "-o", used],
            ["writeback", *both, "--to", used],
            ["writeback", *both, "--undo-log", used],
            ["dump", devices.cache_path, "-o", used],
        ):
            done = command(*line)
            assert done.is_refusal(), line
            assert done.err.startswith(f"writecache: {used}: "), line
    assert devices.now() == devices.before


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_an_output_is_no_wider_than_its_source(devices: Devices, tmp_path: Path) -> None:
    devices.cache_path.chmod(0o600)
    devices.origin_path.chmod(0o640)
    before = os.umask(0o022)
    try:
        for number, line in enumerate(replacing(devices, tmp_path / "used")):
            (tmp_path / "used").unlink(missing_ok=True)
            (tmp_path / "r").unlink(missing_ok=True)
            assert command(*line).code == 0
            assert mode(tmp_path / "used") == 0o600, (number, line)
        assert mode(tmp_path / "used.undo") == 0o600
        assert mode(tmp_path / "dumped") == 0o600
        assert devices.writeback() == 0
        assert mode(devices.log) == 0o600
    finally:
        os.umask(before)


def test_a_file_that_is_replaced_keeps_its_mode(devices: Devices, tmp_path: Path) -> None:
    used = tmp_path / "used"
    for line in replacing(devices, used):
        write(used, b"old").chmod(0o604)
        assert command(*line).code == 0
        assert mode(used) == 0o604

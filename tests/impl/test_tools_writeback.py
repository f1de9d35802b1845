"""`writecache writeback` and `undo`: nothing is lost at any moment, and everything comes back."""

import os
import random
import resource
import signal
import subprocess
import time
from pathlib import Path

import pytest
from bringing_home import ENTRIES, SECTORS, Devices, freed, home
from caches import FREE, Pair, block_of, cache, origin, write
from commands import command, program, program_line

from writecache_spec.units import U64_MAX


@pytest.fixture
def devices(tmp_path: Path) -> Devices:
    return Devices(tmp_path)


def test_everything_comes_home_and_can_be_taken_back(devices: Devices) -> None:
    assert devices.writeback() == 0
    assert devices.now() == devices.done
    assert devices.home != devices.slow
    assert command("check", devices.cache_path, "-q").code == 0
    assert command("undo", devices.log).code == 0
    assert devices.now() == devices.before
    assert "before" in command("undo", devices.log).out
    assert devices.writeback() == 0
    assert devices.now() == devices.done


def test_a_hint_says_what_an_undo_would_take_back(devices: Devices) -> None:
    """A log that was there before the run takes back more than the run did."""
    paths = devices.cache_path, "--origin", devices.origin_path
    assert command("writeback", *paths).out.endswith(
        f"take it back: writecache undo {devices.log}\n"
    )
    again = command("writeback", *paths).out
    assert again.endswith(f"nothing to take back: {devices.log} is of an earlier run\n")
    devices.cache_path.write_bytes(devices.image)
    more = command("writeback", *paths).out
    assert f"take back this and what was done before: writecache undo {devices.log}" in more


def test_a_dry_run_changes_nothing(devices: Devices) -> None:
    done = command(
        "writeback", devices.cache_path, "--origin", devices.origin_path, "--dry-run", "--json"
    )
    assert (done.code, done.json["blocks"], done.json["extents"]) == (0, 5, 3)
    assert devices.now() == devices.before
    assert not devices.log.exists()


def test_a_dry_run_warns_of_what_may_not_be_written(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for somebody who is not root: who is one may write everything."""

    def may(path: Path, wanted: int) -> bool:
        return Path(path).stat().st_mode >> 6 & wanted == wanted

    monkeypatch.setattr(os, "access", may)

    def warned(*more: object) -> list[str]:
        line = ("writeback", devices.cache_path, "--origin", devices.origin_path, "--dry-run")
        done = command(*line, *more)
        assert done.code == 0
        words = ": it may not be written: without --dry-run this is refused"
        lines = done.err.splitlines()
        assert all(line.endswith(words) for line in lines)
        return [Path(line[len("writecache: ") : -len(words)]).name for line in lines]

    folder = devices.origin_path.parent
    assert warned() == []
    devices.origin_path.chmod(0o400)
    assert warned() == warned("--json") == ["disk"]
    assert warned("-q") == warned("--to", folder / "copy") == []
    devices.cache_path.chmod(0o400)
    assert warned() == ["disk", "ssd"]
    assert warned("--no-metadata-update") == ["disk"]
    folder.chmod(0o500)
    try:
        assert warned() == ["disk", "ssd", folder.name]
        assert warned("--no-undo-log") == ["disk", "ssd"]
        assert warned("--to", folder / "copy") == [folder.name]
    finally:
        folder.chmod(0o700)
    assert devices.now() == devices.before


def test_a_copy_leaves_both_devices(devices: Devices, tmp_path: Path) -> None:
    for path in (devices.cache_path, devices.origin_path):
        path.chmod(0o400)
    assert devices.writeback("--to", tmp_path / "copy") == 0
    assert devices.now() == devices.before
    assert (tmp_path / "copy").read_bytes() == devices.home
    assert devices.writeback("--to", tmp_path / "copy") == 2
    assert devices.writeback("--to", devices.cache_path, "--force") == 2
    assert devices.writeback("--to", devices.origin_path, "--force") == 2
    assert devices.now() == devices.before


def test_the_cache_may_be_left_as_it_is(devices: Devices) -> None:
    assert devices.writeback("--no-metadata-update") == 0
    assert devices.now() == (devices.image, devices.home)
    assert devices.writeback() == 0
    assert devices.now() == devices.done
    assert command("undo", devices.log).code == 0
    assert devices.now() == devices.before


def test_without_an_undo_log_the_result_is_the_same(devices: Devices) -> None:
    assert devices.writeback("--no-undo-log") == 0
    assert devices.now() == devices.done
    assert not devices.log.exists()


@pytest.mark.parametrize("seed", range(20))
def test_random_caches_come_home(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    size = rng.choice((512, 1024, 2048))
    step = size // 512
    drawn: dict[Pair, None] = {}
    for _ in range(rng.randrange(1, 40)):
        drawn[rng.randrange(SECTORS // step) * step, rng.randrange(14)] = None
    entries = [pair if rng.random() < 0.9 else FREE for pair in drawn]
    devices = Devices(tmp_path, entries, size)
    assert devices.writeback() == 0
    assert devices.now() == devices.done
    if devices.now() != devices.before:
        assert command("undo", devices.log).code == 0
    assert devices.now() == devices.before


def test_what_cannot_be_read_is_named_and_stays_in_the_cache(devices: Devices) -> None:
    at = 512 + 5 * 512
    size = len(devices.image)
    text = f"0 ? 1\n0 {at} +\n{at} 7 -\n{at + 7} {size} +\n"
    mapped = write(devices.cache_path.parent / "map", text.encode())
    failures = devices.cache_path.parent / "failures"
    done = command(
        *("writeback", devices.cache_path, "--origin", devices.origin_path, "--json"),
        *("--map", mapped, "--failures", failures),
    )
    assert done.code == 1
    assert done.json["failed"] == [{"sector": 16, "block": 5, "reason": "its data cannot be read"}]
    assert failures.read_text().splitlines()[1] == "16 5 its data cannot be read"
    expected = bytearray(devices.home)
    expected[16 * 512 : 17 * 512] = devices.slow[16 * 512 : 17 * 512]
    assert devices.now() == (devices.image, bytes(expected))
    assert command("undo", devices.log).code == 0
    assert devices.now() == devices.before


def test_a_bad_sector_of_the_ssd_costs_its_block_alone(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.preadv
    bad = range(512 + 6 * 512, 512 + 7 * 512)

    def preadv(fd: int, views: list[memoryview], offset: int) -> int:
        end = offset + sum(map(len, views))
        if os.readlink(f"/proc/self/fd/{fd}").endswith("/ssd") and offset < bad.stop < end + 512:
            raise OSError(5, "Input/output error")
        return real(fd, views, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    done = command("writeback", devices.cache_path, "--origin", devices.origin_path, "--json")
    assert done.code == 1
    assert [one["block"] for one in done.json["failed"]] == [6]
    assert not done.json["clean"]


def test_a_bad_sector_of_the_origin_costs_its_block_alone(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwrite

    def pwrite(fd: int, data: bytes, offset: int) -> int:
        name = os.readlink(f"/proc/self/fd/{fd}")
        if name.endswith("/disk") and offset <= 17 * 512 < offset + len(data):
            raise OSError(5, "Input/output error")
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", pwrite)
    done = command("writeback", devices.cache_path, "--origin", devices.origin_path, "--json")
    assert done.code == 1
    assert [one["sector"] for one in done.json["failed"]] == [17]
    expected = bytearray(devices.home)
    expected[17 * 512 : 18 * 512] = devices.slow[17 * 512 : 18 * 512]
    assert devices.now() == (devices.image, bytes(expected))


def test_twins_are_left_unless_the_later_is_wanted(tmp_path: Path) -> None:
    devices = Devices(tmp_path, [(0, 3), (0, 3), (8, 3)])
    assert devices.writeback() == 1
    assert devices.now()[0] == devices.image
    assert devices.now()[1][:512] == devices.slow[:512]
    assert devices.writeback("--take-later") == 0
    assert devices.now() == devices.done
    assert devices.now()[1][:512] == block_of(1)


def test_the_wrong_origin_is_refused(tmp_path: Path) -> None:
    devices = Devices(tmp_path, [(0, 3), (SECTORS, 3)])
    done = command("writeback", devices.cache_path, "--origin", devices.origin_path)
    assert done.is_refusal(1)
    assert devices.now() == devices.before
    assert devices.writeback("--drop-beyond") == 0
    assert devices.now() == (freed(devices.image), devices.home[: SECTORS * 512])


def test_a_log_of_something_else_is_not_touched(devices: Devices) -> None:
    write(devices.log, b"my notes")
    assert devices.writeback() == 2
    assert devices.log.read_bytes() == b"my notes"
    assert devices.now() == devices.before
    for bad in (devices.cache_path, devices.origin_path, "/nosuch/x", "/dev/null"):
        assert devices.writeback("--undo-log", bad) == 2
    assert devices.now() == devices.before


def test_undo_refuses_what_was_written_since(devices: Devices) -> None:
    assert devices.writeback() == 0
    with devices.origin_path.open("r+b") as file:
        file.seek(16 * 512)
        file.write(b"since")
    assert command("undo", devices.log).is_refusal()
    assert command("undo", devices.log, "--force").code == 0
    assert devices.now() == devices.before


@pytest.mark.parametrize("which", ["cache_path", "origin_path"])
def test_undo_refuses_other_devices(devices: Devices, which: str) -> None:
    assert devices.writeback() == 0
    path: Path = getattr(devices, which)
    path.write_bytes(path.read_bytes()[:-512])
    assert command("undo", devices.log, "--force").is_refusal()


def test_undo_finds_devices_that_have_moved(devices: Devices) -> None:
    assert devices.writeback() == 0
    moved = devices.cache_path.with_name("moved")
    devices.cache_path.rename(moved)
    assert command("undo", devices.log).is_refusal()
    assert command("undo", devices.log, "--cache", moved).code == 0
    assert moved.read_bytes() == devices.image


def test_a_damaged_log_takes_nothing_half_back(devices: Devices) -> None:
    assert devices.writeback() == 0
    log, taken = devices.log.read_bytes(), 0
    for at in range(0, len(log), 29):
        devices.log.write_bytes(log[:at] + bytes([log[at] ^ 1]) + log[at + 1 :])
        if command("undo", devices.log, "-q").code == 0:
            assert devices.now() == devices.before
            taken += 1
            devices.log.write_bytes(log)
            assert devices.writeback("--undo-log", devices.log.with_name(str(at))) == 0
        assert devices.now() == devices.done
    assert taken <= 3  # the record that says that the change is complete


def test_a_full_disk_ends_it_in_a_line(tmp_path: Path) -> None:
    devices = Devices(tmp_path)
    limit = f"{resource.RLIMIT_FSIZE}, ({len(devices.image)}, {len(devices.image)})"
    code = (
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit({limit})\n"
        "from writecache_impl.cli import main\n"
        f"sys.argv = ['writecache', 'writeback', {str(devices.cache_path)!r}, '--origin', "
        f"{str(devices.origin_path)!r}]\n"
        "main()"
    )
    line = [program_line()[0], "-c", code]
    done = subprocess.run(line, capture_output=True, check=False)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert home(*devices.now()) == devices.home
    assert devices.writeback() == 0
    assert devices.now() == devices.done


def test_a_clean_cache_needs_nothing(tmp_path: Path) -> None:
    devices = Devices(tmp_path, [FREE, (7, U64_MAX)])
    assert devices.writeback() == 0
    assert devices.now() == devices.before
    assert not devices.log.exists()


@pytest.mark.parametrize(
    "image", [b"", bytes(4096), b"\1" * 4096, cache(ENTRIES)[:-1]], ids=["empty", "0", "1", "cut"]
)
def test_what_is_no_cache_is_refused(tmp_path: Path, image: bytes) -> None:
    path, slow = write(tmp_path / "c", image), write(tmp_path / "o", origin(SECTORS))
    assert command("writeback", path, "--origin", slow).is_refusal()
    assert slow.read_bytes() == origin(SECTORS)
    assert command("undo", path).is_refusal()


def test_plain_python_does_the_same(tmp_path: Path) -> None:
    devices = Devices(tmp_path)
    done = program(
        *("writeback", devices.cache_path, "--origin", devices.origin_path),
        environment={"WRITECACHE_PLAIN": "1"},
    )
    assert done.code == 0
    assert devices.now() == devices.done


def test_an_origin_in_use_is_refused(devices: Devices) -> None:
    with subprocess.Popen(
        ["flock", str(devices.origin_path), "sleep", "60"], start_new_session=True
    ) as holder:
        time.sleep(0.2)
        assert devices.writeback() == 2
        os.killpg(holder.pid, signal.SIGKILL)
    assert devices.now() == devices.before


def test_what_is_home_already_is_written_again(devices: Devices) -> None:
    """After a failed sync the kernel's memory may show what the disk does not have."""
    devices.origin_path.write_bytes(devices.home)
    done = command("writeback", devices.cache_path, "--origin", devices.origin_path, "--json")
    assert done.json["bytes_written"] == done.json["bytes_same"] == 5 * 512


def test_a_sync_that_fails_leaves_the_cache_dirty(
    devices: Devices, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.fsync

    def fsync(fd: int) -> None:
        if os.readlink(f"/proc/self/fd/{fd}").endswith("/disk"):
            raise OSError(5, "Input/output error")
        real(fd)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fsync)
        assert devices.writeback() == 2
    assert devices.now()[0] == devices.image
    assert devices.writeback() == 0
    assert devices.now() == devices.done

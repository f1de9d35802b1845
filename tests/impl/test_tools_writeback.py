"""`writecache writeback` and `undo`: nothing is lost at any moment, and everything comes back."""

import os
import random
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from caches import FREE, Pair, block_of, cache, origin, write
from commands import command, program, program_line
from powerless import power_fails

from writecache_impl.tools import cleaning, moving
from writecache_impl.tools.image import Image
from writecache_impl.tools.picture import Picture
from writecache_spec.codec import decode_entries, decode_superblock
from writecache_spec.units import U64_MAX

ENTRIES = [(0, 3), (8, 4), (0, 5), FREE, (3, 10), (16, 9), (17, 2), (18, 2), (8, 1)]
SECTORS = 32


def home(image: bytes, slow: bytes) -> bytes:
    """What a device with this cache reads: the entries one by one, as a reader of the C has it."""
    superblock = decode_superblock(image)
    size, n_blocks = superblock.block_size, superblock.n_blocks
    entries = decode_entries(image[64 : 64 + 16 * n_blocks])
    start = -(-(64 + 16 * n_blocks) // size) * size
    result, best = bytearray(slow), {}
    for index, entry in enumerate(entries):
        sector, count = entry
        if count < superblock.seq_count and count >= best.get(sector, 0):
            best[sector] = count
            data = image[start + index * size : start + (index + 1) * size]
            result[sector * 512 : sector * 512 + size] = data
    return bytes(result)


def freed(image: bytes) -> bytes:
    """The cache as it is when every entry is free."""
    n_blocks = decode_superblock(image).n_blocks
    result = bytearray(image)
    for index in range(n_blocks):
        result[64 + 16 * index + 8 : 64 + 16 * index + 16] = b"\xff" * 8
    return bytes(result)


class Devices:
    """Images in a directory, and what they held."""

    def __init__(self, where: Path, entries: list[Pair] = ENTRIES, block_size: int = 512) -> None:
        self.image, self.slow = cache(entries, block_size=block_size), origin(SECTORS)
        self.cache_path = write(where / "ssd", self.image)
        self.origin_path = write(where / "disk", self.slow)
        self.log = where / "disk.undo"
        self.home = home(self.image, self.slow)

    def writeback(self, *arguments: object) -> int:
        return command(
            "writeback", self.cache_path, "--origin", self.origin_path, "-q", *arguments
        ).code

    def now(self) -> tuple[bytes, bytes]:
        return self.cache_path.read_bytes(), self.origin_path.read_bytes()

    @property
    def done(self) -> tuple[bytes, bytes]:
        return freed(self.image), self.home

    @property
    def before(self) -> tuple[bytes, bytes]:
        return self.image, self.slow


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


def test_a_dry_run_changes_nothing(devices: Devices) -> None:
    done = command(
        "writeback", devices.cache_path, "--origin", devices.origin_path, "--dry-run", "--json"
    )
    assert (done.code, done.json["blocks"], done.json["extents"]) == (0, 5, 3)
    assert devices.now() == devices.before
    assert not devices.log.exists()


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


def crashes_everywhere(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    begin: Callable[[Devices], object],
    action: Callable[[Devices], object],
    check: Callable[[Devices], None],
) -> int:
    """Let the power fail at every write and sync of an action, and check what is left."""
    fail_at = 0
    while True:
        fail_at += 1
        where = tmp_path / str(fail_at)
        where.mkdir()
        devices = Devices(where)
        begin(devices)
        with power_fails(monkeypatch, random.Random(fail_at), fail_at) as power:
            action(devices)
        if power.n_calls < fail_at:
            return fail_at
        check(devices)


def nothing_is_lost(devices: Devices) -> None:
    """A device with this cache reads as before."""
    assert home(*devices.now()) == devices.home


def then_run_again(devices: Devices) -> None:
    nothing_is_lost(devices)
    assert devices.writeback() == 0
    assert devices.now() == devices.done
    assert command("undo", devices.log).code == 0
    assert devices.now() == devices.before


def then_undo(devices: Devices) -> None:
    nothing_is_lost(devices)
    if devices.log.exists():
        assert command("undo", devices.log).code == 0
    assert devices.now() == devices.before


@pytest.mark.parametrize("check", [then_run_again, then_undo])
def test_a_crash_of_writeback_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Callable[[Devices], None]
) -> None:
    monkeypatch.setattr(moving, "BATCH", 1024)
    assert crashes_everywhere(
        tmp_path, monkeypatch, lambda _: None, lambda devices: devices.writeback(), check
    ) > 15  # fmt: skip


@pytest.mark.parametrize("check", [then_run_again, then_undo])
def test_a_crash_of_undo_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, check: Callable[[Devices], None]
) -> None:
    def undo_first(devices: Devices) -> None:
        nothing_is_lost(devices)
        assert command("undo", devices.log).code == 0
        assert devices.now() == devices.before
        check(devices)

    assert crashes_everywhere(
        tmp_path,
        monkeypatch,
        lambda devices: devices.writeback(),
        lambda devices: command("undo", devices.log),
        undo_first,
    ) > 8  # fmt: skip


def winners_first(picture: Picture) -> list[list[int]]:
    survey = picture.survey
    return [sorted(survey.live_blocks), sorted([*survey.uncommitted, *survey.superseded])]


def test_freeing_winners_first_would_lose(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cleaning, "steps", winners_first)
    with pytest.raises(AssertionError):
        test_a_crash_of_writeback_loses_nothing(tmp_path, monkeypatch, nothing_is_lost)


def test_a_log_that_is_not_synced_would_not_take_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Image.sync

    def sync(image: Image) -> None:
        if "undo" not in image.path.name:
            real(image)

    monkeypatch.setattr(Image, "sync", sync)
    with pytest.raises(AssertionError):
        test_a_crash_of_writeback_loses_nothing(tmp_path, monkeypatch, then_undo)


def test_killed_at_random_moments_it_comes_to_an_end(tmp_path: Path) -> None:
    rng = random.Random(7)
    n_blocks = 4096
    sectors = rng.sample(range(2 * n_blocks), n_blocks)
    image = cache([(8 * sector, 3) for sector in sectors], block_size=4096)
    slow = bytes(16 * n_blocks * 512)
    before = write(tmp_path / "ssd", image), write(tmp_path / "disk", slow)
    line = program_line("writeback", before[0], "--origin", before[1], "-q")
    killed, seconds = 0, 0.25
    while True:
        process = subprocess.Popen(line)
        time.sleep(seconds)
        process.send_signal(rng.choice((signal.SIGKILL, signal.SIGINT)))
        code = process.wait()
        if code == 0:
            break
        assert code in (-signal.SIGKILL, -signal.SIGINT, 130)
        killed += 1
        seconds += rng.random() / 10
        assert home(before[0].read_bytes(), before[1].read_bytes()) == home(image, slow)
    assert killed
    assert before[0].read_bytes() == freed(image)
    assert before[1].read_bytes() == home(image, slow)
    assert command("undo", tmp_path / "disk.undo").code == 0
    assert (before[0].read_bytes(), before[1].read_bytes()) == (image, slow)


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

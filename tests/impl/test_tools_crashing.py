"""`writecache writeback` and `undo` interrupted: without power at any write or sync, or killed."""

import random
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from bringing_home import Devices, freed, home
from caches import cache, write
from commands import command, program_line
from powerless import power_fails

from writecache_impl.tools import cleaning, moving
from writecache_impl.tools.image import Image
from writecache_impl.tools.picture import Picture


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
    n_blocks = 20480  # three batches
    sectors = rng.sample(range(2 * n_blocks), n_blocks)
    image = cache([(8 * sector, 3) for sector in sectors], block_size=4096)
    slow = bytes(16 * n_blocks * 512)
    before = write(tmp_path / "ssd", image), write(tmp_path / "disk", slow)
    line = program_line("writeback", before[0], "--origin", before[1], "-q")
    log, half_way = tmp_path / "disk.undo", 0
    for number in range(40):  # four times, and until one comes between
        if number >= 4 and half_way:
            break
        size = log.stat().st_size if log.exists() else 0
        process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
        while process.poll() is None and not (log.exists() and log.stat().st_size > size):
            time.sleep(0.002)
        time.sleep(rng.random() / 20)
        process.send_signal(signal.SIGINT if number == 1 else signal.SIGKILL)
        assert process.wait() in (0, 130, -signal.SIGINT, -signal.SIGKILL)
        now = before[0].read_bytes(), before[1].read_bytes()
        assert home(*now) == home(image, slow)
        if now == (freed(image), home(image, slow)):  # it was faster
            write(before[0], image), write(before[1], slow)
            log.unlink()
        else:
            half_way += now != (image, slow)
    assert half_way
    assert subprocess.run(line, check=False).returncode == 0
    assert before[0].read_bytes() == freed(image)
    assert before[1].read_bytes() == home(image, slow)
    assert command("undo", tmp_path / "disk.undo").code == 0
    assert (before[0].read_bytes(), before[1].read_bytes()) == (image, slow)

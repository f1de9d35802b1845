"""Crashes by a log: what they may leave, and what of it breaks the contract."""

from random import Random

import pytest
from machines import line

from writecache_models.content import Content
from writecache_models.contract import Contract
from writecache_models.crashing import Setting
from writecache_models.devices import Devices
from writecache_models.log_lines import FLUSH, FUA
from writecache_models.logged_crashes import FAILED, activate, finding_in, judge_crashes
from writecache_models.logged_moments import (
    Happened,
    Image,
    Logged,
    Returned,
    Written,
    image_of,
    moments,
)
from writecache_models.machine import Machine
from writecache_models.observations import perform
from writecache_models.trace import Op
from writecache_spec.effects import WriteMetadata
from writecache_spec.events import Device
from writecache_spec.profile import PROFILES
from writecache_spec.units import Sector, bytes_of

TABLE = line("high_watermark 60 low_watermark 60")
SETTING = Setting(PROFILES["1.6.0"], TABLE, cache_sectors=12, origin_sectors=24)
OPS: tuple[Op, ...] = (
    ["open"],
    ["write", 0, 3, 1],
    ["flush"],
    ["write", 1, 2, 2],
    ["write_dsync", 5, 1, 3],
    ["write", 8, 4, 4],
    ["message", "flush"],
    ["discard", 8, 2],
    ["flush"],
)


class Recorder(Devices):
    """Devices that keep one log of both, everything complete at once."""

    __slots__ = ("log",)

    def __init__(self, cache: Content, origin: Content) -> None:
        super().__init__(cache, origin)
        self.log: list[Written] = []

    def write(self, device: Device, sector: int, content: bytes, fua: bool = False) -> None:
        super().write(device, sector, content)
        self.log.append(Written(device, FUA if fua else 0, sector, content))

    def flush(self, device: Device) -> None:
        self.log.append(Written(device, FLUSH))

    def write_metadata(self, start_sector: Sector, effect: WriteMetadata) -> None:
        super().write_metadata(start_sector, effect)
        first = start_sector + effect.first_sector
        content = self.cache.read(bytes_of(first), bytes_of(effect.n_sectors))
        self.log.append(Written(Device.CACHE, FUA if effect.fua else 0, first, content))


def happened(ops: tuple[Op, ...] = OPS) -> list[Happened]:
    """What a kernel would have done, if it did what the reference does."""
    devices = Recorder(Content(12 * 512), Content(24 * 512))
    machine = Machine(SETTING.profile, devices)
    done = []
    for op in ops:
        devices.log = []
        failed = perform(machine, op, TABLE).errno is not None
        done.append(Happened(op, failed, tuple(devices.log)))
    return done


def judged(what: list[Happened], limit: int = 200) -> set[tuple[str, str | None]]:
    report = judge_crashes(SETTING, what, limit=limit, n_samples=5, seed="1")
    assert len(report.samples) == 5
    assert report.n_images >= report.n_distinct > 20
    return set(report.wrong)


def without(what: list[Happened], step: int, number: int) -> list[Happened]:
    """The same with an entry missing from a step's log."""
    log = what[step].log
    return [
        one._replace(log=(*log[:number], *log[number + 1 :])) if at == step else one
        for at, one in enumerate(what)
    ]


def test_what_a_crash_leaves_keeps_the_contract() -> None:
    assert judged(happened()) <= {("activation fails: EINVAL", "format-crash")}


def flushes() -> list[tuple[int, int]]:
    return [
        (step, number)
        for step, one in enumerate(happened())
        for number, entry in enumerate(one.log)
        if isinstance(entry, Written) and entry.flags & FLUSH and step > 0
    ]


def test_a_log_in_which_flushes_are_lost_does_not() -> None:
    caught = set()
    for step, number in flushes():
        if any(finding is None for _, finding in judged(without(happened(), step, number), 400)):
            entry = happened()[step].log[number]
            assert isinstance(entry, Written)
            caught.add((happened()[step].op[0], entry.device))
    # A commit's flush before its superblock; the origin's before what was copied is freed.
    assert ("flush", Device.CACHE) in caught
    assert ("message", Device.ORIGIN) in caught


def test_a_superblock_that_is_not_durable_is_found_out() -> None:
    plain = [
        one._replace(
            log=tuple(
                entry._replace(flags=0) if entry.flags & FUA and entry.sector == 0 else entry
                for entry in one.log
                if isinstance(entry, Written)
            )
        )
        for one in happened()
    ]
    assert any(finding is None for _, finding in judged(plain))


def test_every_entry_is_a_moment_and_one_with_fua_two() -> None:
    what = happened()
    n_entries = sum(len(one.log) for one in what)
    entries = [entry for one in what for entry in one.log if isinstance(entry, Written)]
    n_fua = sum(bool(entry.flags & FUA) for entry in entries)
    found = list(moments(what))
    assert n_fua > 0
    assert len(found) == n_entries + n_fua + len(what)
    assert [one.step for one in found] == sorted(one.step for one in found)


def begun_flush(*after: Logged) -> list[Happened]:
    """A write, then a flush that is begun, with this log after that."""
    *before, _ = happened((["open"], ["write", 0, 8, 1]))
    written = Happened(["write", 0, 8, 1], False, ())
    return [
        *before,
        written,
        Happened(["begin", "flush"], False, ()),
        Happened(["sleep", 0], False, after),
    ]


def test_what_was_begun_is_promised_when_it_has_returned() -> None:
    flushed = Written(Device.CACHE, FLUSH)
    allowed = []
    for moment in moments(begun_flush(flushed, Returned(), flushed)):
        moment.contract.crash()
        allowed.append(len(moment.contract.readable(0)))
    assert allowed[-4:] == [2, 1, 1, 1]


def test_a_flush_that_returned_before_the_disk_was_flushed_is_found_out() -> None:
    kept, lost = (
        judge_crashes(SETTING, begun_flush(*log), limit=200, n_samples=0, seed="1").wrong
        for log in ((), (Returned(),))
    )
    assert {finding for _, finding in kept} == {"format-crash"}
    assert any(what.startswith("zeros are read") for what, _ in lost)


def test_a_device_that_comes_up_broken_is_told_apart() -> None:
    assert activate(SETTING, Image(b"", b""), Contract()) == []
    half = image_of({0: (bytes(4) + b"\x01").ljust(512, b"\0")})
    (what,) = activate(SETTING, Image(half, b""), Contract())
    assert finding_in(SETTING, what, half) == "format-crash"
    assert finding_in(SETTING, FAILED, half) is None
    assert finding_in(SETTING, what, b"") is None


def test_two_entries_of_one_commit_are_recognised() -> None:
    ops: tuple[Op, ...] = (
        ["open", line("high_watermark 100 low_watermark 100")],
        ["write", 1, 1, 1], ["write", 0, 2, 2], ["flush"],
    )  # fmt: skip
    found = {one for one in judged(happened(ops)) if one[0] == FAILED}
    assert found == {(FAILED, "two-entries-in-one-commit")}


@pytest.mark.parametrize("seed", range(3))
def test_samples_are_drawn_alike_from_one_seed(seed: int) -> None:
    name = str(Random(seed).random())
    one, other = (
        judge_crashes(SETTING, happened(), limit=20, n_samples=7, seed=name) for _ in range(2)
    )
    assert one == other

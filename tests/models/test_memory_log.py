"""Stores to persistent memory and fences: what a step says of them, and what crashes leave."""

from collections.abc import Sequence
from typing import Any

import pytest

from writecache_models.content import Content
from writecache_models.crashing import Setting
from writecache_models.log_lines import FLUSH, Entry, Fenced, Stored
from writecache_models.logged_crashes import Judged, judge_crashes
from writecache_models.logged_moments import Happened, Logged, Written, moments
from writecache_models.machine import Machine
from writecache_models.memory_log import MemoryLoggedDevices, lines_of
from writecache_models.observations import perform
from writecache_models.trace import MEMORY_LOG, Op
from writecache_spec.events import Device
from writecache_spec.profile import PROFILES

TABLE = "p ORIGIN CACHE 512 2 autocommit_time 3600000"
SETTING = Setting(PROFILES["1.6.0-6.1-amd64"], TABLE, cache_sectors=16, origin_sectors=24)
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
    ["write", 0, 2, 5],
)


def devices() -> MemoryLoggedDevices:
    return MemoryLoggedDevices(Content(16 * 512), Content(24 * 512))


def logged(entry: Stored | Fenced | Entry) -> Logged:
    if isinstance(entry, Entry):
        return Written(Device.ORIGIN, entry.flags, entry.sector, entry.content)
    return entry


def happened(ops: Sequence[Op] = OPS) -> list[Happened]:
    """What a kernel would have done, if it did what the reference does."""
    below = devices()
    machine = Machine(SETTING.profile, below)
    done = []
    for op in ops:
        below.expect(None)
        failed = perform(machine, op, TABLE).errno is not None
        done.append(Happened(op, failed, tuple(map(logged, below.used))))
    return done


def judged(what: Sequence[Happened]) -> Judged:
    return judge_crashes(SETTING, what, limit=64, n_samples=5, seed="1", memory=True)


def without(what: Sequence[Happened], step: int, number: int) -> list[Happened]:
    """The same with an entry missing from a step's log."""
    log = what[step].log
    less = what[step]._replace(log=(*log[:number], *log[number + 1 :]))
    return [less if at == step else one for at, one in enumerate(what)]


def test_what_a_crash_leaves_of_words_keeps_the_contract() -> None:
    report = judged(happened())
    assert report.n_flushes > 8
    assert report.n_images >= report.n_distinct > 300
    assert set(report.wrong) <= {("activation fails: EINVAL", "format-crash")}


def test_a_log_in_which_a_fence_is_lost_does_not() -> None:
    what = happened()
    fences = [
        (step, number)
        for step, one in enumerate(what)
        for number, entry in enumerate(one.log)
        if isinstance(entry, Fenced) and step > 0
    ]
    caught = {
        (what[step].op[0], number == min(n for at, n in fences if at == step))
        for step, number in fences
        if any(finding is None for _, finding in judged(without(what, step, number)).wrong)
    }
    # Before the superblock's count: entries and data.  After it: the count itself.
    assert {("flush", True), ("flush", False)} <= caught
    assert len(fences) > 8


def test_a_flush_of_the_origin_that_is_lost_is_found_out() -> None:
    what = happened()
    (step,) = (number for number, one in enumerate(what) if one.op == ["message", "flush"])
    numbers = [
        number
        for number, entry in enumerate(what[step].log)
        if isinstance(entry, Written) and entry.flags & FLUSH
    ]
    less = what
    for number in reversed(numbers):
        less = without(less, step, number)
    assert numbers
    assert any(finding is None for _, finding in judged(less).wrong)


def test_a_log_without_fences_proves_nothing() -> None:
    bare = [
        one._replace(log=tuple(entry for entry in one.log if isinstance(entry, Stored)))
        for one in happened()
    ]
    assert judged(bare)[:3] == (0, 0, 0)


def test_the_moment_before_a_fence_has_all_words_and_after_it_none() -> None:
    stored = tuple(Stored(place, bytes([place + 1] * 8)) for place in (0, 8, 64))
    what = [Happened(["flush"], False, (*stored, Fenced(), Stored(0, b"newer..."), Fenced()))]
    first, second, last = moments(what, 128)
    assert set(first.disks[0].pending) == {0, 8, 64}
    assert first.memory == bytes(128)
    assert second.memory is not None
    assert (second.memory[:8], second.memory[64:72]) == (b"\1" * 8, b"A" * 8)
    assert second.disks[0].ways(0) == [b"\1" * 8, b"newer..."]
    assert (last.disks[0].pending, last.memory and last.memory[:8]) == ({}, b"newer...")


def test_stores_between_fences_are_said_in_no_order_that_counts() -> None:
    one: list[Any] = [Stored(8, b"b" * 8), Stored(0, b"a" * 8), Stored(0, b"c" * 8), Fenced()]
    other: list[Any] = [one[1], one[2], one[0], one[3]]
    found = list(lines_of(one))
    assert found == list(lines_of(other))
    assert [line[:3] for line in found] == [("store", 0, 16), ("store", 0, 8), ("fence",)]
    assert found != list(lines_of([one[0], one[2], one[1], one[3]]))
    assert found != list(lines_of([one[0], one[1], one[3], one[2]]))


def test_what_the_origin_is_told_comes_last() -> None:
    write = Entry(0, 4, 2, b"x" * 1024)
    lines = list(lines_of([write, Entry(FLUSH), Stored(0, b"a" * 8), Fenced()]))
    assert [line[0] for line in lines] == ["store", "fence", "origin"]
    assert lines[-1][1:3] == (4, 2)


@pytest.mark.parametrize("planted", ["a fence less", "a word", "nothing"])
def test_another_log_contradicts(planted: str) -> None:
    below = devices()
    machine = Machine(SETTING.profile, below)
    for op in OPS[:2]:
        perform(machine, op, TABLE)
    told = devices()
    twin = Machine(SETTING.profile, told)
    for op in OPS[:2]:
        perform(twin, op, TABLE)
    told.expect(None)
    perform(twin, ["flush"], TABLE)
    seen: Any = told.logged()
    if planted == "a fence less":
        seen[MEMORY_LOG].remove(["fence"])
    elif planted == "a word":
        next(line for line in seen[MEMORY_LOG] if line[0] == "store")[3] = "0" * 16
    below.expect(seen)
    perform(machine, ["flush"], TABLE)
    assert below.contradicted == (planted != "nothing")
    assert (below.logged() == seen) == (planted == "nothing")

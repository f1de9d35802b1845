"""The log of a live kernel's stores and fences, and crashes judged by it."""

import mmap
import struct
from pathlib import Path

import pytest
from commands import command

from writecache_impl.linux import BootOptions, LinuxTarget, memorylog
from writecache_impl.linux.memory_lines import Fence, Store
from writecache_impl.linux.memorylog import Kind, MemoryLog
from writecache_impl.linux.writelog import DISCARD, FLUSH, Entry, LogError

SUITE = "bookworm-pmem"
HEADER = {
    "table": "p ORIGIN CACHE 4096 0",
    "cache_sectors": 128,
    "origin_sectors": 64,
    "logs": "memory",
}


def test_every_store_fence_and_entry_of_the_disk_is_in_one_order() -> None:
    with LinuxTarget(SUITE, options=BootOptions(logs=True)) as target:
        session = target.open_trace(HEADER)
        log = session.memory_log
        assert log is not None
        session.step(["open"])
        assert Fence() in log.events
        session.step(["write", 8, 8, 7])
        (entry, *_), kinds = log.events, {type(event) for event in log.events}
        # The entry's two words, and a block; no fence yet.
        assert (len(log.events), kinds, entry) == (514, {Store}, Store(64, struct.pack("<Q", 8)))
        session.step(["flush"])
        first, count, last = log.events
        assert (first, last) == (Fence(), Fence())
        assert isinstance(count, Store)
        assert count.place == 24
        session.step(["message", "flush"])
        places = [
            number
            for number, event in enumerate(log.events)
            if isinstance(event, Entry) and event.flags & FLUSH
        ]
        written = [event.sector for event in log.events if isinstance(event, Entry)]
        # What was copied is flushed, and then its block is freed.
        assert written[0] == 8
        assert isinstance(log.events[places[-1] + 1], Store)
        session.step(["discard", 0, 8])
        assert any(isinstance(event, Entry) and event.flags & DISCARD for event in log.events)
        session.end_logs()


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MemoryLog:
    """A log in files of our own, which nobody writes."""
    monkeypatch.setattr(MemoryLog, "_start", lambda _: None)
    maps = []
    for name in ("memory", "disk"):
        with (tmp_path / name).open("w+b") as file:
            file.truncate(1 << 20)
            maps.append(mmap.mmap(file.fileno(), 1 << 20))
    return MemoryLog(maps[0], maps[1], range(100, 200))


def fill(log: MemoryLog, *records: tuple[int, Kind, int, int]) -> None:
    for number, (pc, kind, place, value) in enumerate(records):
        what = int(kind) << 56 | place
        at = memorylog.HEADER_BYTES + number * memorylog.RECORD.size
        memorylog.RECORD.pack_into(log.log, at, pc, what, value)
    struct.pack_into("<Q", log.log, 0, len(records))


def line(first: int, pc: int = 150) -> list[tuple[int, Kind, int, int]]:
    return [(pc, Kind.PLAIN, first + 8 * number, number) for number in range(8)]


def test_plain_stores_come_with_the_flush_of_their_line(made: MemoryLog) -> None:
    fill(made, *line(64), (150, Kind.FLUSH_LINE, 0, 0), (150, Kind.FENCE, 0, 0))
    *stores, last = made.news()
    assert [one.place for one in stores if isinstance(one, Store)] == list(range(64, 128, 8))
    assert (len(stores), last, made.unflushed) == (8, Fence(), {})


def test_a_plain_store_without_a_flush_is_never_durable(made: MemoryLog) -> None:
    fill(made, *line(64), (150, Kind.FENCE, 0, 0))
    assert list(made.news()) == [Fence()]
    assert set(made.unflushed) == set(range(64, 128, 8))


def test_fences_of_others_do_not_count(made: MemoryLog) -> None:
    fill(made, (10, Kind.NON_TEMPORAL, 8, 1), (10, Kind.FENCE, 0, 0), (120, Kind.FENCE, 0, 0))
    assert list(made.news()) == [Store(8, struct.pack("<Q", 1)), Fence()]


def test_a_line_that_was_not_just_filled_is_refused(made: MemoryLog) -> None:
    fill(made, *line(64)[:7], (150, Kind.FLUSH_LINE, 0, 0))
    with pytest.raises(LogError, match="not just filled"):
        list(made.news())


def test_crashes_of_a_live_kernel_in_persistent_memory() -> None:
    done = command(
        *("crash", "--target", f"kernel:{SUITE}", "--images", 2000),
        *("--seconds", 10, "--seed", "crash", "--json"),
    )
    assert done.code == 0, done.err
    found = done.json
    assert found["images"] > found["distinct"] > 500
    assert found["resumed"] > 30
    assert found["flushes"] > 20
    assert (found["unexplained"], found["diverged"]) == ({}, [])


def test_a_kernel_whose_fences_are_lost_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    look = memorylog.TraceMemoryLog.look

    def lossy(self: memorylog.TraceMemoryLog) -> None:
        look(self)
        fences = [n for n, event in enumerate(self.events) if isinstance(event, Fence)]
        # All but a step's last: so a superblock's count may be durable before its entries.
        self.events = [one for n, one in enumerate(self.events) if n not in fences[:-1]]

    monkeypatch.setattr(memorylog.TraceMemoryLog, "look", lossy)
    done = command(
        *("crash", "--target", f"kernel:{SUITE}", "--images", 300),
        *("--seconds", 10, "--seed", "crash", "--json"),
    )
    assert done.code == 1, done.err
    assert done.json["unexplained"]


def test_the_order_of_stores_is_judged() -> None:
    done = command(
        *("conform", "--io-order", "--target", f"kernel:{SUITE}"),
        *("--seconds", 5, "--seed", "1", "--json"),
    )
    assert done.code == 0, done.err
    (kernel,) = done.json["kernels"]
    assert kernel["log_entries"] > 100
    assert (kernel["divergences"], kernel["problem"]) == (0, None)

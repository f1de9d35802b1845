"""What is played on a live kernel for its crashes: small traces, and what they logged.

What the kernel writes to both devices goes to one log (dm-log-writes), or what it stores to
persistent memory to another; each operation comes with what was logged meanwhile.
"""

from collections.abc import Iterator, Set
from random import Random
from typing import Final

from writecache_impl.linux import LinuxTarget, Session
from writecache_impl.linux.memory_lines import Event, Store
from writecache_impl.linux.writelog import MARK, RETURNED, Entry
from writecache_models.log_lines import FLUSH, Fenced, Stored
from writecache_models.logged_moments import Happened, Logged, Returned, Written, promises
from writecache_models.trace import MEMORY_LOG, ONE_LOG, Trace
from writecache_models.workloads import generate
from writecache_spec.events import Device

FAMILIES: Final = ("plain", "requests", "watermarks", "autocommit", "messages", "suspends")
"""Workloads with one table, on new devices."""
LARGEST_ORIGIN: Final = 256
"""Sectors; each content is read to its end."""


def draw(seed: str, target: str, memory: bool = False) -> Trace:
    """A small trace of one table, its steps without observations.

    With `memory` it is of mode `p`, which stores to persistent memory.
    """
    random = Random(seed)
    number = 0
    while True:
        trace = generate(f"{seed}.{number}", random.choice(FAMILIES), target, memory)
        is_in_memory = trace.table.startswith("p ")
        if trace.origin_sectors <= LARGEST_ORIGIN and is_in_memory == memory:
            return trace.with_logs(MEMORY_LOG if memory else ONE_LOG)
        number += 1


def play(target: LinuxTarget, trace: Trace) -> list[Happened]:
    """Play a trace with one log of both devices, as far as the kernel lives; what happened.

    Raises one of `linux.UNUSABLE`, LogError among them: a log, replayed, is not what its device
    holds.
    """
    session = target.open_trace(trace.header())
    happened: list[Happened] = []
    failing: set[str] = set()
    for op in trace.ops:
        step = session.step(op)
        if session.ended:
            return happened
        if op[0] in ("fail", "heal"):
            failing = failing | {op[1]} if op[0] == "fail" else failing - {op[1]}
        if step is not None:
            log = (entry for entry in _log(session) if not _failed(entry, failing))
            happened.append(Happened(op, "errno" in step, tuple(log)))
    session.end_logs()
    if session.logs is not None and happened:
        # Writes that no flush had logged: done by now, and not durable.
        *before, last = happened
        unflushed = (entry for entry in _log(session) if not promises(entry))
        happened = [*before, last._replace(log=(*last.log, *unflushed))]
    return happened


def _failed(entry: Logged, failing: Set[str]) -> bool:
    """Whether this is a flush of a disk that says of each that it failed.

    Only the disk's good part did it: nothing is sure to be durable by a flush that failed.  One
    within the step in which the disk begins to fail counts as failed.
    """
    return (
        isinstance(entry, Written) and bool(entry.flags & FLUSH) and entry.device.value in failing
    )


def _log(session: Session) -> Iterator[Logged]:
    """What was logged in the last step."""
    if session.logs is not None:
        entries = session.logs.entries["both"]
        for entry in entries:
            if not entry.flags & MARK:
                yield _written(entry, session.parsed.origin_sectors)
            elif entry.data == RETURNED:
                yield Returned()
    elif session.memory_log is not None:
        yield from map(_used, session.memory_log.events)


def _used(event: Event) -> Logged:
    """An entry of the log of persistent memory, with the origin's."""
    if isinstance(event, Entry):
        return Written(Device.ORIGIN, event.flags, event.sector, event.content)
    return Stored(*event) if isinstance(event, Store) else Fenced()


def _written(entry: Entry, origin_sectors: int) -> Written:
    """An entry of the log under both devices, of which the origin is the first."""
    of_origin = entry.sector < origin_sectors
    sector = entry.sector if of_origin else entry.sector - origin_sectors
    return Written(Device.ORIGIN if of_origin else Device.CACHE, entry.flags, sector, entry.content)

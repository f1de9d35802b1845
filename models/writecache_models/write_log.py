"""The log of what is written to one device, as dm-log-writes keeps it under a live kernel.

Entries are writes, flushes and discards.  A write is logged by the first flush of its device that
begins after it is complete, in no order that counts; a flush, or a write with FUA, is logged at
once.  So a log is a sequence of *points*, and a point is a flush with the writes before it, or a
write with FUA.

What the kernel waits for is complete when the next effect comes: metadata, flushes, discards.  Two
kinds of writes go on meanwhile, and where in the log they stand is a matter of time:

  * a request's data, from the moment it is passed on until the request ends, or a commit has waited
    for it: that is, until the flush before a superblock, or a flush without metadata before it;
  * a copy, from the moment it is submitted until it ends: so never after the flush of the origin
    that its blocks' freeing rests on.

A log that was seen decides for them: it is followed point by point, and where something else would
be logged there is a `Contradiction`.  With none to follow all that is in flight is complete.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

FLUSH: Final = 1
FUA: Final = 2
DISCARD: Final = 4
"""Flags of an entry, the kernel's."""
Line = tuple[Any, ...]
"""An entry as a step has it: flags, sector, length, and the data's digest where there are some."""


class Contradiction(Exception):  # noqa: N818 - an outcome
    """A log that was seen says something else."""


class Entry(NamedTuple):
    """Something written to a device."""

    flags: int
    sector: int = 0
    n_sectors: int = 0
    content: bytes = b""
    """None in a flush or a discard."""


Render = Callable[[Entry], Line]
"""What a step would say of an entry: bytes that nobody defines are known only there."""


class Point(NamedTuple):
    """A flush with the writes before it, or a write with FUA, of a log that was seen."""

    line: Line
    """Empty behind the last flush."""
    writes: Counter[Line]


def points_of(log: Iterable[Sequence[Any]]) -> tuple[Point, ...]:
    """The points of a log that was seen.

    >>> [point.line for point in points_of([[0, 8, 1, "ab"], [1, 0, 0], [2, 0, 1, "cd"]])]
    [(1, 0, 0), (2, 0, 1, 'cd')]
    """
    points: list[Point] = []
    writes: Counter[Line] = Counter()
    for line in map(tuple, log):
        if line[0] & FLUSH:
            points.append(Point(line, writes))
            writes = Counter()
        elif line[0] & FUA:
            points.append(Point(line, Counter()))
        else:
            writes[line] += 1
    return (*points, Point((), writes)) if writes else tuple(points)


class Log(NamedTuple):
    """One device's log; immutable, so that schedules can share it."""

    complete: tuple[Entry, ...] = ()
    """Written, and not yet logged."""
    data: tuple[Entry, ...] = ()
    """Data of requests in flight."""
    copies: tuple[Entry, ...] = ()
    """Copies under way whose writes are not logged."""
    early: tuple[Entry, ...] = ()
    """Copies under way whose writes are."""
    late: tuple[Entry, ...] = ()
    """Data in flight that the last flush was before."""
    has_metadata: bool = False
    """Metadata was written since the last flush."""
    told: tuple[Entry, ...] = ()
    """What was logged in this step."""
    ahead: tuple[Point, ...] | None = None
    """What is left of the log that was seen of this step; None where none was."""

    def key(self) -> object:
        """What decides how it goes on."""
        kinds = (self.complete, self.data, self.copies, self.early)
        ahead = None if self.ahead is None else len(self.ahead)
        return (*(frozenset(Counter(kind).items()) for kind in kinds), ahead)

    def begin_step(self, ahead: tuple[Point, ...] | None) -> "Log":
        """A step begins, and this was seen of it."""
        return self._replace(told=(), late=(), has_metadata=False, ahead=ahead)

    def let_go(self) -> "Log":
        """No log is followed any more."""
        durable = tuple(entry for entry in self.data if entry.flags & FUA)
        data = tuple(entry for entry in self.data if not entry.flags & FUA)
        return self._replace(told=(*self.told, *durable), data=data, late=(), ahead=None)

    def begin_data(self, entry: Entry) -> "Log":
        """Data of a request are passed on."""
        if entry.flags & FUA and self.ahead is None:
            return self._replace(told=(*self.told, entry))
        return self._replace(data=(*self.data, entry))

    def end_data(self, render: Render) -> "Log":
        """All requests have ended."""
        log = self.absorb(render)
        if any(entry.flags & FUA for entry in log.data):
            raise Contradiction
        return log._replace(complete=(*log.complete, *log.data), data=(), late=())

    def begin_copy(self, entries: tuple[Entry, ...]) -> "Log":
        """A copy is submitted, which makes these writes."""
        return self._replace(copies=(*self.copies, *entries))

    def end_copy(self, entries: tuple[Entry, ...], render: Render) -> "Log":
        """A copy has ended, and with it all its writes."""
        log = self
        for entry in entries:
            if entry in log.early:
                log = log._replace(early=_without(log.early, entry))
            else:
                log = log._replace(copies=_without(log.copies, entry)).write(entry, render)
        return log

    def write(self, entry: Entry, render: Render) -> "Log":
        """A write is complete, and a flush will follow before the step ends."""
        log = self.absorb(render)
        if not log.is_due(entry, render):
            raise Contradiction
        return log._replace(complete=(*log.complete, entry))

    def write_fua(self, entry: Entry, render: Render) -> "Log":
        """A superblock is durable: the flush before it came after all data then in flight."""
        log = self.absorb(render)
        if any(entry in log.data for entry in log.late):
            raise Contradiction
        log = log._replace(told=(*log.told, entry), late=())
        if log.ahead is None:
            return log
        if not log.ahead or log.ahead[0].line != render(entry):
            raise Contradiction
        return log._replace(ahead=log.ahead[1:])

    def flush(self, flush: Entry, guarded: range, waits: bool, render: Render) -> "Log":
        """A flush: what is complete is logged, and what is in flight may be.

        `guarded` are the sectors whose data a superblock's write relies on, or with `waits` the
        flush itself.
        """
        log = self.absorb(render)
        if log.ahead is None:
            told = (*log.told, *log.complete, *log.data, *log.copies, flush)
            early = (*log.early, *log.copies)
            log = log._replace(complete=(), data=(), copies=(), early=early, late=())
            return log._replace(told=told, has_metadata=log.has_metadata and not guarded)
        if not log.ahead or log.ahead[0].line != render(flush):
            raise Contradiction
        rest = log.ahead[0].writes - Counter(map(render, log.complete))
        if rest.total() != log.ahead[0].writes.total() - len(log.complete):
            raise Contradiction
        data, _ = _take(log.data, rest, render)
        copies, early = _take(log.copies, rest, render)
        order = list(log.ahead[0].writes)
        early = tuple(sorted(early, key=lambda entry: order.index(render(entry))))
        late = tuple(entry for entry in data if entry.sector in guarded)
        if rest.total() or (late and waits):
            raise Contradiction
        return log._replace(
            complete=(),
            data=data,
            copies=copies,
            early=(*log.early, *early),
            late=late if guarded else log.late,
            has_metadata=log.has_metadata and not guarded,
            told=(*log.told, *log.complete, flush),
            ahead=log.ahead[1:],
        )

    def is_due(self, entry: Entry, render: Render) -> bool:
        """Whether the next flush that was seen has a write before it, or nothing was seen."""
        if self.ahead is None:
            return True
        return self._next_writes()[render(entry)] > 0

    def places(self, render: Render) -> dict[Line, int]:
        """Writes of copies that are logged, and all up to the next flush that was seen, with their
        places in the order of the log."""
        lines = [*map(render, self.early), *self._next_writes()]
        return {line: place for place, line in reversed(list(enumerate(lines)))}

    def _next_writes(self) -> Counter[Line]:
        """The writes before the next flush that was seen, in their order."""
        points = self.ahead or ()
        return next((one.writes for one in points if one.line[:1] != (FUA,)), Counter())

    def absorb(self, render: Render) -> "Log":
        """Data with FUA are complete whenever the log says so."""
        log = self
        while log.ahead:
            line = log.ahead[0].line
            found = next((one for one in log.data if one.flags & FUA and render(one) == line), None)
            if found is None:
                break
            data = _without(log.data, found)
            log = log._replace(data=data, ahead=log.ahead[1:], told=(*log.told, found))
        return log


def _take(
    entries: tuple[Entry, ...], wanted: Counter[Line], render: Render
) -> tuple[tuple[Entry, ...], tuple[Entry, ...]]:
    """Part entries into those that are not wanted and those that are, which are counted off."""

    def parted() -> Iterator[tuple[Entry, bool]]:
        for entry in entries:
            line = render(entry)
            is_wanted = wanted[line] > 0
            wanted[line] -= is_wanted
            yield entry, is_wanted

    parts = list(parted())
    left = tuple(entry for entry, is_wanted in parts if not is_wanted)
    return left, tuple(entry for entry, is_wanted in parts if is_wanted)


def _without(entries: tuple[Entry, ...], entry: Entry) -> tuple[Entry, ...]:
    at = entries.index(entry)
    return (*entries[:at], *entries[at + 1 :])

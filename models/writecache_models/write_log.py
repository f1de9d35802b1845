"""The log of what is written to one device, or to both, as dm-log-writes keeps it.

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
from collections.abc import Iterator
from typing import NamedTuple

from writecache_models.log_lines import FUA, Entry, Line, Point, Render


class Contradiction(Exception):  # noqa: N818 - an outcome
    """A log that was seen says something else."""


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
    home: Line | None = None
    """In the log of both devices: a flush of the origin."""
    covered: tuple[Entry, ...] | None = None
    """Copies that such a flush was for, which came before its turn."""

    def key(self) -> object:
        """What decides how it goes on."""
        kinds = (self.complete, self.data, self.copies, self.early)
        ahead = None if self.ahead is None else len(self.ahead)
        return (*(frozenset(Counter(kind).items()) for kind in kinds), ahead, self.covered)

    def begin_step(self, ahead: tuple[Point, ...] | None) -> "Log":
        """A step begins, and this was seen of it."""
        return self._replace(told=(), late=(), has_metadata=False, ahead=ahead, covered=None)

    def let_go(self) -> "Log":
        """No log is followed any more."""
        durable = tuple(entry for entry in self.data if entry.flags & FUA)
        data = tuple(entry for entry in self.data if not entry.flags & FUA)
        return self._replace(
            told=(*self.told, *durable), data=data, late=(), ahead=None, covered=None
        )

    def begin_data(self, entry: Entry) -> "Log":
        """Data of a request are passed on."""
        if entry.flags & FUA and self.ahead is None:
            return self._replace(told=(*self.told, entry))
        return self._replace(data=(*self.data, entry))

    def end_data(self, render: Render) -> "Log":
        """All requests have ended."""
        log = self.absorb(render)
        if any(entry.flags & FUA for entry in log.data):
            log = log._be_overtaken(render).absorb(render)
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
            if log.covered is not None and entry not in log.covered:
                raise Contradiction
            if entry in log.early:
                log = log._replace(early=_without(log.early, entry))
                continue
            if entry in log.copies:
                log = log._replace(copies=_without(log.copies, entry))
            elif log.ahead is not None:  # what it copies was written while it was under way
                raise Contradiction
            log = log.write(entry, render)
        return log

    def write(self, entry: Entry, render: Render) -> "Log":
        """A write is complete, and a flush will follow before the step ends."""
        log = self.absorb(render)
        if not log.is_due(entry, render):
            log = log._be_overtaken(render)
        if not log.is_due(entry, render):
            raise Contradiction
        return log._replace(complete=(*log.complete, entry))

    def write_fua(self, entry: Entry, render: Render) -> "Log":
        """A superblock is durable: the flush before it came after all data then in flight."""
        log = self.absorb(render)
        if any(entry in log.data for entry in log.late):
            raise Contradiction
        if not log._comes(render(entry)):
            log = log._be_overtaken(render)
        log = log._replace(told=(*log.told, entry), late=())
        if log.ahead is None:
            return log
        if not log._comes(render(entry)):
            raise Contradiction
        return log._replace(ahead=log.ahead[1:])

    def flush(self, flush: Entry, guarded: range, waits: bool, render: Render) -> "Log":
        """A flush: what is complete is logged, and what is in flight may be.

        `guarded` are the sectors whose data a superblock's write relies on, or with `waits` the
        flush itself.
        """
        log = self.absorb(render)
        line = render(flush)
        if log.ahead is None:
            told = (*log.told, *log.complete, *log.data, *log.copies, flush)
            early = (*log.early, *log.copies)
            log = log._replace(complete=(), data=(), copies=(), early=early, late=())
        elif line == log.home and log.covered is not None:
            return log._replace(covered=None)
        else:
            if not log._comes(line):
                log = log._be_overtaken(render)
            log = log._pass_flush(line, render)
            told = (*log.told, flush)
        if not guarded:
            return log._replace(told=told)
        late = tuple(entry for entry in log.data if entry.sector in guarded)
        if late and waits:
            raise Contradiction
        return log._replace(late=late, has_metadata=False, told=told)

    def _comes(self, line: Line) -> bool:
        """Whether that is the next point, as far as anything was seen."""
        return self.ahead is None or (bool(self.ahead) and self.ahead[0].line == line)

    def _pass_flush(self, line: Line, render: Render) -> "Log":
        """The next point is this flush: before it is what is complete, and some of all else."""
        if not self.ahead or not self._comes(line):
            raise Contradiction
        writes = self.ahead[0].writes
        rest = writes - Counter(map(render, self.complete))
        if rest.total() != writes.total() - len(self.complete):
            raise Contradiction
        data, _ = _take(self.data, rest, render)
        copies, early = _take(self.copies, rest, render)
        if rest.total():
            raise Contradiction
        order = list(writes)
        early = tuple(sorted(early, key=lambda entry: order.index(render(entry))))
        return self._replace(
            complete=(),
            data=data,
            copies=copies,
            early=(*self.early, *early),
            ahead=self.ahead[1:],
        )

    def _be_overtaken(self, render: Render) -> "Log":
        """The endio thread has flushed the origin while others hold the lock.

        That counts for the copies that were logged by then; the others end after it has freed them.
        """
        if self.home is None or self.covered is not None or not self._comes(self.home):
            return self
        if not (self.ahead and (self.early or self.copies)):
            return self
        log = self._pass_flush(self.home, render)
        return log._replace(covered=log.early)

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

"""The contract: what a block device owes whoever uses it, crashes and errors included.

For every sector it keeps the *versions* that it may hold.  A write is a version from the moment at
which it begins; one rule says when an older version is out of the question:

    a version is superseded by one that began after it had ended, and that is firm.

What is firm depends on who asks.  A read asks now: every write that succeeded is firm.  A crash
asks the medium: only writes that ended before a successful flush began, and successful FUA writes,
are.  So writes that overlap in time may come out in either order, a write in flight may show and
may not, and one that failed may too.  A crash leaves each sector with one value of those that it
may hold, for good, and the contract does not say which: the next read does.

A discard is a write of an unknown value: zero, or anything the sector ever held until it ended.

Values are whatever can be compared and hashed; `ZERO` stands for a sector of zeros.
"""

from collections.abc import Hashable, Iterable, Mapping
from typing import Final, NamedTuple

Value = Hashable
ZERO: Final = 0


class Version(NamedTuple):
    """What a sector may hold."""

    values: frozenset[Value]
    """One of these."""
    began: int
    ended: int | None = None
    """Moments: every call has its own.  None: in flight."""
    succeeded: bool = False
    discards: bool = False
    """A discard's: while it is under way, whatever is written may be what it leaves."""
    settled: bool = False
    """Its value is one for good, and a read tells which."""


class Request(NamedTuple):
    """A request that has begun."""

    began: int
    sectors: range
    fua: bool = False


class FlushMessage(NamedTuple):
    """A `flush` message that has begun."""

    began: int
    allowed: Mapping[int, frozenset[Value]]
    """What the origin may hold when it ends, of what had been written when it began."""
    ever: Mapping[int, frozenset[Value]]
    """All that had been written by then."""


def standing(versions: Iterable[Version], firm: Iterable[Version]) -> tuple[Version, ...]:
    """The versions that no firm one supersedes."""
    limit = max((version.began for version in firm), default=-1)
    return tuple(one for one in versions if one.ended is None or one.ended >= limit)


class Contract:
    """The dictionary: what each sector of a device may hold.  Sectors not named hold zeros."""

    def __init__(self, before: Mapping[int, Value] | None = None) -> None:
        self._now = 0
        self._versions: dict[int, tuple[Version, ...]] = {}
        """Those that a crash may leave."""
        self._ever: dict[int, frozenset[Value]] = {}
        self._discarded: dict[int, int] = {}
        """When the last discard of a sector began."""
        for sector, value in (before or {}).items():
            self._versions[sector] = (Version(frozenset({value}), 0, 0, succeeded=True),)
            self._ever[sector] = frozenset({value})

    # Requests

    def write(self, sector: int, values: Iterable[Value], fua: bool = False) -> Request:
        """A write begins, of one value a sector."""
        listed = list(values)
        request = Request(self._tick(), range(sector, sector + len(listed)), fua)
        for place, value in zip(request.sectors, listed, strict=True):
            self._add(place, Version(frozenset({value}), request.began))
        return request

    def discard(self, sector: int, n_sectors: int) -> Request:
        """A discard begins."""
        request = Request(self._tick(), range(sector, sector + n_sectors))
        for place in request.sectors:
            held = self._ever.get(place, frozenset()) | {ZERO}
            self._discarded[place] = request.began
            self._add(place, Version(held, request.began, discards=True))
        return request

    def end(self, request: Request, failed: bool = False) -> None:
        """A write or a discard has ended."""
        now = self._tick()
        for sector in request.sectors:
            versions = [
                one._replace(ended=now, succeeded=not failed) if one.began == request.began else one
                for one in self._of(sector)
            ]
            made = [one for one in versions if one.began == request.began]
            firm = made if request.fua and not failed else []
            self._versions[sector] = standing(versions, firm)

    def flush(self) -> Request:
        """A flush begins."""
        return Request(self._tick(), range(0))

    def flush_message(self) -> FlushMessage:
        """A `flush` message begins, at whose end `in_origin` says what the origin may hold."""
        began = self._tick()
        allowed = {
            sector: _values(standing(versions, _ended_before(versions, began)))
            for sector, versions in self._versions.items()
        }
        return FlushMessage(began, allowed, dict(self._ever))

    def end_flush(self, request: Request, failed: bool = False) -> None:
        """A flush has ended: what had ended before it began is durable."""
        if not failed:
            for sector, versions in self._versions.items():
                self._versions[sector] = standing(versions, _ended_before(versions, request.began))

    def crash(self) -> None:
        """The power fails: each sector holds one of the values it may hold, whichever it is."""
        now = self._tick()
        for sector in self._versions:
            values = self.survivors(sector)
            self._versions[sector] = (Version(values, now, now, succeeded=True, settled=True),)

    def let_go(self) -> None:
        """A device that has met an I/O error is taken down and set up anew.

        What was not durable is in nobody's hands but the disks', which may have it and may not: to
        keep it, the disk that failed would have had to take it.
        """
        for sector, versions in self._versions.items():
            self._versions[sector] = tuple(one._replace(succeeded=False) for one in versions)

    # What may be seen

    def readable(self, sector: int) -> frozenset[Value]:
        """The values that a read may return now."""
        return _values(self._readable(sector))

    def survivors(self, sector: int) -> frozenset[Value]:
        """The values that a crash may leave now."""
        return _values(self._of(sector))

    def in_origin(self, sector: int, message: FlushMessage) -> frozenset[Value]:
        """The values that the origin may hold after a successful `flush` message."""
        zeros = frozenset({ZERO})
        ever = self._ever.get(sector, zeros)
        if self._discarded.get(sector, 0) > message.began:
            return ever
        return message.allowed.get(sector, zeros) | (ever - message.ever.get(sector, zeros))

    def read(self, sector: int, values: Iterable[Value]) -> list[tuple[int, Value]]:
        """A read has ended, during which nothing else began or ended.

        Returns the sectors with what they should not hold; what was settled is known from now on.
        """
        wrong = []
        for place, value in enumerate(values, sector):
            found = self._readable(place)
            if value not in _values(found):
                wrong.append((place, value))
            elif len(found) == 1 and found[0].settled:
                known = found[0]._replace(values=frozenset({value}))
                self._versions[place] = tuple(
                    known if one == found[0] else one for one in self._of(place)
                )
        return wrong

    @property
    def versions(self) -> Mapping[int, tuple[Version, ...]]:
        """What a crash may leave of each sector that was ever written, oldest first."""
        return self._versions

    @property
    def ever(self) -> Mapping[int, frozenset[Value]]:
        """All that each sector ever held: what a discard may bring back."""
        return self._ever

    def holding(
        self, versions: Mapping[int, tuple[Version, ...]], ever: Mapping[int, frozenset[Value]]
    ) -> "Contract":
        """Another contract at the same moment, which holds these instead."""
        other = self.fork()
        other._versions, other._ever = dict(versions), dict(ever)
        return other

    def fork(self) -> "Contract":
        """An independent copy."""
        fork = Contract()
        fork._now, fork._versions, fork._ever = self._now, dict(self._versions), dict(self._ever)
        fork._discarded = dict(self._discarded)
        return fork

    def _of(self, sector: int) -> tuple[Version, ...]:
        at_first = (Version(frozenset({ZERO}), 0, 0, succeeded=True),)
        return self._versions.get(sector, at_first)

    def _readable(self, sector: int) -> tuple[Version, ...]:
        versions = self._of(sector)
        return standing(versions, [one for one in versions if one.succeeded])

    def _add(self, sector: int, version: Version) -> None:
        versions = [
            one._replace(values=one.values | version.values)
            if one.discards and one.ended is None
            else one
            for one in self._of(sector)
        ]
        self._versions[sector] = (*versions, version)
        self._ever[sector] = self._ever.get(sector, frozenset({ZERO})) | version.values

    def _tick(self) -> int:
        self._now += 1
        return self._now


def _ended_before(versions: Iterable[Version], moment: int) -> list[Version]:
    """Those that had succeeded by then."""
    return [one for one in versions if one.succeeded and (one.ended or 0) < moment]


def _values(versions: Iterable[Version]) -> frozenset[Value]:
    return frozenset().union(*(version.values for version in versions))

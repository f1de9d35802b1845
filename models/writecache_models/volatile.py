"""The crash model: a disk with a volatile write cache, and what a crash may leave of it.

A disk is a durable content and *pending* writes, sector by sector of 512 bytes.  A flush makes all
that is pending durable; a FUA write is durable itself, and whatever was pending of its sectors is
out of date.  A crash keeps any subset of what is pending: so each sector holds its durable content
or any of its pending ones, whatever the others hold.

`crashes` enumerates what may be left where that is few, and draws where it is many, beginning with
the states that are known to matter: nothing kept, everything, all but one, one alone.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from itertools import chain, islice, product
from math import prod
from random import Random
from typing import Final, NamedTuple

Sectors = Mapping[int, Hashable]
"""Contents by sector; a sector that is not there holds zeros."""
ZEROS: Final = None
"""A sector of zeros."""


class Volatile(NamedTuple):
    """One disk; immutable, so that every moment of a run can be kept."""

    durable: Sectors
    pending: Mapping[int, tuple[Hashable, ...]] = {}
    """Contents written since the last flush, by sector, the latest last."""

    def write(self, sector: int, contents: Sequence[Hashable], fua: bool = False) -> "Volatile":
        """Write one content after the other from `sector` on."""
        if fua:
            written = dict(enumerate(contents, sector))
            pending = {place: old for place, old in self.pending.items() if place not in written}
            return Volatile({**self.durable, **written}, pending)
        pending = dict(self.pending)
        for place, content in enumerate(contents, sector):
            pending[place] = (*pending.get(place, ()), content)
        return self._replace(pending=pending)

    def flush(self) -> "Volatile":
        """Make everything durable."""
        latest = {place: contents[-1] for place, contents in self.pending.items()}
        return Volatile({**self.durable, **latest})

    def read(self, sector: int) -> Hashable:
        """What the sector holds now."""
        pending = self.pending.get(sector)
        return pending[-1] if pending else self.durable.get(sector, ZEROS)

    def ways(self, sector: int) -> list[Hashable]:
        """What a crash may leave of a sector: what is durable first, the latest last."""
        everything = (self.durable.get(sector, ZEROS), *self.pending.get(sector, ()))
        # Of equal contents the latest counts: it is the order that matters to `crashes`.
        return list(reversed(dict.fromkeys(reversed(everything))))


class Left(NamedTuple):
    """What a crash left of several disks."""

    disks: tuple[Volatile, ...]
    """With nothing pending."""
    number: int
    """Of the state, in the order in which this crash's states come."""


def n_crashes(disks: Sequence[Volatile]) -> int:
    """How many contents a crash may leave."""
    return prod(len(disk.ways(sector)) for disk in disks for sector in disk.pending)


def crashes(
    disks: Sequence[Volatile], limit: int, random: Random, favoured: int | None = None
) -> Iterator[Left]:
    """Distinct contents that a crash may leave: all of them, or `limit` where there are more.

    Then those known to matter come first, or so many of them, and the rest is drawn.
    """
    places = [(number, sector) for number, disk in enumerate(disks) for sector in disk.pending]
    ways = [disks[number].ways(sector) for number, sector in places]
    total = prod(map(len, ways))
    choices: Iterator[tuple[int, ...]]
    if total <= limit:
        choices = product(*(range(len(one)) for one in ways))
    else:
        first = islice(_favoured(places, ways), favoured)
        choices = islice(_distinct(chain(first, _drawn(ways, random))), limit)
    for state, chosen in enumerate(choices):
        kept: list[dict[int, Hashable]] = [dict(disk.durable) for disk in disks]
        for (number, sector), contents, choice in zip(places, ways, chosen, strict=True):
            kept[number][sector] = contents[choice]
        yield Left(tuple(Volatile(durable) for durable in kept), state)


def _favoured(
    places: Sequence[tuple[int, int]], ways: Sequence[Sequence[Hashable]]
) -> Iterator[tuple[int, ...]]:
    """States known to matter: of each sector the first way is the oldest, the last the latest."""
    nothing = tuple(0 for _ in ways)
    everything = tuple(len(one) - 1 for one in ways)
    yield nothing
    yield everything
    for disk in sorted({number for number, _ in places}):
        # One disk lost all, the other nothing.
        mine = [number == disk for number, _ in places]
        yield tuple(a if own else b for own, a, b in zip(mine, nothing, everything, strict=True))
        yield tuple(b if own else a for own, a, b in zip(mine, nothing, everything, strict=True))
    for at in range(len(ways)):
        for choice in range(len(ways[at])):
            yield (*everything[:at], choice, *everything[at + 1 :])
            yield (*nothing[:at], choice, *nothing[at + 1 :])
    for at in range(1, len(ways)):
        # Torn: what was written first is there, and nothing after it; and the other way round.
        yield (*everything[:at], *nothing[at:])
        yield (*nothing[:at], *everything[at:])


def _drawn(ways: Sequence[Sequence[Hashable]], random: Random) -> Iterator[tuple[int, ...]]:
    """States at random, for ever: many kept, few kept, or half of them."""
    while True:
        share = random.choice((0.1, 0.5, 0.9))
        yield tuple(
            random.randrange(len(one)) if random.random() < share else len(one) - 1 for one in ways
        )


def _distinct(choices: Iterator[tuple[int, ...]]) -> Iterator[tuple[int, ...]]:
    """Each state once; what is drawn comes to an end only by whoever takes it."""
    seen: set[tuple[int, ...]] = set()
    for choice in choices:
        if choice not in seen:
            seen.add(choice)
            yield choice

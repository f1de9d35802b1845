"""What is to be read from where: the blocks that a kernel would take from the cache.

A block is *good* when it can be brought home: its entry names a place on the origin, no other entry
can be meant in its stead, and its data can be read.  The others are named with the reason.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from itertools import islice
from typing import Final, NamedTuple

from writecache_impl.tools.arithmetic import arithmetic
from writecache_impl.tools.cache import Cache
from writecache_impl.tools.errors import UnreadableError
from writecache_impl.tools.numbers import Survey, numbers
from writecache_spec.codec import decode_entries
from writecache_spec.layout import ENTRY_SIZE, MemoryEntry
from writecache_spec.units import SECTOR_SIZE

MISALIGNED: Final = "no block begins at this sector"
BEYOND: Final = "it does not lie within the origin"
UNREADABLE: Final = "its data cannot be read"
IDENTICAL: Final = "another entry has the same sector and sequence count, and other data"


class Doubtful(NamedTuple):
    """A block that cannot be brought home as it stands."""

    sector: int
    """Where its entry says it belongs."""
    block: int
    reason: str


class Picture(NamedTuple):
    """Good blocks, ordered by their place on the origin, and the others."""

    cache: Cache
    survey: Survey
    sectors: "array[int]"
    blocks: "array[int]"
    doubts: dict[str, "array[int]"]
    """For each reason the places, in the survey's live blocks, of those that are doubtful."""

    @property
    def is_clean(self) -> bool:
        """Whether the origin has everything, as far as can be known."""
        return not (self.survey.live_sectors or self.survey.unreadable)

    @property
    def n_doubtful(self) -> int:
        """Blocks that are not good."""
        return sum(map(len, self.doubts.values()))

    def doubtful(self, most: int | None = None) -> Iterator[Doubtful]:
        """The blocks that are not good, reason by reason."""
        live = self.survey.live_sectors, self.survey.live_blocks
        found = (
            Doubtful(live[0][place], live[1][place], reason)
            for reason, places in self.doubts.items()
            for place in places
        )
        return islice(found, most)

    def doubtful_sectors(self) -> Iterator[int]:
        """Sectors within blocks whose content nobody knows, by block."""
        live = self.survey.live_sectors
        for reason in (UNREADABLE, IDENTICAL):
            for place in self.doubts.get(reason, ()):
                yield live[place]


def picture_of(
    cache: Cache, origin_sectors: int | None = None, take_later: bool = False
) -> Picture:
    """Survey a cache's entries and set apart what is doubtful.

    `take_later`: of two entries that are the same the later block is as good as any.
    """
    found = arithmetic().survey(cache.entry_chunks(), cache.superblock.seq_count)
    doubts: dict[str, array[int]] = {}
    taken: set[int] = set()
    sectors = found.live_sectors
    step = cache.geometry.block_sectors
    bad = arithmetic().misplaced(sectors, step, origin_sectors)
    if bad:
        wrong = numbers(place for place in bad if sectors[place] % step)
        beyond = numbers(place for place in bad if not sectors[place] % step)
        doubts |= {MISALIGNED: wrong, BEYOND: beyond}
    for reason, places in (
        (IDENTICAL, [] if take_later else _ambiguous(cache, found)),
        (UNREADABLE, _unreadable(cache, found)),
    ):
        taken = {place for others in doubts.values() for place in others} if places else taken
        doubts[reason] = numbers(place for place in places if place not in taken)
    doubts = {reason: places for reason, places in doubts.items() if places}
    all_places = numbers(sorted(place for places in doubts.values() for place in places))
    good_sectors = arithmetic().without(found.live_sectors, all_places)
    good_blocks = arithmetic().without(found.live_blocks, all_places)
    return Picture(cache, found, good_sectors, good_blocks, doubts)


def _unreadable(cache: Cache, found: Survey) -> list[int]:
    """Places of live blocks that lie in a hole of the image."""
    holes, geometry = cache.image.holes, cache.geometry
    if not holes.within(geometry.data_start, geometry.end):
        return []
    return [
        place
        for place, block in enumerate(found.live_blocks)
        if holes.within(geometry.block_at(block), geometry.block_at(block + 1))
    ]


def read_entry(cache: Cache, index: int) -> MemoryEntry:
    """An entry as it stands in the image."""
    return decode_entries(cache.image.read(cache.geometry.entry_at(index), ENTRY_SIZE))[0]


def _ambiguous(cache: Cache, found: Survey) -> list[int]:
    """Places of live blocks that have a twin, other data in it."""
    if not found.identical:
        return []
    identical = set(found.identical)
    winners = {
        read_entry(cache, block): place
        for place, block in enumerate(found.live_blocks)
        if block in identical
    }
    ambiguous = set()
    for other in found.superseded:
        place = winners.get(read_entry(cache, other))
        if place is not None and not same_data(cache, found.live_blocks[place], other):
            ambiguous.add(place)
    return sorted(ambiguous)


def same_data(cache: Cache, first: int, second: int) -> bool:
    """Whether two blocks are known to hold the same."""
    try:
        return read_block(cache, first) == read_block(cache, second)
    except UnreadableError:
        return False


def read_block(cache: Cache, index: int) -> bytes:
    """A block's data.  Raises UnreadableError where it has a hole."""
    return cache.image.read(cache.geometry.block_at(index), cache.geometry.block_size)


class Reader:
    """Reads what a device with the cache would read, a block at a time."""

    def __init__(self, picture: Picture) -> None:
        self.picture = picture
        doubtful = sorted(picture.doubtful_sectors())
        self._doubtful = numbers(doubtful)

    def block_of(self, sector: int) -> int | None:
        """The cache block that has this sector; None: the origin has it."""
        step = self.picture.cache.geometry.block_sectors
        first = sector - sector % step
        place = bisect_left(self.picture.sectors, first)
        if place < len(self.picture.sectors) and self.picture.sectors[place] == first:
            return self.picture.blocks[place]
        return None

    def is_doubtful(self, sector: int) -> bool:
        """Whether nobody knows what this sector holds."""
        step = self.picture.cache.geometry.block_sectors
        first = sector - sector % step
        place = bisect_left(self._doubtful, first)
        return place < len(self._doubtful) and self._doubtful[place] == first

    def sector(self, sector: int) -> bytes | None:
        """A sector from the cache; None where the origin has it."""
        block = self.block_of(sector)
        if block is None:
            return None
        geometry = self.picture.cache.geometry
        within = sector % geometry.block_sectors * SECTOR_SIZE
        return self.picture.cache.image.read(geometry.block_at(block) + within, SECTOR_SIZE)

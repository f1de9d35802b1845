"""Disks of a few sectors whose contents are symbols, and what a crash may leave of them.

What bytes say does not matter to a search, only which are equal: a sector of data is a number (0 is
a sector of zeros), a sector of metadata is what it holds of superblock and entries.  Sectors that
only pad the metadata area are left out.

A sector has a durable content and the *pending* ones that were written since it was last flushed,
the latest last.  What is in flight may be there and may not.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, product
from math import prod
from random import Random
from typing import Final, NamedTuple

from writecache_spec.effects import Metadata, WriteMetadata
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE, MemoryEntry, Superblock
from writecache_spec.units import SECTOR_SIZE

MetadataSector = tuple[tuple[Superblock, ...], tuple[MemoryEntry, ...]]
"""The superblock, in the first sector only, and entries."""
Symbol = int | MetadataSector
ZEROS: Final = 0
Image = tuple[tuple[Symbol, ...], tuple[Symbol, ...]]
"""What a crash left: the sectors of the cache device, those of the origin."""


class Shape(NamedTuple):
    """Which sectors of a cache device are kept: metadata that says something, then data."""

    n_entries: int
    data_start: int
    """The device's own number of the first sector of data."""
    n_metadata: int
    """Sectors that hold the superblock or entries."""

    @classmethod
    def of(cls, n_entries: int, data_start: int) -> "Shape":
        """The shape of a cache whose metadata begins at sector 0."""
        n_metadata = -(-(SUPERBLOCK_SIZE + n_entries * ENTRY_SIZE) // SECTOR_SIZE)
        return cls(n_entries, data_start, n_metadata)

    def place(self, sector: int) -> int:
        """Where a sector of data is kept."""
        return sector - self.data_start + self.n_metadata

    def _entries_in(self, sector: int) -> range:
        """The entries that lie in a sector of metadata; none lies in two."""
        first = max(sector * SECTOR_SIZE - SUPERBLOCK_SIZE, 0) // ENTRY_SIZE
        last = ((sector + 1) * SECTOR_SIZE - SUPERBLOCK_SIZE) // ENTRY_SIZE
        return range(first, min(last, self.n_entries))

    def metadata_sectors(self, effect: WriteMetadata) -> Iterator[tuple[int, MetadataSector]]:
        """The kept sectors that a write of metadata changes, and what it writes there."""
        metadata: Metadata = effect.metadata
        last = min(effect.first_sector + effect.n_sectors, self.n_metadata)
        for sector in range(effect.first_sector, last):
            entries = tuple(
                MemoryEntry(entry.original_sector, entry.seq_count)
                for entry in (metadata.entries[index] for index in self._entries_in(sector))
            )
            yield sector, ((metadata.superblock,) if sector == 0 else (), entries)

    def superblock(self, sectors: Sequence[Symbol]) -> Superblock:
        """The superblock that a device's sectors hold."""
        first = sectors[0]
        if isinstance(first, int):
            return Superblock()
        return first[0][0]

    def entries(self, sectors: Sequence[Symbol]) -> tuple[MemoryEntry, ...]:
        """All entries that a device's sectors hold."""
        found: list[MemoryEntry] = []
        for sector in range(self.n_metadata):
            content = sectors[sector]
            if isinstance(content, int):
                # Zeros: sector 0, of commit 0.
                found += [MemoryEntry(*(0, 0))] * len(self._entries_in(sector))  # type: ignore[arg-type]
            else:
                found += content[1]
        return tuple(found)


class Disk(NamedTuple):
    """One disk, as it is at one moment."""

    durable: tuple[Symbol, ...]
    pending: tuple[tuple[Symbol, ...], ...]
    """By sector."""

    @classmethod
    def of(cls, sectors: Iterable[Symbol]) -> "Disk":
        """A disk with nothing pending."""
        durable = tuple(sectors)
        return cls(durable, ((),) * len(durable))

    def read(self, place: int) -> Symbol:
        """What a sector holds now."""
        pending = self.pending[place]
        return pending[-1] if pending else self.durable[place]

    def latest(self) -> tuple[Symbol, ...]:
        """What all sectors hold now."""
        return tuple(
            [pending[-1] if pending else durable for durable, pending in zip(*self, strict=True)]
        )

    def write(self, writes: Iterable[tuple[int, Symbol]], fua: bool = False) -> "Disk":
        """Write sectors."""
        durable, pending = list(self.durable), list(self.pending)
        for place, content in writes:
            if fua:
                durable[place], pending[place] = content, ()
                continue
            others = tuple(one for one in pending[place] if one != content)
            # One content that is durable already leaves nothing to chance.
            pending[place] = (*others, content) if others or content != durable[place] else ()
        return Disk(tuple(durable), tuple(pending))

    def fail(self, writes: Iterable[tuple[int, Symbol]]) -> "Disk":
        """A write has failed: a crash may show it, and what is read is what was."""
        disk = self
        for place, content in writes:
            disk = disk.write([(place, content), (place, self.read(place))])
        return disk

    def flush(self) -> "Disk":
        """Make everything durable."""
        return Disk.of(self.latest())


Flying = tuple[tuple[int, Symbol], ...]
"""Writes that a disk has been given and not yet done, by sector."""


def ways(disk: Disk, flying: Flying) -> list[tuple[Symbol, ...]]:
    """What a crash may leave of each sector."""
    found = [
        (durable, *(one for one in pending if one != durable)) if pending else (durable,)
        for durable, pending in zip(*disk, strict=True)
    ]
    for place, content in flying:
        if content not in found[place]:
            found[place] = (*found[place], content)
    return found


class Remains(NamedTuple):
    """What a crash may leave of both disks."""

    cache: tuple[tuple[Symbol, ...], ...]
    origin: tuple[tuple[Symbol, ...], ...]

    def n_images(self) -> int:
        """How many images there are."""
        return prod(map(len, (*self.cache, *self.origin)))

    def images(self) -> Iterator[Image]:
        """All of them."""
        origins = list(product(*self.origin))
        for cache in product(*self.cache):
            for origin in origins:
                yield cache, origin

    def some(self, limit: int | None) -> Iterator[Image]:
        """All of them where there are no more than `limit`, else so many: the same every time.

        First those that are known to matter: nothing kept, everything, all but one, one alone.
        """
        if limit is None or self.n_images() <= limit:
            yield from self.images()
            return
        sectors = (*self.cache, *self.origin)
        random = Random(hash(self))
        seen: set[tuple[Symbol, ...]] = set()
        for kept in chain(_favoured(sectors), _drawn(sectors, random)):
            if len(seen) == limit:
                return
            if kept not in seen:
                seen.add(kept)
                yield kept[: len(self.cache)], kept[len(self.cache) :]


def _favoured(sectors: Sequence[tuple[Symbol, ...]]) -> Iterator[tuple[Symbol, ...]]:
    """What is durable is the first of each sector's ways, the latest the last."""
    nothing = tuple(ways[0] for ways in sectors)
    everything = tuple(ways[-1] for ways in sectors)
    yield nothing
    yield everything
    for at, sector in enumerate(sectors):
        for way in sector if len(sector) > 1 else ():
            yield (*everything[:at], way, *everything[at + 1 :])
            yield (*nothing[:at], way, *nothing[at + 1 :])


def _drawn(sectors: Sequence[tuple[Symbol, ...]], random: Random) -> Iterator[tuple[Symbol, ...]]:
    while True:
        yield tuple(random.choice(ways) for ways in sectors)

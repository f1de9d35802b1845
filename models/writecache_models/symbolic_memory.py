"""Persistent memory whose contents are symbols: words of metadata, sectors of data.

What a fence has not made durable a crash keeps word by word, of 8 bytes each.  Metadata is kept as
its words.  Of data that was stored a crash may also leave any mixture of old and new words: then a
sector is `TORN`, which equals nothing that anybody wrote.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from writecache_models.symbolic import MetadataSector, Symbol
from writecache_spec.effects import StoreEntry, StoreSuperblock
from writecache_spec.layout import MemoryEntry, Superblock
from writecache_spec.units import Sector, SequenceCount

TORN: Final = -1
"""A sector of data of which some words are old and some are new."""
_SUPERBLOCK_WORDS: Final = (
    ("magic", "version"),
    ("block_size", "pad"),
    ("n_blocks",),
    ("seq_count",),
)
"""Those that are ever written but as zeros."""


class MemoryShape(NamedTuple):
    """Which places of persistent memory are kept: words that say something, then sectors."""

    n_entries: int
    data_start: int
    """The device's own number of the first sector of data."""

    @property
    def n_metadata(self) -> int:
        """Places that hold words of the superblock or of entries."""
        return len(_SUPERBLOCK_WORDS) + 2 * self.n_entries

    @property
    def first_entry_word(self) -> int:
        """The place of the first entry's first word."""
        return len(_SUPERBLOCK_WORDS)

    def place(self, sector: int) -> int:
        """Where a sector of data is kept."""
        return sector - self.data_start + self.n_metadata

    def stores(self, effect: StoreSuperblock | StoreEntry) -> Iterator[tuple[int, MetadataSector]]:
        """The kept words that a store of metadata changes, and what it stores there.

        A word of which only one field is stored is stored whole: nothing else is in it yet.
        """
        if isinstance(effect, StoreSuperblock):
            for place, fields in enumerate(_SUPERBLOCK_WORDS):
                if not set(fields).isdisjoint(effect.fields):
                    yield place, _superblock_word(effect.superblock, fields)
            return
        first = len(_SUPERBLOCK_WORDS) + 2 * effect.block
        yield first + 1, ((), (MemoryEntry(Sector(0), effect.seq_count),))
        if effect.original_sector is not None:
            yield first, ((), (MemoryEntry(effect.original_sector, SequenceCount(0)),))

    def superblock(self, places: Sequence[Symbol]) -> Superblock:
        """The superblock that the words hold."""
        found: dict[str, int] = {}
        for place, fields in enumerate(_SUPERBLOCK_WORDS):
            word = places[place]
            if not isinstance(word, int):
                found |= {field: getattr(word[0][0], field) for field in fields}
        return Superblock()._replace(**found)  # type: ignore[arg-type]

    def entries(self, places: Sequence[Symbol]) -> tuple[MemoryEntry, ...]:
        """All entries that the words hold; zeros are sector 0, of commit 0."""
        words = places[len(_SUPERBLOCK_WORDS) : self.n_metadata]
        return tuple(
            MemoryEntry(_entry_word(sector).original_sector, _entry_word(count).seq_count)
            for sector, count in zip(words[::2], words[1::2], strict=True)
        )


def _superblock_word(superblock: Superblock, fields: tuple[str, ...]) -> MetadataSector:
    kept = {field: getattr(superblock, field) for field in fields}
    return ((Superblock()._replace(**kept),), ())


def _entry_word(word: Symbol) -> MemoryEntry:
    return MemoryEntry(Sector(0), SequenceCount(0)) if isinstance(word, int) else word[1][0]

"""The index: which blocks hold a sector, the newest first, and who follows whom.

    heads, chain      a hash table by original sector, chained, the newest entry first

Of a sector that has several entries the one inserted last is met first, so a chain is also the
order of a sector's versions.  That is all the order there is: no tree is needed, because requests
are short, and who follows whom is found by looking for the sectors behind.  Entries at places that
are no multiple of a block, which only a damaged cache has, are also kept in a sorted list (`odd`).
"""

import sys
from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final

from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE

LISTED: Final = 0
FREE: Final = 1
IN_PROGRESS: Final = 2
"""Being copied to the origin: in no list, and not to be overwritten."""
UNLISTED: Final = 3
"""Skipped by the pass under way, or left by an error: in no list."""
NONE: Final = -1
"""No block."""
FREE_BYTE: Final = b"\x01"
_LARGEST_INT: Final = 2**31 - 4


class Index:
    """The entries in `words`, and where each sector is.

    `metadata` holds superblock and entries, whole 8-byte words.
    """

    def __init__(self, metadata: bytearray, n_blocks: int, block_sectors: int) -> None:
        assert sys.byteorder == "little", "the metadata is little-endian, and used as it is"
        self.n_blocks = n_blocks
        self.block_sectors = block_sectors
        words = memoryview(metadata)[: SUPERBLOCK_SIZE + n_blocks * ENTRY_SIZE].cast("Q")
        self.words = words
        self.sectors = words[SUPERBLOCK_SIZE // 8 :: 2]
        self.seq_counts = words[SUPERBLOCK_SIZE // 8 + 1 :: 2]
        self.kind = "i" if n_blocks < _LARGEST_INT else "q"
        self.n_buckets = n_blocks | 1
        self.n_free = 0
        self.clear()

    def clear(self) -> None:
        """No block in use."""
        number = array(self.kind, [NONE])
        self.state = bytearray(FREE_BYTE) * self.n_blocks
        """A byte for each block: listed (in the LRU), free, under writeback, or in no list."""
        self.heads = number * self.n_buckets
        self.chain = number * self.n_blocks
        self.duplicates = 0
        """How many entries have an older one of their sector."""
        self.odd: list[int] = []
        """Sectors of entries that begin at no multiple of a block, in order."""

    def find(self, sector: int) -> int:
        """The newest entry of a sector."""
        index = self.heads[sector % self.n_buckets]
        sectors = self.sectors
        while index >= 0 and sectors[index] != sector:
            index = self.chain[index]
        return index

    def older(self, index: int) -> int:
        """The entry of the same sector that was inserted just before this one."""
        sector = self.sectors[index]
        index = self.chain[index]
        while index >= 0 and self.sectors[index] != sector:
            index = self.chain[index]
        return index

    def versions(self, sector: int) -> list[int]:
        """All entries of a sector, the oldest first."""
        found = []
        index = self.find(sector)
        while index >= 0:
            found.append(index)
            index = self.older(index)
        found.reverse()
        return found

    def next_in_order(self, index: int) -> int:
        """The entry after this one by sector, then by age; only as far as the next block's place.

        NONE where nothing begins in that range, and nothing at its end either.
        """
        sector = self.sectors[index]
        if self.duplicates:
            same = self.versions(sector)
            position = same.index(index) + 1
            if position < len(same):
                return same[position]
        following = self.following(sector + 1, sector + self.block_sectors + 1)
        versions = self.versions(following) if following <= sector + self.block_sectors else []
        return versions[0] if versions else NONE

    def following(self, sector: int, end: int) -> int:
        """The least original sector that is neither below `sector` nor behind `end`; else `end`."""
        if self.odd:
            place = bisect_left(self.odd, sector)
            if place < len(self.odd):
                end = min(end, self.odd[place])
        size = self.block_sectors
        for at in range(-(-sector // size) * size, end, size):
            if self.find(at) >= 0:
                return at
        return end

    def in_range(self, start: int, end: int) -> list[int]:
        """Entries with start <= original sector < end, in the order of sectors, then of age."""
        size = self.block_sectors
        places: Sequence[int]
        if (end - start) // size > self.n_blocks - self.n_free:
            places = self.used_sectors(start, end)
        else:
            places = range(-(-start // size) * size, end, size)
            if self.odd:
                odd = self.odd[bisect_left(self.odd, start) : bisect_left(self.odd, end)]
                places = sorted({*places, *odd})
        return [index for sector in places for index in self.versions(sector)]

    def used_sectors(self, start: int, end: int) -> list[int]:
        """The distinct sectors in a range that have entries, found by looking at every block."""
        state, sectors = self.state, self.sectors
        found = {sectors[i] for i in range(self.n_blocks) if state[i] != FREE}
        return sorted(sector for sector in found if start <= sector < end)

    # Moves

    def put(self, index: int, sector: int) -> None:
        """Add an entry: the newest version of its sector."""
        if self.find(sector) >= 0:
            self.duplicates += 1
        bucket = sector % self.n_buckets
        self.chain[index] = self.heads[bucket]
        self.heads[bucket] = index
        self.sectors[index] = sector
        if sector % self.block_sectors:
            insort(self.odd, sector)

    def remove(self, index: int) -> None:
        """Take an entry out of the index."""
        sector = self.sectors[index]
        chain, sectors = self.chain, self.sectors
        others = 0
        before, at = NONE, self.heads[sector % self.n_buckets]
        place = NONE
        while at >= 0:
            if at == index:
                place = before
            elif sectors[at] == sector:
                others += 1
            before, at = at, chain[at]
        if place == NONE:
            self.heads[sector % self.n_buckets] = chain[index]
        else:
            chain[place] = chain[index]
        chain[index] = NONE
        if others:
            self.duplicates -= 1
        if self.odd and sector % self.block_sectors:
            del self.odd[bisect_left(self.odd, sector)]

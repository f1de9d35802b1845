"""Entries: what is known of each cache block, in flat arrays and no object for any of them.

    words      the metadata in memory, as 64-bit words: original sector and sequence count
    state      a byte: listed (in the LRU), free, under writeback, or in no list
    ages       when the block was allocated, in ticks, the low 32 bits
    heads, chain      the index: a hash table by original sector, chained, the newest entry first
    to_older, to_newer     the LRU, a ring through block number n; in persistent-memory mode free
                      blocks use the latter for the free list

Of a sector that has several entries the one inserted last is met first, so a chain is also the
order of a sector's versions.  That is all the order there is: no tree is needed, because requests
are short, and who follows whom is found by looking for the sectors behind.  Entries at places that
are no multiple of a block, which only a damaged cache has, are also kept in a sorted list (`odd`).

37 bytes an entry with 32-bit block numbers, the metadata included.
"""

from array import array
from bisect import bisect_left, insort
from collections.abc import Sequence
from typing import Final

from writecache_impl.engine.recovery import Found, scan
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE
from writecache_spec.units import U64_MAX

LISTED: Final = 0
FREE: Final = 1
IN_PROGRESS: Final = 2
"""Being copied to the origin: in no list, and not to be overwritten."""
UNLISTED: Final = 3
"""Skipped by the pass under way, or left by an error: in no list."""
NONE: Final = -1
"""No block."""
_FREE_BYTE: Final = b"\x01"
_AGE_MASK: Final = 2**32 - 1
_LARGEST_INT: Final = 2**31 - 4


class Entries:
    """The arrays, and the moves that keep them together.

    `metadata` holds superblock and entries, whole 8-byte words; `first_in_first_out` is the order
    of free blocks in persistent-memory mode, else they are taken round and round by number.
    """

    def __init__(
        self, metadata: bytearray, n_blocks: int, block_sectors: int, first_in_first_out: bool
    ) -> None:
        self.n_blocks = n_blocks
        self.block_sectors = block_sectors
        self.first_in_first_out = first_in_first_out
        words = memoryview(metadata)[: SUPERBLOCK_SIZE + n_blocks * ENTRY_SIZE].cast("Q")
        self.words = words
        self.sectors = words[SUPERBLOCK_SIZE // 8 :: 2]
        self.seq_counts = words[SUPERBLOCK_SIZE // 8 + 1 :: 2]
        self.kind = "i" if n_blocks < _LARGEST_INT else "q"
        self.n_buckets = n_blocks | 1
        self.clear()

    def clear(self) -> None:
        """Every block free and in no list: what `adopt` then makes lists of."""
        number = array(self.kind, [NONE])
        self.state = bytearray(_FREE_BYTE) * self.n_blocks
        self.ages = array("I", [0]) * self.n_blocks
        self.heads = number * self.n_buckets
        self.chain = number * self.n_blocks
        self.to_older = number * (self.n_blocks + 1)
        self.to_newer = number * (self.n_blocks + 1)
        self.to_older[-1] = self.to_newer[-1] = self.n_blocks
        self.n_free = 0
        self.current_free = NONE
        """The block that is taken next."""
        self._last_free = NONE
        self.duplicates = 0
        """How many entries have an older one of their sector."""
        self.odd: list[int] = []
        """Sectors of entries that begin at no multiple of a block, in order."""

    # The index

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

    def insert(self, index: int, sector: int, seq_count: int, now: int) -> None:
        """Give a block that was taken a sector: the newest version of it, newest of the LRU."""
        if self.find(sector) >= 0:
            self.duplicates += 1
        bucket = sector % self.n_buckets
        self.chain[index] = self.heads[bucket]
        self.heads[bucket] = index
        self.sectors[index] = sector
        self.seq_counts[index] = seq_count
        self.ages[index] = now & _AGE_MASK
        if sector % self.block_sectors:
            insort(self.odd, sector)
        self.list_newest(index)

    def free(self, index: int) -> None:
        """Take a block out of the index and the LRU; it keeps its sector, and counts as free."""
        self.remove(index)
        if self.state[index] == LISTED:
            self.unlist(index)
        self.seq_counts[index] = U64_MAX
        self.give(index)

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

    def list_newest(self, index: int) -> None:
        """Put a block at the recent end of the LRU."""
        ring = self.n_blocks
        newest = self.to_older[ring]
        self.to_older[index] = newest
        self.to_newer[newest] = index
        self.to_newer[index] = ring
        self.to_older[ring] = index
        self.state[index] = LISTED

    def list_oldest(self, index: int) -> None:
        """Put a block at the old end of the LRU."""
        ring = self.n_blocks
        oldest = self.to_newer[ring]
        self.to_newer[index] = oldest
        self.to_older[oldest] = index
        self.to_older[index] = ring
        self.to_newer[ring] = index
        self.state[index] = LISTED

    def unlist(self, index: int, state: int = UNLISTED) -> None:
        """Take a block out of the LRU."""
        older, newer = self.to_older[index], self.to_newer[index]
        self.to_newer[older] = newer
        self.to_older[newer] = older
        self.state[index] = state

    @property
    def oldest(self) -> int:
        """The oldest block of the LRU, NONE where that is empty."""
        index = self.to_newer[self.n_blocks]
        return NONE if index == self.n_blocks else index

    def newest_first(self) -> list[int]:
        """The LRU's blocks; for tests."""
        found = []
        at = self.to_older[self.n_blocks]
        while at != self.n_blocks:
            found.append(at)
            at = self.to_older[at]
        return found

    def take(self) -> int:
        """Take the block that is free next; there must be one."""
        index = self.current_free
        self.n_free -= 1
        self.state[index] = UNLISTED
        if self.first_in_first_out:
            self.current_free = self.to_newer[index]
        else:
            after = self.state.find(FREE, index + 1)
            self.current_free = after if after >= 0 else self.state.find(FREE)
        return index

    def give(self, index: int) -> None:
        """Make a block free."""
        self.state[index] = FREE
        self.n_free += 1
        if self.current_free == NONE:
            self.current_free = index
        elif self.first_in_first_out:
            self.to_newer[self._last_free] = index
        if self.first_in_first_out:
            self._last_free = index
            self.to_newer[index] = NONE

    def free_run(self, longest: int) -> int:
        """How many free blocks would be taken one behind the other, up to `longest`."""
        first = self.current_free
        if self.first_in_first_out or longest == 1:
            return 1
        piece = self.state[first : first + longest]
        return len(piece) - len(piece.lstrip(_FREE_BYTE))

    def take_run(self, n_blocks: int, sector: int, seq_count: int, now: int) -> int:
        """Take free blocks one behind the other, for the sectors from `sector` on."""
        first = self.current_free
        for number in range(n_blocks):
            place = (sector + number * self.block_sectors) & U64_MAX
            self.insert(self.take(), place, seq_count, now)
        return first

    def cached_run(self, first: int, longest: int) -> int:
        """How many blocks from `first` on hold, as newest versions, the sectors that follow.

        Neighbours on both devices, none of them under writeback.
        """
        sector = self.sectors[first]
        n_blocks = 1
        while n_blocks < longest and first + n_blocks < self.n_blocks:
            index = first + n_blocks
            sector += self.block_sectors
            if (
                self.state[index] in (FREE, IN_PROGRESS)
                or self.sectors[index] != sector
                or self.next_in_order(index - 1) != index
                or self.find(sector) != index
            ):
                break
            n_blocks += 1
        return n_blocks

    # Recovery

    def scan(self, seq_count: int) -> Found:
        """What the entries in `words` say; `seq_count` is the superblock's."""
        return scan(self.sectors, self.seq_counts, seq_count)

    def count_beyond(self, blocks: Sequence[int], limit: int) -> int:
        """How many of these blocks reach behind a sector."""
        size = self.block_sectors
        return sum(self.sectors[index] + size > limit for index in blocks)

    def adopt(self, cached: Sequence[int], free: Sequence[int], now: int) -> None:
        """Make lists of what recovery found: blocks in use, oldest first, and free ones in order.

        Every sector has one entry at most.  Called after `clear`.
        """
        for index in cached:
            sector, bucket = self.sectors[index], self.sectors[index] % self.n_buckets
            self.chain[index] = self.heads[bucket]
            self.heads[bucket] = index
            if sector % self.block_sectors:
                self.odd.append(sector)
            self.ages[index] = now & _AGE_MASK
            self.list_newest(index)
        self.odd.sort()
        for index in free:
            self.give(index)

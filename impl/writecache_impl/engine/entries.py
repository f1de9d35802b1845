"""Entries: what is known of each cache block, in flat arrays and no object for any of them.

    words      the metadata in memory, as 64-bit words: original sector and sequence count
    state      a byte: listed (in the LRU), free, under writeback, or in no list
    ages       when the block was allocated, in ticks, the low 32 bits
    heads, chain      the index (`index`)
    to_older, to_newer     the LRU, a ring through block number n; in persistent-memory mode free
                      blocks use the latter for the free list

37 bytes an entry with 32-bit block numbers, the metadata included.
"""

from array import array
from collections.abc import Sequence
from typing import Final

from writecache_impl.engine.index import (
    FREE,
    FREE_BYTE,
    IN_PROGRESS,
    LISTED,
    NONE,
    UNLISTED,
    Index,
)
from writecache_impl.engine.recovery import Found, scan
from writecache_spec.units import U64_MAX

__all__ = ["FREE", "IN_PROGRESS", "LISTED", "NONE", "UNLISTED", "Entries"]

AGE_MASK: Final = 2**32 - 1


class Entries(Index):
    """The arrays, and the moves that keep them together.

    `first_in_first_out` is the order of free blocks in persistent-memory mode, else they are taken
    round and round by number.
    """

    def __init__(
        self, metadata: bytearray, n_blocks: int, block_sectors: int, first_in_first_out: bool
    ) -> None:
        self.first_in_first_out = first_in_first_out
        super().__init__(metadata, n_blocks, block_sectors)

    def clear(self) -> None:
        """Every block free and in no list: what `adopt` then makes lists of."""
        super().clear()
        number = array(self.kind, [NONE])
        self.ages = array("I", [0]) * self.n_blocks
        self.to_older = number * (self.n_blocks + 1)
        self.to_newer = number * (self.n_blocks + 1)
        self.to_older[-1] = self.to_newer[-1] = self.n_blocks
        self.n_free = 0
        self.current_free = NONE
        """The block that is taken next."""
        self._last_free = NONE

    # Moves

    def insert(self, index: int, sector: int, seq_count: int, now: int) -> None:
        """Give a block that was taken a sector: the newest version of it, newest of the LRU."""
        self.put(index, sector)
        self.seq_counts[index] = seq_count
        self.ages[index] = now & AGE_MASK
        self.list_newest(index)

    def free(self, index: int) -> None:
        """Take a block out of the index and the LRU; it keeps its sector, and counts as free."""
        self.remove(index)
        if self.state[index] == LISTED:
            self.unlist(index)
        self.seq_counts[index] = U64_MAX
        self.give(index)

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
        return len(piece) - len(piece.lstrip(FREE_BYTE))

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

    def runs_in_place(self, sector: int, n_blocks: int) -> list[tuple[int, int]]:
        """Blocks that hold the sectors from `sector` on, up to one that has none, or is copied.

        In runs as `cached_run` finds them: the first block, and how many.
        """
        runs = []
        end = sector + n_blocks * self.block_sectors
        while sector < end:
            first = self.find(sector)
            if first < 0 or self.state[first] == IN_PROGRESS:
                break
            length = self.cached_run(first, (end - sector) // self.block_sectors)
            runs.append((first, length))
            sector += length * self.block_sectors
        return runs

    def any_below(self, seq_count: int, first: int, n_blocks: int) -> bool:
        """Whether a block of a run has a lower sequence count: it is committed."""
        counts = self.seq_counts
        return any(counts[index] < seq_count for index in range(first, first + n_blocks))

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
            self.ages[index] = now & AGE_MASK
            self.list_newest(index)
        self.odd.sort()
        for index in free:
            self.give(index)

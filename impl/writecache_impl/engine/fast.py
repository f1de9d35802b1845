"""The same with numpy (extra `fast`): whole runs and whole caches at once.

Each method does what the one that it replaces does, to the byte, and leaves short work to it.
`impl`'s tests hold the two against each other.
"""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from writecache_impl.engine.entries import AGE_MASK, FREE, IN_PROGRESS, LISTED, NONE, Entries
from writecache_impl.engine.recovery import Found, decide, merge
from writecache_spec.layout import SUPERBLOCK_SIZE
from writecache_spec.units import U64_MAX

_WORTHWHILE: Final = 12
"""Blocks from which on a run is done at once."""
_Array = np.ndarray[Any, Any]


class FastEntries(Entries):
    """Entries with views of the same memory that numpy works on."""

    def clear(self) -> None:
        """Every block free and in no list."""
        super().clear()
        kind = np.int32 if self.kind == "i" else np.int64
        words = np.frombuffer(self.words, np.uint64)
        first = SUPERBLOCK_SIZE // 8
        self._sectors, self._seq_counts = words[first::2], words[first + 1 :: 2]
        self._state = np.frombuffer(self.state, np.uint8)
        self._ages = np.frombuffer(self.ages, np.uint32)
        self._heads, self._chain = np.frombuffer(self.heads, kind), np.frombuffer(self.chain, kind)
        self._to_older = np.frombuffer(self.to_older, kind)
        self._to_newer = np.frombuffer(self.to_newer, kind)
        self._kind = kind

    def used_sectors(self, start: int, end: int) -> list[int]:
        """The distinct sectors in a range that have entries."""
        used = self._sectors[self._state != FREE]
        inside = used[(used >= np.uint64(start)) & (used < np.uint64(min(end, U64_MAX)))]
        found: list[int] = np.unique(inside).tolist()
        return found

    def following(self, sector: int, end: int) -> int:
        """The least original sector that is neither below `sector` nor behind `end`; else `end`."""
        size = self.block_sectors
        first = -(-sector // size) * size
        if self.odd or end - first < _WORTHWHILE * size or end > 2**62:
            return super().following(sector, end)
        wanted = np.arange(first, end, size, dtype=np.uint64)
        found = np.flatnonzero(np.greater_equal(self._find_many(wanted), 0))
        return int(first + int(found[0]) * size) if len(found) else end

    def _find_many(self, wanted: _Array) -> _Array:
        """The newest entry of each of these sectors."""
        at: _Array = self._heads[wanted % np.uint64(self.n_buckets)]
        if bool(np.all(self._sectors[at] == wanted)) and bool(np.all(np.greater_equal(at, 0))):
            return at
        while True:
            other = np.flatnonzero(np.greater_equal(at, 0))
            other = other[self._sectors[at[other]] != wanted[other]]
            if not len(other):
                return at
            at[other] = self._chain[at[other]]

    def take_run(self, n_blocks: int, sector: int, seq_count: int, now: int) -> int:
        """Take free blocks one behind the other, for the sectors from `sector` on."""
        size = self.block_sectors
        end_sector = sector + n_blocks * size
        if n_blocks < _WORTHWHILE or self.first_in_first_out or end_sector > 2**62:
            return super().take_run(n_blocks, sector, seq_count, now)
        wanted = np.arange(sector, end_sector, size, dtype=np.uint64)
        buckets = wanted % np.uint64(self.n_buckets)
        old: _Array = self._heads[buckets]
        if bool(np.any(np.greater_equal(old, 0))) and bool(
            np.any(np.greater_equal(self._find_many(wanted), 0))
        ):
            # A sector that has entries already: one by one, in the order of versions.
            return super().take_run(n_blocks, sector, seq_count, now)
        first = self.current_free
        end = first + n_blocks
        numbers = np.arange(first, end, dtype=self._kind)
        # No two places of a run share a bucket: their distance is a power of two, and the number
        # of buckets is odd and not less than that of blocks.
        self._chain[first:end] = old
        self._heads[buckets] = numbers
        self._sectors[first:end] = wanted
        self._seq_counts[first:end] = seq_count
        self._ages[first:end] = now & AGE_MASK
        self._state[first:end] = LISTED
        ring = self.n_blocks
        newest = self.to_older[ring]
        self._to_older[first:end] = numbers - 1
        self._to_newer[first:end] = numbers + 1
        self.to_older[first], self.to_newer[newest] = newest, first
        self.to_newer[end - 1], self.to_older[ring] = ring, end - 1
        self.n_free -= n_blocks
        after = self.state.find(FREE, end)
        self.current_free = after if after >= 0 else self.state.find(FREE)
        return first

    def cached_run(self, first: int, longest: int) -> int:
        """How many blocks from `first` on hold, as newest versions, the sectors that follow."""
        sector = self.sectors[first]
        if longest < _WORTHWHILE or self.duplicates or self.odd or sector > 2**62:
            return super().cached_run(first, longest)
        if first + 1 == self.n_blocks or self.sectors[first + 1] != sector + self.block_sectors:
            return 1
        end = min(first + longest, self.n_blocks)
        wanted = np.arange(
            sector, sector + (end - first) * self.block_sectors, self.block_sectors, dtype=np.uint64
        )
        state = self._state[first:end]
        fine = (self._sectors[first:end] == wanted) & (state != FREE) & (state != IN_PROGRESS)
        fine[0] = True
        return end - first if fine.all() else int(np.argmin(fine))

    def runs_in_place(self, sector: int, n_blocks: int) -> list[tuple[int, int]]:
        """Blocks that hold the sectors from `sector` on, up to one that has none, or is copied."""
        end = sector + n_blocks * self.block_sectors
        if n_blocks < _WORTHWHILE or self.duplicates or self.odd or end > 2**62:
            return super().runs_in_place(sector, n_blocks)
        at = self._find_many(np.arange(sector, end, self.block_sectors, dtype=np.uint64))
        fine = np.greater_equal(at, 0) & (self._state[at] != IN_PROGRESS)
        if not fine.all():
            at = at[: int(np.argmin(fine))]
        if not len(at):
            return []
        breaks = np.flatnonzero(at[1:] - at[:-1] != 1)
        if not len(breaks):
            return [(int(at[0]), len(at))]
        starts = np.concatenate(([0], breaks + 1))
        lengths = np.diff(starts, append=len(at))
        return list(zip(at[starts].tolist(), lengths.tolist(), strict=True))

    def any_below(self, seq_count: int, first: int, n_blocks: int) -> bool:
        """Whether a block of a run has a lower sequence count: it is committed."""
        if n_blocks < _WORTHWHILE:
            return super().any_below(seq_count, first, n_blocks)
        return bool((self._seq_counts[first : first + n_blocks] < np.uint64(seq_count)).any())

    def adopt(self, cached: Sequence[int], free: Sequence[int], now: int) -> None:
        """Make lists of what recovery found."""
        if len(cached) < _WORTHWHILE:
            super().adopt(cached, free, now)
            return
        blocks = np.asarray(cached, self._kind)
        sectors = self._sectors[blocks]
        self._index(blocks, sectors)
        self._ages[blocks] = now & AGE_MASK
        self._state[blocks] = LISTED
        ring = np.array([self.n_blocks], self._kind)
        self._to_newer[np.concatenate((ring, blocks))] = np.concatenate((blocks, ring))
        self._to_older[np.concatenate((blocks, ring))] = np.concatenate((ring, blocks))
        odd = sectors[sectors % np.uint64(self.block_sectors) != 0]
        self.odd = np.sort(odd).tolist()
        if len(free):
            self.n_free = len(free)
            self.current_free = int(free[0])
        if self.first_in_first_out and len(free):
            order = np.asarray(free, self._kind)
            self._to_newer[order] = np.append(order[1:], NONE)
            self._last_free = int(order[-1])

    def _index(self, blocks: _Array, sectors: _Array) -> None:
        """Put entries in the index, as if one after the other: no two have one sector."""
        buckets = (sectors % np.uint64(self.n_buckets)).astype(np.int64)
        heads, chain = self._heads, self._chain
        while len(blocks):
            old = heads[buckets]
            heads[buckets] = blocks
            # Of those that came for one bucket the last has it now; the others come again.
            has_it = heads[buckets] == blocks
            chain[blocks[has_it]] = old[has_it]
            others = ~has_it
            blocks, buckets = blocks[others], buckets[others]

    def scan(self, seq_count: int) -> Found:
        """What the entries in `words` say."""
        sectors, counts = self._sectors, self._seq_counts
        is_committed = counts < np.uint64(seq_count)
        committed = np.flatnonzero(is_committed)
        free = np.flatnonzero(~is_committed)
        erased = free[counts[free] != np.uint64(U64_MAX)]
        used = sectors[committed]
        ordered = np.sort(used)
        repeated = ordered[1:][ordered[1:] == ordered[:-1]]
        if not len(repeated):
            return Found(_numbers(committed), _numbers(free), _numbers(erased))
        # Only sectors that several entries have are looked at one by one.
        several = np.isin(used, repeated)
        met: dict[int, int] = {}
        lost: list[tuple[int, int]] = []
        identical: list[str] = []
        decide(self.sectors, self.seq_counts, committed[several].tolist(), met, lost, identical)
        alone = committed[~several]
        cached = np.sort(np.concatenate((alone, np.fromiter(met.values(), np.int64, len(met)))))
        merged = merge(met, free.tolist(), erased.tolist(), lost, identical)
        return merged._replace(cached=_numbers(cached))

    def count_beyond(self, blocks: Sequence[int], limit: int) -> int:
        """How many of these blocks reach behind a sector."""
        sectors = self._sectors[np.asarray(blocks, np.int64)]
        fits = max(limit - self.block_sectors, -1) + 1
        return int(np.count_nonzero(sectors >= np.uint64(fits)))


def _numbers(array: Any) -> Sequence[int]:
    """An array is a sequence, though its type does not say so."""
    numbers: Sequence[int] = array
    return numbers

"""Requests: where each piece of a read, a write, a flush or a discard goes.

A request is cut into pieces that lie wholly in the cache, on neighbouring blocks, or wholly past
it.  What decides about a write is the newest entry of its first sector:

  * uncommitted: overwrite it in place: nobody was promised the old data;
  * committed, not under writeback: overwrite it in place too (SSD mode), and remember that the
    cache device must be flushed;
  * committed and being copied to the origin: take a free block, or wait for one;
  * none: take a free block, or go past the cache if there is none or it is being emptied.

A piece goes on over neighbours that can be overwritten, or over free neighbours.  The latter does
not look whether their sectors are cached, and makes newer versions of them; the commit sorts them
out.  Persistent-memory mode stands in `requests_pmem`.

The functions `map_…` do one piece with the lock held, data of the cache included, and return how
many sectors they took, or what the origin has to do.  Sectors count from the device's beginning.
"""

from typing import NamedTuple

from writecache_impl.engine import commit
from writecache_impl.engine.entries import FREE, IN_PROGRESS, NONE
from writecache_impl.engine.state import (
    DISCARDS,
    FLUSH,
    FLUSHES,
    READ_HITS,
    READS,
    WRITE_HITS_COMMITTED,
    WRITE_HITS_UNCOMMITTED,
    WRITES,
    WRITES_ALLOCATE,
    WRITES_AROUND,
    WRITES_BLOCKED,
    Cache,
)
from writecache_spec.units import wrap32


class Piece(NamedTuple):
    """What became of the beginning of a request."""

    n_sectors: int
    """Taken; 0: it has to wait for a free block."""
    data: bytes | None = None
    """Of a read that the cache has served."""
    around: bool = False
    """It goes to the origin."""
    failed: bool = False


WAITS = Piece(0)


def map_read(wc: Cache, sector: int, n_sectors: int) -> Piece:
    """Read from the cache, or learn how far the origin has it."""
    entries, config = wc.entries, wc.config
    index = entries.find(sector)
    if index >= 0 and wc.unwritten and index in wc.unwritten:
        # Its write has failed: it holds nothing that anybody wrote.
        wc.free_entry(index)
        return map_read(wc, sector, n_sectors)
    if index < 0:
        return read_around(wc, sector, n_sectors)
    n_blocks = 1
    if n_sectors > config.block_sectors and not wc.unwritten:
        n_blocks = _run_to_read(wc, index, n_sectors // config.block_sectors)
    wc.stats[READS] += n_blocks
    wc.stats[READ_HITS] += n_blocks
    taken = n_blocks * config.block_sectors
    try:
        data = wc.cache.read(wc.data_of(index), n_blocks * config.block_size)
    except OSError:
        if config.pmem_mode:
            wc.fail("hardware memory error when reading data")
        return Piece(taken, failed=True)
    return Piece(taken, data)


def _run_to_read(wc: Cache, first: int, longest: int) -> int:
    """How many neighbours of a block hold the sectors that follow, as newest versions."""
    entries = wc.entries
    n_blocks = entries.cached_run(first, longest)
    sector = entries.sectors[first] + n_blocks * entries.block_sectors
    # A run to write ends at blocks under writeback, which can be read.
    while n_blocks < longest and entries.find(sector) == first + n_blocks:
        n_blocks += 1
        sector += entries.block_sectors
    return n_blocks


def read_around(wc: Cache, sector: int, n_sectors: int) -> Piece:
    """Let a read go past the cache, up to the next cached sector."""
    taken = wc.entries.following(sector, sector + n_sectors) - sector
    # Cut off by a misaligned entry it can be less than a block: the counter then leaps.
    size = wc.config.block_size
    wc.stats[READS] += 1 + wrap32(512 * taken - size) // size
    return Piece(taken, around=True)


def map_write(wc: Cache, sector: int, data: memoryview, alone: bool = False) -> Piece:
    """Write the beginning to the cache, or learn how far it goes past it.

    Pieces in place that follow each other are done together, unless one is to be done `alone`.
    """
    entries, stats, config = wc.entries, wc.stats, wc.config
    n_blocks = len(data) // config.block_size
    if wc.error:
        stats[WRITES] += n_blocks
        return Piece(n_blocks * config.block_sectors, failed=True)
    first = entries.find(sector)
    fresh = first < 0
    if fresh:
        if wc.cleaner or config.metadata_only or entries.current_free == NONE:
            return write_around(wc, sector, n_blocks * config.block_sectors)
    elif entries.seq_counts[first] >= wc.seq_count:
        stats[WRITE_HITS_UNCOMMITTED] += 1
    else:
        stats[WRITE_HITS_COMMITTED] += 1
        if entries.state[first] == IN_PROGRESS:
            if entries.current_free == NONE:
                stats[WRITES_BLOCKED] += 1
                return WAITS
            fresh = True
    if fresh:
        n_blocks = entries.free_run(n_blocks) if n_blocks > 1 else 1
        first = entries.take_run(n_blocks, sector, wc.seq_count, wc.now())
        wc.allocated(first, n_blocks)
        stats[WRITES_ALLOCATE] += n_blocks
    else:
        if n_blocks > 1 and not alone and not wc.unwritten:
            return _overwrite(wc, sector, data, n_blocks)
        if n_blocks > 1:
            n_blocks = entries.cached_run(first, n_blocks)
        if not wc.overwrote_committed:
            # In place: what a crash leaves of it is flushed with the next commit.
            wc.overwrote_committed = entries.any_below(wc.seq_count, first, n_blocks)
        stats[WRITES_ALLOCATE] += n_blocks - 1
    stats[WRITES] += n_blocks
    return _store_run(wc, first, n_blocks, data, fresh)


def _overwrite(wc: Cache, sector: int, data: memoryview, n_blocks: int) -> Piece:
    """Store what is in place of a write that begins in place, its first hit counted."""
    entries, stats, size = wc.entries, wc.stats, wc.config.block_size
    write, data_start = wc.cache.write, wc.config.data_start
    position = 0
    failed = False
    for first, length in entries.runs_in_place(sector, n_blocks):
        if position:
            is_new = entries.seq_counts[first] >= wc.seq_count
            stats[WRITE_HITS_UNCOMMITTED if is_new else WRITE_HITS_COMMITTED] += 1
        if not wc.overwrote_committed:
            # In place: what a crash leaves of it is flushed with the next commit.
            wc.overwrote_committed = entries.any_below(wc.seq_count, first, length)
        stats[WRITES_ALLOCATE] += length - 1
        _will_commit(wc)
        end = position + length * size
        try:
            write(data_start + first * size, data[position:end])
        except OSError:
            failed = True
        position = end
    stats[WRITES] += position // size
    return Piece(position >> 9, failed=failed)


def _will_commit(wc: Cache) -> None:
    """See that what was written will be committed."""
    if wc.uncommitted_blocks >= wc.config.autocommit_blocks:
        wc.uncommitted_blocks = 0
        wc.enqueue(FLUSH)
    elif wc.autocommit_at is None:
        wc.schedule_autocommit()


def _store_run(wc: Cache, first: int, n_blocks: int, data: memoryview, fresh: bool) -> Piece:
    """Store a piece's data, and see that it will be committed."""
    config = wc.config
    _will_commit(wc)
    size = n_blocks * config.block_size
    failed = False
    try:
        wc.cache.write(wc.data_of(first), data if len(data) == size else data[:size])
    except OSError:
        failed = True
        if fresh:
            wc.unwritten.update(range(first, first + n_blocks))
    else:
        if wc.unwritten:
            wc.unwritten.difference_update(range(first, first + n_blocks))
    return Piece(n_blocks * config.block_sectors, failed=failed)


def write_around(wc: Cache, sector: int, n_sectors: int) -> Piece:
    """Let a write go past the cache, up to the next cached sector."""
    taken = wc.entries.following(sector, sector + n_sectors) - sector
    n_blocks = taken // wc.config.block_sectors
    wc.stats[WRITES] += n_blocks
    wc.stats[WRITES_AROUND] += n_blocks
    return Piece(taken, around=True)


def map_flush(wc: Cache) -> bool:
    """Commit; the origin's flush is the caller's.  False where an error was met, or stands."""
    if wc.error:
        return False
    wc.stats[FLUSHES] += 1
    commit.flush(wc)
    return not wc.error


def map_discard(wc: Cache, sector: int, n_sectors: int) -> bool:
    """Forget the blocks of a range, durably; the origin's discard is the caller's.

    Blocks under writeback stay: their copy may land after the discard.  False after an error.
    """
    wc.stats[DISCARDS] += n_sectors // wc.config.block_sectors
    if wc.error:
        return False
    state = wc.entries.state
    found = wc.entries.in_range(sector, sector + n_sectors)
    indices = [index for index in found if state[index] not in (IN_PROGRESS, FREE)]
    for index in indices:
        if not wc.is_committed(index):
            wc.uncommitted_blocks = wrap32(wc.uncommitted_blocks - 1)
        wc.free_entry(index)
    if indices:
        commit.write_metadata(wc)
    return True

"""Requests in persistent-memory mode: block by block, and never over a committed block.

A read takes cached blocks as long as they follow one another.  A write goes into the cache unless
that is being emptied: over an uncommitted block in place, else into a free one; where none is free
it waits, even if its sector is not cached, having stored its beginning perhaps.  At its end, with
FUA or when enough is uncommitted, comes the commit; so it does where its end goes past the cache,
because its beginning may be in it.
"""

from writecache_impl.engine import commit
from writecache_impl.engine.entries import NONE
from writecache_impl.engine.requests import WAITS, Piece, write_around
from writecache_impl.engine.state import (
    WRITE_HITS_COMMITTED,
    WRITE_HITS_UNCOMMITTED,
    WRITES,
    WRITES_ALLOCATE,
    WRITES_BLOCKED,
    Cache,
)


def map_write_pmem(wc: Cache, sector: int, data: memoryview, fua: bool = False) -> Piece:
    """Store one block, or learn how far the write goes past the cache, or that it has to wait."""
    entries, stats, config = wc.entries, wc.stats, wc.config
    if wc.error:
        stats[WRITES] += len(data) // config.block_size
        return Piece(len(data) // 512, failed=True)
    index = entries.find(sector)
    fresh = index < 0 or wc.is_committed(index)
    if not fresh:
        stats[WRITE_HITS_UNCOMMITTED] += 1
    elif index < 0 and (wc.cleaner or config.metadata_only):
        if fua:
            commit.flush(wc)
            if commit.must_stop(wc):
                return Piece(len(data) // 512, failed=True)
        return write_around(wc, sector, len(data) // 512)
    else:
        if index >= 0:
            stats[WRITE_HITS_COMMITTED] += 1
        if entries.current_free == NONE:
            stats[WRITES_BLOCKED] += 1
            return WAITS
        index = entries.take_run(1, sector, wc.seq_count, wc.now())
        wc.allocated(index, 1)
        stats[WRITES_ALLOCATE] += 1
    stats[WRITES] += 1
    try:
        wc.cache.write(wc.data_of(index), data[: config.block_size])
    except OSError:
        wc.fail("error writing data")
        if fresh:
            # It holds nothing that anybody wrote; what was there before shows again.
            wc.free_entry(index)
        return Piece(config.block_sectors, failed=True)
    return Piece(config.block_sectors)


def end_write_pmem(wc: Cache, fua: bool) -> bool:
    """A write has been stored to its end: commit it where that is due.  False after an error."""
    if fua or wc.uncommitted_blocks >= wc.config.autocommit_blocks:
        commit.flush(wc)
        return not (fua and wc.error)
    wc.schedule_autocommit()
    return True

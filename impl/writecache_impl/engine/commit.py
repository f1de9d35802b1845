"""The commit: how uncommitted entries become durable, all at once.

Entries are written under the count of the commit under way, so recovery does not see them until one
word of the superblock is raised above it.  In SSD mode:

1. free what must not be committed: entries that a newer uncommitted one of their sector replaces
   (two with one count could not be told apart), and blocks that no write has reached;
2. write the regions of the metadata that hold uncommitted entries, and flush the cache device; that
   makes their data durable too, which was stored before, under the lock;
3. raise the count and write the superblock, durably: **the commit point**;
4. free the older versions that the new ones replace, write their regions, flush.

In persistent-memory mode entries and data were stored as the requests came: 2 is a flush, 3 is one
store and a flush, 4 ends with a flush.

A power loss before 3 is complete recovers what was before, one after it what comes after: an older
and a newer entry of a sector may then both be found, and the greater count wins.  After an error
nothing goes on: the count is not raised, nothing is freed, and the error stays.
"""

from collections.abc import Iterable, Iterator

from writecache_impl.engine.entries import IN_PROGRESS
from writecache_impl.engine.state import Cache
from writecache_spec.codec import SUPERBLOCK_FIELDS
from writecache_spec.layout import ENTRY_SIZE, REGION_SIZE, SUPERBLOCK_SIZE, bitmap_bits
from writecache_spec.units import wrap64


def flush(wc: Cache) -> None:
    """Commit every uncommitted entry; where there is none, flush what was overwritten in place."""
    wc.uncommitted_blocks = 0
    wc.autocommit_at = None
    drop_superseded(wc)
    uncommitted = list(uncommitted_entries(wc))
    if not uncommitted:
        if wc.overwrote_committed:
            disk_flush(wc)
            wc.overwrote_committed = False
        return
    if not wc.config.pmem_mode:
        mark_dirty(wc, uncommitted)
    write_metadata(wc)
    if must_stop(wc):
        return
    raise_seq_count(wc)
    if must_stop(wc):
        return
    free_replaced(wc, uncommitted)


def must_stop(wc: Cache) -> bool:
    """Whether a commit, or what asked for it, ends here: an error was met."""
    return wc.error


def uncommitted_entries(wc: Cache) -> Iterator[int]:
    """Uncommitted entries, the newest first: they are at the recent end of the LRU."""
    entries, seq_count = wc.entries, wc.seq_count
    ring = entries.n_blocks
    at = entries.to_older[ring]
    while at != ring and entries.seq_counts[at] >= seq_count:
        yield at
        at = entries.to_older[at]


def drop_superseded(wc: Cache) -> None:
    """Free uncommitted entries that must not be committed."""
    dropped = set(wc.unwritten)
    entries = wc.entries
    if entries.duplicates:
        for index in uncommitted_entries(wc):
            if index in dropped:
                continue
            older = entries.older(index)
            while older >= 0 and not wc.is_committed(older):
                dropped.add(older)
                older = entries.older(older)
    for index in sorted(dropped):
        wc.free_entry(index)


def free_replaced(wc: Cache, committed: list[int]) -> None:
    """Free the older versions of what was just committed, and make that durable.

    A copy under way frees its blocks itself when it ends.
    """
    if not wc.entries.duplicates:
        return
    freed = False
    for index in reversed(committed):
        replaced = wc.entries.older(index)
        if replaced >= 0 and not in_progress(wc, replaced):
            wc.free_entry(replaced)
            freed = True
    if freed:
        write_metadata(wc)


def in_progress(wc: Cache, index: int) -> bool:
    """Whether a block is under writeback."""
    return wc.entries.state[index] == IN_PROGRESS


def mark_dirty(wc: Cache, indices: Iterable[int]) -> None:
    """Let the next commit write these entries."""
    wc.dirty.update((SUPERBLOCK_SIZE + index * ENTRY_SIZE) // REGION_SIZE for index in indices)


def mark_all_dirty(wc: Cache) -> None:
    """Let the next commit write the whole metadata area."""
    if not wc.config.pmem_mode:
        wc.dirty.update(range(bitmap_bits(wc.config.metadata_size)))


def write_metadata(wc: Cache) -> None:
    """Write all dirty regions, then flush the cache device (`writecache_commit_flushed`)."""
    view = memoryview(wc.metadata)
    for first, end in dirty_runs(wc.dirty):
        begin = first * REGION_SIZE
        stop = min(end * REGION_SIZE, wc.config.metadata_size)
        try:
            wc.cache.write(wc.config.start + begin, view[begin:stop])
        except OSError:
            wc.fail("error writing metadata")
    disk_flush(wc)
    wc.dirty.clear()


def dirty_runs(regions: Iterable[int]) -> list[tuple[int, int]]:
    """Neighbouring regions, each run with its first one and the one behind its last.

    >>> dirty_runs({3, 0, 1})
    [(0, 2), (3, 4)]
    """
    runs: list[tuple[int, int]] = []
    for region in sorted(regions):
        if runs and runs[-1][1] == region:
            runs[-1] = runs[-1][0], region + 1
        else:
            runs.append((region, region + 1))
    return runs


def disk_flush(wc: Cache) -> None:
    """Flush the cache device; an error is set if that fails."""
    try:
        wc.cache.flush()
    except OSError:
        wc.fail("error flushing metadata")


def raise_seq_count(wc: Cache) -> None:
    """The commit point."""
    wc.seq_count = wrap64(wc.seq_count + 1)
    begin, end = SUPERBLOCK_FIELDS["seq_count"]
    wc.metadata[begin:end] = wc.seq_count.to_bytes(8, "little")
    wc.overwrote_committed = False
    if wc.config.pmem_mode:
        wc.store(begin, end - begin)
        disk_flush(wc)
        return
    superblock = memoryview(wc.metadata)[: wc.config.superblock_size]
    try:
        wc.cache.write(wc.config.start, superblock, fua=True)
    except OSError:
        wc.fail("error writing superblock")

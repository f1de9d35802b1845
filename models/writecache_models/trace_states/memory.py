"""A cache's memory, as the trace explorer shows it."""

from typing import Any, Final

from writecache_models.trace_states.pool import Pool
from writecache_models.trace_states.words import blocks, exact, ranges, request
from writecache_spec.layout import bitmap_bits
from writecache_spec.state import State, Waiter, entry_is_committed
from writecache_spec.units import U64_MAX, ByteCount, bytes_of

MOST_ENTRIES: Final = 400
"""Entries in use that are listed; of more, how many there are."""


def memory_in(pool: Pool, wc: State | None) -> int | None:
    """The number of what is in memory; None where there is no cache.

    An object of numbers: `entries`, rows `[block, sector, seq_count, [what is to be said]]` of the
    entries in use; `lists`, rows `[name, content]`; `facts`, likewise.
    """
    if wc is None:
        return None
    rows = _entries(wc)
    return pool.add(
        {
            "blocks": wc.config.n_blocks,
            "used": len(rows),
            "entries": pool.add(rows[:MOST_ENTRIES]),
            "lists": pool.add(_lists(wc)),
            "facts": pool.add(_facts(wc)),
        }
    )


def _entries(wc: State) -> list[Any]:
    if not len(wc.entries):
        return []
    newest = {held[-1] for _, held in wc.tree.items()}
    rows = []
    for index, entry in enumerate(wc.entries):
        if entry.seq_count == U64_MAX:
            continue
        said = ["committed" if entry_is_committed(wc, entry) else "uncommitted"]
        if not wc.poisoned and index not in newest:
            said.append("older version")
        if entry.write_in_progress:
            said.append("writeback")
        rows.append([index, exact(entry.original_sector), exact(entry.seq_count), said])
    return rows


def _lists(wc: State) -> list[Any]:
    free = ranges(block for _, block in wc.freelist.items())
    following = "" if wc.current_free is None else f"; the next one is {wc.current_free}"
    lru = ranges(block for _, block in wc.lru.items())
    n_regions = bitmap_bits(bytes_of(wc.config.metadata_sectors))
    dirty = ranges(bit for bit in range(n_regions) if wc.dirty_regions >> bit & 1)
    tree = "; ".join(
        f"{sector}: {', '.join(map(str, held))}"
        for sector, held in list(wc.tree.items())[:MOST_ENTRIES]
    )
    rows = [
        ["free list", f"{free}{following}" if free else "empty", blocks(len(wc.freelist))],
        ["LRU, oldest first", lru or "empty", blocks(len(wc.lru))],
        ["tree, sector: blocks", tree or "empty", ""],
        ["dirty regions", dirty or "none", f"of {n_regions}"],
        *_under_way(wc),
    ]
    if wc.poisoned:
        rows.append(["these lists", "must not be used before the next resume", ""])
    return rows


def _under_way(wc: State) -> list[Any]:
    """What waits, or runs."""
    found = []
    if wc.flush_list:
        waiting = "; ".join(map(request, wc.flush_list))
        found.append(["flush thread's list", waiting, ""])
    if wc.writeback is not None:
        jobs = "; ".join(ranges(job.blocks) for job in wc.writeback.jobs)
        found.append(["writeback", wc.writeback.phase.value, f"to submit: {jobs}" if jobs else ""])
    for name, ended in (("copied", wc.endio_list), ("being freed", wc.endio_taken)):
        if ended:
            said = "; ".join(ranges(job.blocks) + " failed" * failed for job, failed in ended)
            found.append([name, f"blocks {said}", ""])
    if wc.sleeping:
        who = sorted(
            one.value if isinstance(one, Waiter) else f"request {one}" for one in wc.sleeping
        )
        found.append(["asleep for a free block", ", ".join(who), ""])
    return found


_STATS: Final = {
    "reads": "reads",
    "read_hits": "read hits",
    "writes": "writes",
    "write_hits_uncommitted": "write hits, uncommitted",
    "write_hits_committed": "write hits, committed",
    "writes_around": "writes around",
    "writes_allocate": "writes that allocate",
    "writes_blocked_on_freelist": "writes blocked on the free list",
    "flushes": "flushes",
    "discards": "discards",
}


def _facts(wc: State) -> list[Any]:
    """What is worth to be said in any case, then whatever is not at rest."""
    config = wc.config
    rows: list[list[Any]] = [
        ["sequence count", exact(wc.seq_count)],
        ["superblock's count, in memory", exact(wc.superblock.seq_count)],
        ["uncommitted blocks", wc.uncommitted_blocks],
        ["blocks under writeback", wc.writeback_size],
        ["writeback begins at", f"{wc.freelist_high_watermark} free or fewer"],
        ["writeback ends above", f"{wc.freelist_low_watermark} free"],
        ["block size", f"{ByteCount(config.block_size)} bytes"],
        ["block 0 at cache sector", config.data_start],
    ]
    flags = {
        "error": wc.error,
        "suspended": wc.suspended,
        "cleaner": wc.cleaner,
        "flush on suspend": wc.flush_on_suspend,
        "overwrote committed blocks": wc.overwrote_committed,
    }
    rows += [[name, "yes"] for name, is_set in flags.items() if is_set]
    counters = {
        "reads of the cache in flight": wc.reads_in_progress,
        "writes of the cache in flight": wc.writes_in_progress,
        "who wants everything written back": wc.writeback_all,
        "writes of the origin in flight": wc.origin_writes_in_flight,
    }
    rows += [[name, count] for name, count in counters.items() if count]
    if config.profile.has_statistics:
        rows += [[_STATS[name], count] for name, count in wc.stats._asdict().items() if count]
    return rows

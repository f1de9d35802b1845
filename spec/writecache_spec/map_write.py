"""Writes: overwrite in place, take free blocks, or go past the cache.

What decides is the newest entry of the first sector:
  * uncommitted: overwrite it in place: nobody was promised the old data;
  * committed, not under writeback: overwrite it in place too (SSD mode), and remember that the
    cache device must be flushed;
  * committed and being copied to the origin: take a free block; the older entry goes when both the
    new one is committed and the copy has ended.  Without a free block, sleep until there is one;
  * none: take a free block, or go past the cache if there is none or the cache is being emptied.

A request of several blocks goes on as long as the cache blocks that follow suit: over neighbours
that can be overwritten, or over free neighbours.  The latter does not look whether those sectors
are cached already, and makes duplicates of them; their commit sorts them out.

A crash loses what was not committed: the entry's sequence count hides it from recovery.  A block
that was overwritten in place may after a crash hold old and new sectors in any mixture.

Describes `writecache_map_write` and `writecache_bio_copy_ssd`.
"""

from typing import NamedTuple

from writecache_spec.effects import QueueWork, Remap, StartTimer, Timer, Work
from writecache_spec.entries import allocate, find_newest, next_in_tree
from writecache_spec.events import Bio, BioPrivate, Device
from writecache_spec.repairs import Repair
from writecache_spec.state import State, Stats, cache_sector, entry_is_committed, mends
from writecache_spec.transcript import Transcript
from writecache_spec.units import BlockIndex, Jiffies, Sector, wrap64
from writecache_spec.write_around import refuse_write, sleep_for_free_block, write_around


class _Run(NamedTuple):
    """Neighbouring cache blocks that a request is about to be written to."""

    first: BlockIndex
    n_blocks: int
    overwrites: bool


def map_write(wc: State, bio: Bio, now: Jiffies, transcript: Transcript) -> State:
    """Take a write, or as much of its beginning as goes to one place."""
    stats = wc.stats
    if wc.error:
        return refuse_write(wc, bio, bio, transcript)
    found = find_newest(wc, bio.sector)
    if found is None:
        uncached = wc.config.metadata_only and not bio.meta
        if wc.cleaner or uncached or wc.current_free is None:
            return write_around(wc, bio, transcript)
    else:
        entry = wc.entries[found]
        if not entry_is_committed(wc, entry):
            uncommitted_hits = stats.write_hits_uncommitted + 1
            wc = wc._replace(stats=stats._replace(write_hits_uncommitted=uncommitted_hits))
            return _overwrite(wc, bio, found, now, transcript)
        stats = stats._replace(write_hits_committed=stats.write_hits_committed + 1)
        if not entry.write_in_progress:
            wc = wc._replace(overwrote_committed=True, stats=stats)
            return _overwrite(wc, bio, found, now, transcript)
        wc = wc._replace(stats=stats)
        if wc.current_free is None:
            return sleep_for_free_block(wc, bio, transcript)
    return _write_to_free_blocks(wc, bio, now, transcript)


def _overwrite(
    wc: State, bio: Bio, first: BlockIndex, now: Jiffies, transcript: Transcript
) -> State:
    n_wanted = bio.n_sectors // wc.config.block_sectors
    n_blocks = 1
    if not wc.config.profile.overwrite_coalesces:
        wc, n_blocks = _extend_over_free(wc, bio, first, n_wanted, now, transcript)
    else:
        last = first
        while n_blocks < n_wanted:
            neighbour = next_in_tree(wc, last)
            if neighbour is None or neighbour != last + 1:
                break
            entry = wc.entries[neighbour]
            expected = wrap64(wc.entries[last].original_sector + wc.config.block_sectors)
            if entry.original_sector != expected or entry.write_in_progress:
                break
            if mends(wc, Repair.OVERWRITE_NEWEST) and find_newest(wc, expected) != neighbour:
                break
            if entry_is_committed(wc, entry):
                wc = wc._replace(overwrote_committed=True)
            last = neighbour
            n_blocks += 1
    return _remap_cache(wc, bio, _Run(first, n_blocks, overwrites=True), transcript)


def _write_to_free_blocks(wc: State, bio: Bio, now: Jiffies, transcript: Transcript) -> State:
    first = wc.current_free
    assert first is not None
    wc = allocate(wc, transcript, bio.sector, now)
    n_wanted = bio.n_sectors // wc.config.block_sectors
    wc, n_blocks = _extend_over_free(wc, bio, first, n_wanted, now, transcript)
    return _remap_cache(wc, bio, _Run(first, n_blocks, overwrites=False), transcript)


def _extend_over_free(
    wc: State, bio: Bio, first: BlockIndex, n_wanted: int, now: Jiffies, transcript: Transcript
) -> tuple[State, int]:
    """Take the blocks behind `first` as long as each is the one that is free next."""
    n_blocks = 1
    while n_blocks < n_wanted and wc.current_free == first + n_blocks:
        sector = wrap64(bio.sector + n_blocks * wc.config.block_sectors)
        wc = allocate(wc, transcript, sector, now)
        n_blocks += 1
    return wc, n_blocks


def _remap_cache(wc: State, bio: Bio, run: _Run, transcript: Transcript) -> State:
    """Send the request to a run of cache blocks, and see that it will be committed."""
    config = wc.config
    uncommitted_blocks = wc.uncommitted_blocks
    offloads_fua = config.profile.offloads_fua or mends(wc, Repair.FUA_COMMITS)
    fua = bio.fua and offloads_fua
    transcript.tell(
        Remap(
            bio,
            Device.CACHE,
            cache_sector(config, run.first),
            Sector(run.n_blocks * config.block_sectors),
            BioPrivate.FUA_IN_PROGRESS if fua else BioPrivate.IN_PROGRESS,
        )
    )
    if uncommitted_blocks >= config.autocommit_blocks:
        uncommitted_blocks = 0
        transcript.tell(QueueWork(Work.FLUSH))
    else:
        transcript.tell(StartTimer(Timer.AUTOCOMMIT, config.autocommit_jiffies))
    return wc._replace(
        uncommitted_blocks=uncommitted_blocks,
        writes_in_progress=wc.writes_in_progress + 1,
        stats=_count_write(wc.stats, run, config.profile.overwrite_counts_as_allocate),
    )


def _count_write(stats: Stats, run: _Run, overwrites_count: bool) -> Stats:
    allocated = 0 if run.overwrites else 1
    if not run.overwrites or overwrites_count:
        allocated += run.n_blocks - 1
    return stats._replace(
        writes=stats.writes + run.n_blocks, writes_allocate=stats.writes_allocate + allocated
    )

"""Reads and writes in persistent-memory mode: copied by the processor, block by block.

A read takes cached blocks as long as they follow one another; from the first that is not cached the
request goes on to the origin, up to the next cached sector.  A load can end in a hardware memory
error: the read goes on, and fails in the end.

A write goes into the cache unless the cache is being emptied:
  * over an uncommitted block, in place;
  * over a committed one never: a crash could tear it.  It takes a free block, and the older one
    goes when the new one is committed, and not under writeback;
  * where no block is free it waits, even if the sector is not cached: having stored some of its
    blocks, perhaps.  What is left is mapped again.

At its end it is reported: with FUA, or when enough is uncommitted, the commit comes first.  Not so
where its end goes past the cache: that is a finding.

Data and entry are stored, in any order, and no fence is needed before the commit: until then the
entry's sequence count hides both from recovery.

Describes `writecache_map_read`, `writecache_map_write` and `bio_copy_block` of that mode.
"""

from writecache_spec.commit import flush
from writecache_spec.effects import Complete, LoadBlock, Remap, StartTimer, StoreBlock, Timer
from writecache_spec.entries import allocate, find_newest
from writecache_spec.events import Bio, BioPrivate
from writecache_spec.repairs import Repair
from writecache_spec.state import State, entry_is_committed, mends
from writecache_spec.transcript import Transcript
from writecache_spec.units import BlockIndex, Jiffies, Sector
from writecache_spec.write_around import (
    read_around,
    refuse_write,
    sleep_for_free_block,
    write_around,
)


def read_pmem(wc: State, request: Bio, transcript: Transcript) -> State:
    """Take a read, or its beginning up to the next cached sector after one that is not."""
    bio = request
    while bio.n_sectors:
        index = find_newest(wc, bio.sector)
        if index is None:
            return _read_rest(wc, bio, transcript)
        stats = wc.stats
        wc = wc._replace(stats=stats._replace(reads=stats.reads + 1, read_hits=stats.read_hits + 1))
        load = LoadBlock(_first_block(wc, bio), index)
        wc = transcript.do(wc, load, "hardware memory error when reading data")
        bio = _without_first_block(wc, bio)
    transcript.tell(Complete(request, "EIO" if transcript.has_failed else None))
    return wc


def _read_rest(wc: State, bio: Bio, transcript: Transcript) -> State:
    """The origin has what follows; what has failed before fails the whole."""
    wc = read_around(wc, bio, transcript)
    if transcript.has_failed:
        remap = transcript.effects.pop()
        assert isinstance(remap, Remap)
        transcript.tell(remap._replace(private=BioPrivate.FAILED))
    return wc


def write_pmem(wc: State, request: Bio, now: Jiffies, transcript: Transcript) -> State:
    """Take a write, or its beginning up to where it goes past the cache, or must wait."""
    bio = request
    while bio.n_sectors:
        stats = wc.stats
        if wc.error:
            return refuse_write(wc, request, bio, transcript)
        index = find_newest(wc, bio.sector)
        if index is not None and not entry_is_committed(wc, wc.entries[index]):
            hits = stats.write_hits_uncommitted + 1
            wc = wc._replace(stats=stats._replace(write_hits_uncommitted=hits))
        else:
            if index is None and (wc.cleaner or (wc.config.metadata_only and not bio.meta)):
                if request.fua and mends(wc, Repair.FUA_COMMITS_BEGINNING):
                    # Its beginning may have been stored before it slept, too.
                    wc = flush(wc, transcript)
                return write_around(wc, bio, transcript)
            if index is not None:
                hits = stats.write_hits_committed + 1
                wc = wc._replace(stats=stats._replace(write_hits_committed=hits))
            if wc.current_free is None:
                return sleep_for_free_block(wc, bio, transcript)
            wc, index = _allocate(wc, bio, now, transcript)
        transcript.tell(StoreBlock(_first_block(wc, bio), index))
        wc = wc._replace(stats=wc.stats._replace(writes=wc.stats.writes + 1))
        bio = _without_first_block(wc, bio)
    if request.fua or wc.uncommitted_blocks >= wc.config.autocommit_blocks:
        wc = flush(wc, transcript)
    else:
        transcript.tell(StartTimer(Timer.AUTOCOMMIT, wc.config.autocommit_jiffies))
    transcript.tell(Complete(request, None))
    return wc


def _allocate(
    wc: State, bio: Bio, now: Jiffies, transcript: Transcript
) -> tuple[State, BlockIndex]:
    index = wc.current_free
    assert index is not None
    wc = allocate(wc, transcript, bio.sector, now)
    stats = wc.stats
    return wc._replace(stats=stats._replace(writes_allocate=stats.writes_allocate + 1)), index


def _first_block(wc: State, bio: Bio) -> Bio:
    return bio._replace(n_sectors=wc.config.block_sectors)


def _without_first_block(wc: State, bio: Bio) -> Bio:
    size = wc.config.block_sectors
    return bio._replace(sector=Sector(bio.sector + size), n_sectors=Sector(bio.n_sectors - size))

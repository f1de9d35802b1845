"""Map: where a request goes.

device-mapper offers a request from its first sector on; the target accepts a part, and the rest
comes back as a request of its own.  So every piece is either wholly in the cache or wholly past it.

* A flush goes to the flush thread; its second copy goes straight to the origin.
* A discard goes to the flush thread too.
* A read of a cached block goes to the cache device, one block at a time; any other read goes to the
  origin, up to the next cached sector.
* Writes: see `map_write`.

In persistent-memory mode nothing is offloaded: a flush commits, and a discard frees, before `map`
returns; reads and writes are copied there and then (`map_pmem`).

Describes `writecache_map`, `writecache_map_read`, `writecache_map_flush`,
`writecache_map_discard`, `writecache_offload_bio` and `writecache_end_io`.
"""

from writecache_spec.commit import flush
from writecache_spec.discard import discard
from writecache_spec.effects import Complete, Log, Remap
from writecache_spec.entries import find_newest, free_entry
from writecache_spec.events import Bio, BioPrivate, Device, EndIo, Map, Op
from writecache_spec.map_pmem import read_pmem, write_pmem
from writecache_spec.map_write import map_write
from writecache_spec.repairs import Repair
from writecache_spec.state import State, cache_sector, entry_is_committed, mends
from writecache_spec.transcript import Transcript, require, wait_for_reads, wait_for_writes
from writecache_spec.units import Sector, bytes_of
from writecache_spec.write_around import read_around, remap_origin


def map_bio(wc: State, event: Map, transcript: Transcript) -> State:
    """Take a request, or as much of its beginning as goes to one place."""
    bio = event.bio
    require(not wc.poisoned, "the device is suspended")
    require(bio.tag not in wc.sleeping, "the request sleeps")
    if bio.op is Op.FLUSH:
        return _map_flush(wc, bio, transcript)
    if (bio.sector | bio.n_sectors) & (wc.config.block_sectors - 1):
        transcript.tell(
            Log(
                f"I/O is not aligned, sector {bio.sector}, size {bytes_of(bio.n_sectors)}, "
                f"block size {wc.config.block_size}"
            )
        )
        transcript.tell(Complete(bio, "EIO"))
        return wc
    pmem_mode = wc.config.pmem_mode
    match bio.op:
        case Op.READ if pmem_mode:
            return read_pmem(wc, bio, transcript)
        case Op.READ:
            return _map_read(wc, bio, transcript)
        case Op.WRITE if pmem_mode:
            return write_pmem(wc, bio, event.now, transcript)
        case Op.WRITE:
            return map_write(wc, bio, event.now, transcript)
        case Op.DISCARD:
            return _map_discard(wc, bio, transcript)


def _map_read(wc: State, bio: Bio, transcript: Transcript) -> State:
    config = wc.config
    stats = wc.stats
    index = find_newest(wc, bio.sector)
    if index is None:
        return read_around(wc, bio, transcript)
    if not entry_is_committed(wc, wc.entries[index]):
        wait_for_writes(wc)
        if index in wc.unwritten:
            # A repair: its write has failed, so it holds nothing that anybody wrote.
            wait_for_reads(wc)
            return _map_read(free_entry(wc, transcript, index), bio, transcript)
    transcript.tell(
        Remap(
            bio,
            Device.CACHE,
            cache_sector(config, index),
            config.block_sectors,
            BioPrivate.IN_PROGRESS,
        )
    )
    return wc._replace(
        reads_in_progress=wc.reads_in_progress + 1,
        stats=stats._replace(reads=stats.reads + 1, read_hits=stats.read_hits + 1),
    )


def _map_flush(wc: State, bio: Bio, transcript: Transcript) -> State:
    if wc.error:
        transcript.tell(Complete(bio, "EIO"))
        return wc
    if bio.flush_number:
        return remap_origin(wc, bio, None, transcript)[0]
    wc = wc._replace(stats=wc.stats._replace(flushes=wc.stats.flushes + 1))
    if not wc.config.pmem_mode:
        return wc._replace(flush_list=(*wc.flush_list, bio))
    wc = flush(wc, transcript)
    goes_past = wc.cleaner or wc.config.metadata_only
    if goes_past or mends(wc, Repair.FLUSH_REACHES_ORIGIN):
        # Only then writes go past the cache; but they may have before a reload.
        return remap_origin(wc, bio, None, transcript)[0]
    transcript.tell(Complete(bio, None))
    return wc


def _map_discard(wc: State, bio: Bio, transcript: Transcript) -> State:
    n_blocks = bio.n_sectors // wc.config.block_sectors
    wc = wc._replace(stats=wc.stats._replace(discards=wc.stats.discards + n_blocks))
    if wc.error:
        transcript.tell(Complete(bio, "EIO"))
        return wc
    if not wc.config.pmem_mode:
        return wc._replace(flush_list=(*wc.flush_list, bio))
    wc = discard(wc, transcript, bio.sector, Sector(bio.sector + bio.n_sectors))
    transcript.tell(Remap(bio, Device.ORIGIN, bio.sector, bio.n_sectors, BioPrivate.NONE))
    return wc


def end_io(wc: State, event: EndIo, transcript: Transcript) -> State:
    """A piece of a request is done: take it off what is in flight."""
    match event.private:
        case BioPrivate.NONE:
            return wc
        case BioPrivate.FAILED:
            transcript.tell(Complete(event.bio, "EIO"))
            return wc
        case BioPrivate.ORIGIN_WRITE:
            require(wc.origin_writes_in_flight, "no write past the cache is in flight")
            in_flight = wc.origin_writes_in_flight - 1
            idle_since = wc.origin_idle_since if in_flight else event.now
            return wc._replace(origin_writes_in_flight=in_flight, origin_idle_since=idle_since)
        case BioPrivate.IN_PROGRESS if event.bio.op is Op.READ:
            require(wc.reads_in_progress, "no read of the cache device is in flight")
            return wc._replace(reads_in_progress=wc.reads_in_progress - 1)
        case BioPrivate.IN_PROGRESS | BioPrivate.FUA_IN_PROGRESS:
            require(wc.writes_in_progress, "no write of the cache device is in flight")
            wc = wc._replace(writes_in_progress=wc.writes_in_progress - 1)
            if wc.unwritten and not event.failed:
                wc = wc._replace(unwritten=wc.unwritten.difference(event.blocks))
            if event.private is BioPrivate.FUA_IN_PROGRESS and not event.failed:
                wc = wc._replace(flush_list=(*wc.flush_list, event.bio))
            return wc

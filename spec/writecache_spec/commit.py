"""The commit: how uncommitted entries become durable, all at once.

An entry is committed when its sequence count is below the superblock's.  Entries are written under
the count of the commit under way, so recovery does not see them until one write of the superblock's
first sector raises the count.  In SSD mode:

1. write the metadata regions that hold uncommitted entries (with whatever else is in them),
2. wait until the data of every request is written, and flush the cache device;
3. raise the count and write the superblock with FUA: **the commit point**;
4. free the older entries that the new ones replace, write their regions, flush.

In persistent-memory mode entries and data were stored as the requests came, and the count is one
word of 8 bytes.  So 1 and 2 are a fence; 3 is a store, and a fence; 4 ends with a fence.

A crash before 3 is complete recovers the state before, a crash after it the state after: an older
and a newer entry of one sector may both be found, and recovery takes the greater count.

Describes `writecache_flush`, `writecache_commit_flushed`, `ssd_commit_flushed` and
`ssd_commit_superblock`; `writecache_flush_entry`, `writecache_flush_region` and
`writecache_flush_all_metadata`, which mark regions; and `writecache_notify_io`: a commit waits for
its I/O.
"""

from writecache_spec.effects import (
    Fence,
    Metadata,
    StopTimer,
    StoreSuperblock,
    Timer,
    WriteMetadata,
)
from writecache_spec.entries import free_entry, older_duplicate, uncommitted_entries
from writecache_spec.events import Device
from writecache_spec.layout import REGION_SECTORS, bitmap_bits, entry_region
from writecache_spec.mended import drop_superseded, must_stop
from writecache_spec.profile import SuperblockWrite
from writecache_spec.repairs import Repair
from writecache_spec.state import Config, State, mends
from writecache_spec.transcript import Transcript, disk_flush, wait_for_reads, wait_for_writes
from writecache_spec.units import BlockIndex, Sector, SequenceCount, bytes_of, sectors_of, wrap64


def flush(wc: State, transcript: Transcript) -> State:
    """Commit every uncommitted entry.

    Where nothing is uncommitted there may still be committed blocks that were overwritten in place:
    then the cache device is flushed, and no metadata changes.
    """
    wc = wc._replace(uncommitted_blocks=0)
    transcript.tell(StopTimer(Timer.AUTOCOMMIT))
    wc = drop_superseded(wc, transcript)
    uncommitted = uncommitted_entries(wc)
    if not uncommitted:
        anything = wc.lru or mends(wc, Repair.FLUSH_UNDER_WRITEBACK)
        if wc.overwrote_committed and anything:
            wait_for_writes(wc)
            wc = disk_flush(wc, transcript, Device.CACHE)._replace(overwrote_committed=False)
        return wc

    wc = commit_flushed(_mark_dirty(wc, uncommitted), transcript, data_too=True)
    if must_stop(wc):
        return wc

    seq_count = SequenceCount(wrap64(wc.seq_count + 1))
    wc = wc._replace(
        seq_count=seq_count,
        superblock=wc.superblock._replace(seq_count=seq_count),
        overwrote_committed=False,
    )
    wc = _commit_superblock(wc, transcript)
    if must_stop(wc):
        return wc
    return _free_replaced(wc, transcript, uncommitted)


def _free_replaced(wc: State, transcript: Transcript, committed: list[BlockIndex]) -> State:
    """Free the older entries that those just committed replace, and commit that."""
    freed = False
    for index in reversed(committed):
        replaced = older_duplicate(wc, index)
        # A copy under way frees its entry itself when it ends.
        if replaced is not None and not wc.entries[replaced].write_in_progress:
            if mends(wc, Repair.READS_BEFORE_FREEING):
                wait_for_reads(wc)
            wc = free_entry(wc, transcript, replaced)
            freed = True
    return commit_flushed(wc, transcript, data_too=False) if freed else wc


def _mark_dirty(wc: State, indices: list[BlockIndex]) -> State:
    """Let the next commit write these entries; in persistent memory they are stored already."""
    if wc.config.pmem_mode:
        return wc
    dirty_regions = wc.dirty_regions
    for index in indices:
        dirty_regions |= 1 << entry_region(index)
    return wc._replace(dirty_regions=dirty_regions)


def mark_all_dirty(wc: State) -> State:
    """Let the next commit write the whole metadata area."""
    if wc.config.pmem_mode:
        return wc
    return wc._replace(dirty_regions=all_regions(wc.config.metadata_sectors))


def all_regions(metadata_sectors: Sector) -> int:
    """A dirty bit for every region.

    >>> bin(all_regions(Sector(8))), bin(all_regions(Sector(129)))
    ('0b1', '0b11')
    """
    return (1 << bitmap_bits(bytes_of(metadata_sectors))) - 1


def commit_flushed(wc: State, transcript: Transcript, data_too: bool) -> State:
    """Make what the metadata in memory says durable; with `data_too` the data of requests as well.

    In persistent memory a fence does both: everything has been stored.
    """
    if wc.config.pmem_mode:
        transcript.tell(Fence())
        return wc
    return commit_regions(wc, transcript, data_too)


def commit_regions(wc: State, transcript: Transcript, data_too: bool) -> State:
    """Write all dirty regions, then flush the cache device.

    With `data_too` the flush comes after the data of all requests in flight.
    """
    metadata_sectors = wc.config.metadata_sectors
    metadata = Metadata(wc.superblock, wc.entries)
    for region, count in dirty_runs(wc.dirty_regions):
        first = region * REGION_SECTORS
        n_sectors = min(count * REGION_SECTORS, metadata_sectors - first)
        effect = WriteMetadata(Sector(first), Sector(n_sectors), metadata)
        wc = transcript.do(wc, effect, "error writing metadata")
    if data_too:
        wait_for_writes(wc)
    return disk_flush(wc, transcript, Device.CACHE)._replace(dirty_regions=0)


def dirty_runs(bitmap: int) -> list[tuple[int, int]]:
    """Neighbouring dirty regions, each run with its first region and its length.

    >>> dirty_runs(0b1011)
    [(0, 2), (3, 1)]
    """
    runs = []
    position = 0
    while bitmap:
        skipped = (bitmap & -bitmap).bit_length() - 1
        bitmap >>= skipped
        length = (~bitmap & (bitmap + 1)).bit_length() - 1
        bitmap >>= length
        runs.append((position + skipped, length))
        position += skipped + length
    return runs


def _commit_superblock(wc: State, transcript: Transcript) -> State:
    if wc.config.pmem_mode:
        transcript.tell(StoreSuperblock(wc.superblock, ("seq_count",)))
        return commit_flushed(wc, transcript, data_too=False)
    n_sectors = superblock_sectors(wc.config)
    effect = WriteMetadata(Sector(0), n_sectors, Metadata(wc.superblock, wc.entries), fua=True)
    return transcript.do(wc, effect, "error writing superblock")


def superblock_sectors(config: Config) -> Sector:
    """How many sectors the superblock's write carries."""
    match config.profile.superblock_write:
        case SuperblockWrite.BLOCK:
            return config.block_sectors
        case SuperblockWrite.PAGE:
            wanted = config.profile.environment.page_size
        case SuperblockWrite.AT_LEAST_4K:
            wanted = max(4096, config.block_size)
    return Sector(min(sectors_of(wanted), config.metadata_sectors))

"""Resume: rebuild the cache from what its device holds.  Also the recovery after a crash.

Every entry is looked at once, in the order of the blocks:
  * not committed (its count is not below the superblock's): free; where it was not marked free, the
    crash came before its commit, and it is erased;
  * committed, and alone: in the cache;
  * committed, and another entry of the same sector was met: the greater count wins, the other is
    erased.  Equal counts are an error that no crash should leave; the later block wins.

Where anything was erased the whole metadata area is written and flushed.  A crash during that finds
entries erased or not, and the same winner either way.

In persistent-memory mode erasing is a store each, and a fence; blocks become free in the order in
which they are met.  An entry that is hit by a hardware memory error is an error; it counts as free,
and so do all behind it.

If the metadata cannot be read the error is set and the cache is empty: reads then go to the origin.
On a kernel that handles hardware errors the same happens on any resume with the error set.  The
repaired resume fails instead, before anything is changed, and the device stays suspended.

Describes `writecache_resume`, `writecache_read_metadata` and what `writecache_alloc_entries` sets.
"""

from typing import NamedTuple

from writecache_spec.commit import commit_flushed, mark_all_dirty
from writecache_spec.effects import Returned, StartTimer, StoreEntry, Timer
from writecache_spec.entries import verify_watermark
from writecache_spec.events import Device, Resume
from writecache_spec.layout import MemoryEntry, is_committed
from writecache_spec.ordered import OrderedMap
from writecache_spec.repairs import Repair
from writecache_spec.state import FREE, Entry, State, mends
from writecache_spec.transcript import Transcript, disk_flush, report_error, require
from writecache_spec.units import U64_MAX, BlockIndex, Jiffies, SequenceCount
from writecache_spec.vector import Vector
from writecache_spec.writeback import MAX_AGE_DIV


class _Rebuilt(NamedTuple):
    """What the metadata says."""

    by_sector: dict[int, BlockIndex]
    """In the order of insertion."""
    free: list[BlockIndex]
    """In the order in which they became free."""
    erased: list[BlockIndex]
    identical: list[str]
    """Complaints about equal sequence counts."""


def resume(wc: State, event: Resume, transcript: Transcript) -> State:
    """Read the metadata, rebuild tree, LRU and free list, and let requests come."""
    require(wc.suspended and wc.poisoned, "the device is not suspended")
    if wc.error and wc.tree and mends(wc, Repair.RESUME_KEEPS_MEMORY):
        transcript.tell(Returned(None))
        sectors = event.data_device_sectors
        return wc._replace(suspended=False, poisoned=False, data_device_sectors=sectors)
    if mends(wc, Repair.RESUME_REFUSES_UNREADABLE) and (
        event.metadata is None or None in event.metadata[1]
    ):
        transcript.tell(Returned("EIO"))
        return wc
    wc, on_disk = _read(wc, event, transcript)
    seq_count = wc.superblock.seq_count
    rebuilt = _rebuild(on_disk, seq_count)
    if wc.config.pmem_mode:
        for index in rebuilt.erased:
            transcript.tell(StoreEntry(index, FREE.seq_count))
    wc = _adopt(wc, on_disk, rebuilt, event.now)
    wc = wc._replace(
        seq_count=SequenceCount(seq_count),
        data_device_sectors=event.data_device_sectors,
        suspended=False,
        poisoned=False,
    )
    for complaint in rebuilt.identical:
        wc = report_error(wc, transcript, complaint)
    if mends(wc, Repair.RESUME_FLUSHES) and not wc.config.pmem_mode:
        # After a flush that failed the disk may still lose what was read from it.
        wc = disk_flush(wc, transcript, Device.CACHE)
    if rebuilt.erased:
        wc = commit_flushed(mark_all_dirty(wc), transcript, data_too=False)
    verify_watermark(wc, transcript)
    if wc.config.max_age != U64_MAX:
        transcript.tell(StartTimer(Timer.MAX_AGE, Jiffies(wc.config.max_age // MAX_AGE_DIV)))
    transcript.tell(Returned(None))
    return wc


def _read(
    wc: State, event: Resume, transcript: Transcript
) -> tuple[State, tuple[MemoryEntry, ...]]:
    """The entries as they are found, free where the kernel cannot or will not read them."""
    free = MemoryEntry(FREE.original_sector, FREE.seq_count)
    if event.metadata is None:
        complaint = "unable to read metadata"
        if wc.config.pmem_mode:
            complaint = "hardware memory error when reading superblock"
            wc = wc._replace(superblock=wc.superblock._replace(seq_count=0))
        return report_error(wc, transcript, complaint), (free,) * wc.config.n_blocks
    superblock, found = event.metadata
    wc = wc._replace(superblock=superblock)
    on_disk: list[MemoryEntry] = []
    for entry in found:
        if entry is None:
            complaint = "hardware memory error when reading metadata entry"
            wc = report_error(wc, transcript, complaint)
        hidden = wc.error and wc.config.profile.environment.handles_hardware_errors
        on_disk.append(free if entry is None or hidden else entry)
    return wc, tuple(on_disk)


def _rebuild(on_disk: tuple[MemoryEntry, ...], seq_count: int) -> _Rebuilt:
    rebuilt = _Rebuilt({}, [], [], [])
    for number, entry in enumerate(on_disk):
        index = BlockIndex(number)
        if not is_committed(entry.seq_count, seq_count):
            if entry.seq_count != U64_MAX:
                rebuilt.erased.append(index)
            rebuilt.free.append(index)
            continue
        old = rebuilt.by_sector.get(entry.original_sector)
        if old is None:
            rebuilt.by_sector[entry.original_sector] = index
            continue
        old_seq_count = on_disk[old].seq_count
        if old_seq_count == entry.seq_count:
            rebuilt.identical.append(
                f"two identical entries, position {number}, sector {entry.original_sector}, "
                f"sequence {entry.seq_count}"
            )
        loser = index if old_seq_count > entry.seq_count else old
        rebuilt.erased.append(loser)
        rebuilt.free.append(loser)
        if loser is old:
            # Taken out and put in again: the newcomer is the most recent of the LRU.
            del rebuilt.by_sector[entry.original_sector]
            rebuilt.by_sector[entry.original_sector] = index
    return rebuilt


def _adopt(wc: State, on_disk: tuple[MemoryEntry, ...], rebuilt: _Rebuilt, now: Jiffies) -> State:
    """Make entries, tree, LRU and free list of what was found."""
    lru_keys = {index: key for key, index in enumerate(rebuilt.by_sector.values())}
    if wc.config.pmem_mode:
        freelist = OrderedMap(enumerate(rebuilt.free))
    else:
        freelist = OrderedMap((index, index) for index in sorted(rebuilt.free))
    free_keys = {index: key for key, index in freelist.items()} if wc.config.pmem_mode else {}

    def entry_of(index: BlockIndex, found: MemoryEntry) -> Entry:
        if index in lru_keys:
            return Entry(found.original_sector, found.seq_count, now, lru_keys[index])
        if found == (U64_MAX, U64_MAX) and not free_keys:
            return FREE
        free = Entry(found.original_sector, SequenceCount(U64_MAX))
        return free._replace(lru_key=free_keys.get(index, 0))

    return wc._replace(
        entries=Vector(entry_of(BlockIndex(i), found) for i, found in enumerate(on_disk)),
        tree=OrderedMap((sector, (index,)) for sector, index in sorted(rebuilt.by_sector.items())),
        lru=OrderedMap(enumerate(rebuilt.by_sector.values())),
        freelist=freelist,
        current_free=rebuilt.free[0] if rebuilt.free else None,
        sleeping=frozenset(),
    )

"""Finding, taking, freeing and ordering entries: the moves that all operations are made of.

Invariants kept (see `invariants`): every block is in the free list or in the tree, never in both;
the tree lists the entries of one original sector in the order in which they were inserted; a block
in the tree is in the LRU, or under writeback, or was when an error struck.

In SSD mode a move touches the metadata in memory only.  `free_entry` marks its region dirty, so
that the next commit carries it; `allocate` does not: a new entry reaches the device when it is
committed.  In persistent-memory mode both store the entry at once.  Either way its sequence count
keeps a new entry invisible to recovery until it is committed.

Describes `writecache_find_entry`, `writecache_insert_entry`, `writecache_pop_from_freelist`,
`writecache_free_entry`, `writecache_add_to_freelist`, `writecache_unlink`, `clear_seq_count`,
`write_original_sector_seq_count` and `writecache_verify_watermark`.
"""

from collections.abc import Iterator

from writecache_spec.effects import QueueWork, StoreEntry, Work
from writecache_spec.layout import entry_region
from writecache_spec.repairs import Repair
from writecache_spec.state import Entry, State, entry_is_committed, mends
from writecache_spec.transcript import Transcript
from writecache_spec.units import U64_MAX, BlockIndex, Jiffies, Sector, SequenceCount, wrap32


def find_newest(wc: State, sector: int) -> BlockIndex | None:
    """The entry of a sector that was inserted last."""
    indices = wc.tree.get(sector)
    return indices[-1] if indices else None


def following_sector(wc: State, sector: int) -> Sector | None:
    """The least original sector in the cache that is not below `sector`."""
    found = wc.tree.at_or_after(sector)
    return Sector(found[0]) if found else None


def next_in_tree(wc: State, index: int) -> BlockIndex | None:
    """The entry after this one in the order of the tree (`rb_next`)."""
    sector = wc.entries[index].original_sector
    indices = wc.tree.get(sector) or ()
    position = indices.index(BlockIndex(index)) + 1
    if position < len(indices):
        return indices[position]
    following = wc.tree.at_or_after(sector + 1)
    return following[1][0] if following else None


def older_duplicate(wc: State, index: int) -> BlockIndex | None:
    """The entry of the same sector that was inserted just before this one."""
    indices = wc.tree.get(wc.entries[index].original_sector) or ()
    position = indices.index(BlockIndex(index))
    return indices[position - 1] if position else None


def uncommitted_entries(wc: State) -> list[BlockIndex]:
    """Uncommitted entries, the newest first: they are at the head of the LRU."""
    found = []
    for _, index in wc.lru.reversed_items():
        if entry_is_committed(wc, wc.entries[index]):
            break
        found.append(index)
    return found


def in_range(wc: State, start: int, end: int) -> Iterator[BlockIndex]:
    """Entries with start <= original sector < end, in the order of the tree."""
    found = wc.tree.at_or_after(start)
    while found and found[0] < end:
        yield from found[1]
        found = wc.tree.at_or_after(found[0] + 1)


def verify_watermark(wc: State, transcript: Transcript) -> None:
    """Ask for writeback where few blocks are free, or about to be."""
    if len(wc.freelist) + wc.writeback_size <= wc.freelist_high_watermark:
        transcript.tell(QueueWork(Work.WRITEBACK))


def free_key(wc: State, index: BlockIndex) -> int:
    """Where a free block is in the free list."""
    return wc.entries[index].lru_key if wc.config.pmem_mode else index


def is_free(wc: State, index: BlockIndex) -> bool:
    """Whether a block is in the free list."""
    return wc.freelist.get(free_key(wc, index)) == index


def allocate(wc: State, transcript: Transcript, sector: int, now: Jiffies) -> State:
    """Take the current free block for `sector`, uncommitted; the free list must not be empty."""
    index = wc.current_free
    assert index is not None, "the free list is empty"
    key = free_key(wc, index)
    freelist = wc.freelist.remove(key)
    successor = freelist.at_or_after(key) or freelist.first()
    newest = wc.lru.last()
    lru_key = newest[0] + 1 if newest else 0
    entry = Entry(Sector(sector), wc.seq_count, now, lru_key)
    duplicates = wc.tree.get(sector)
    wc = wc._replace(
        entries=wc.entries.set(index, entry),
        tree=wc.tree.set(sector, (*duplicates, index) if duplicates else (index,)),
        lru=wc.lru.set(lru_key, index),
        freelist=freelist,
        current_free=successor[1] if successor else None,
        uncommitted_blocks=wrap32(wc.uncommitted_blocks + 1),
    )
    if mends(wc, Repair.FAILED_WRITE_HOLDS_NOTHING) and not wc.config.pmem_mode:
        wc = wc._replace(unwritten=wc.unwritten | {index})
    verify_watermark(wc, transcript)
    if wc.config.pmem_mode:
        transcript.tell(StoreEntry(index, entry.seq_count, entry.original_sector))
    return wc


def free_entry(wc: State, transcript: Transcript, index: BlockIndex) -> State:
    """Take a block out of the tree and the LRU, make it free, and wake who waits for one.

    The entry keeps its original sector; only the sequence count says that it is free.
    """
    entry = wc.entries[index]
    sector = entry.original_sector
    others = tuple(other for other in wc.tree.get(sector) or () if other != index)
    listed = wc.lru.get(entry.lru_key) == index and not entry.write_in_progress
    freed = Entry(sector, SequenceCount(U64_MAX))
    dirty_regions, key = wc.dirty_regions, int(index)
    if wc.config.pmem_mode:
        last = wc.freelist.last()
        key = last[0] + 1 if last else 0
        freed = freed._replace(lru_key=key)
        transcript.tell(StoreEntry(index, freed.seq_count))
    else:
        dirty_regions |= 1 << entry_region(index)
    return wc._replace(
        entries=wc.entries.set(index, freed),
        tree=wc.tree.set(sector, others) if others else wc.tree.remove(sector),
        lru=wc.lru.remove(entry.lru_key) if listed else wc.lru,
        freelist=wc.freelist.set(key, index),
        current_free=index if wc.current_free is None else wc.current_free,
        dirty_regions=dirty_regions,
        sleeping=frozenset(),
        unwritten=wc.unwritten - {index} if wc.unwritten else wc.unwritten,
    )

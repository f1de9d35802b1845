"""Invariants: what is true of every cache between two events.

Each is a named predicate over one state; `violated` names those that do not hold.  Tests, state
machines and proofs use these and state none of their own.  They speak of a cache that runs, or that
a suspend is draining: while `poisoned` the lists mean nothing.
"""

from collections.abc import Callable
from typing import Final

from writecache_spec.entries import free_key, is_free
from writecache_spec.layout import entry_region
from writecache_spec.state import State, entry_is_committed
from writecache_spec.units import U32, U64_MAX


def every_block_is_free_or_in_the_tree(wc: State) -> bool:
    """No block is lost, none is in both."""
    in_tree = [index for _, indices in wc.tree.items() for index in indices]
    free = [index for _, index in wc.freelist.items()]
    return sorted([*in_tree, *free]) == list(range(wc.config.n_blocks))


def free_entries_are_marked_free(wc: State) -> bool:
    """A free block's entry says so, in memory."""
    return all(wc.entries[index].seq_count == U64_MAX for _, index in wc.freelist.items())


def tree_is_keyed_by_original_sector(wc: State) -> bool:
    """A block is found under the sector that its entry names, and only there."""
    return all(
        indices and all(wc.entries[index].original_sector == sector for index in indices)
        for sector, indices in wc.tree.items()
    )


def lru_lists_what_is_idle(wc: State) -> bool:
    """A block is in the LRU exactly if it is in the tree and not under writeback.

    After an error, blocks whose writeback has ended are in the tree only.
    """
    idle = {
        index
        for _, indices in wc.tree.items()
        for index in indices
        if not wc.entries[index].write_in_progress
    }
    listed = {index for _, index in wc.lru.items()}
    return listed <= idle if wc.error else listed == idle


def lru_keys_agree(wc: State) -> bool:
    """An entry knows its place in the LRU."""
    return all(wc.entries[index].lru_key == key for key, index in wc.lru.items())


def uncommitted_entries_head_the_lru(wc: State) -> bool:
    """A commit finds all uncommitted entries by walking from the most recent on.

    Once the sequence count has wrapped, committed entries count as uncommitted, and this is lost.
    """
    entries = [wc.entries[index] for _, index in wc.lru.items()]
    if any(entry.seq_count > wc.seq_count for entry in entries):
        return True
    committed = [entry_is_committed(wc, entry) for entry in entries]
    return committed == sorted(committed, reverse=True)


def writeback_size_counts(wc: State) -> bool:
    """As many entries are marked as under writeback as the counter says."""
    return sum(entry.write_in_progress for entry in wc.entries) == wc.writeback_size


def only_committed_blocks_are_written_back(wc: State) -> bool:
    """Recovery must know what the origin is about to get."""
    return all(entry_is_committed(wc, e) for e in wc.entries if e.write_in_progress)


def current_free_is_free(wc: State) -> bool:
    """The next block to be taken is in the free list; there is none exactly if that is empty."""
    if wc.current_free is None:
        return not wc.freelist
    return is_free(wc, wc.current_free)


def free_list_is_in_its_order(wc: State) -> bool:
    """A free block is found under its key; persistent memory is taken from the front."""
    in_order = all(free_key(wc, index) == key for key, index in wc.freelist.items())
    first = wc.freelist.first()
    return in_order and (not wc.config.pmem_mode or first is None or first[1] == wc.current_free)


def dirty_regions_exist(wc: State) -> bool:
    """No dirty bit stands for a region beyond the last entry's."""
    return wc.dirty_regions >> (entry_region(wc.config.n_blocks - 1) + 1) == 0


def counters_fit(wc: State) -> bool:
    """What cannot be negative is not; the autocommit counter has 32 bits."""
    return (
        0 <= wc.uncommitted_blocks < U32
        and 0 <= wc.writeback_size <= wc.config.n_blocks
        and min(wc.reads_in_progress, wc.writes_in_progress, wc.writeback_all) >= 0
    )


def superblock_agrees(wc: State) -> bool:
    """The superblock in memory carries the number of the commit under way."""
    return wc.superblock.seq_count == wc.seq_count


INVARIANTS: Final[tuple[Callable[[State], bool], ...]] = (
    every_block_is_free_or_in_the_tree,
    free_entries_are_marked_free,
    tree_is_keyed_by_original_sector,
    lru_lists_what_is_idle,
    lru_keys_agree,
    uncommitted_entries_head_the_lru,
    writeback_size_counts,
    only_committed_blocks_are_written_back,
    current_free_is_free,
    free_list_is_in_its_order,
    dirty_regions_exist,
    counters_fit,
    superblock_agrees,
)
"""All of them, in the order in which they are best read."""


def violated(wc: State) -> tuple[str, ...]:
    """Names of the invariants that do not hold of a state."""
    if wc.poisoned:
        return ()
    return tuple(invariant.__name__ for invariant in INVARIANTS if not invariant(wc))

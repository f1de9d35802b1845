"""Invariants: what is true of every cache between two events.

Each is a named predicate over one state; `violated` names those that do not hold.  Tests, state
machines and proofs use these and state none of their own.  They speak of a cache that runs, or that
a suspend is draining: while `poisoned` the lists mean nothing.

Together they are strong enough for an induction over events: what `proofs` shows of one event, from
any state that keeps them, holds of a trace of any length.  Two need something of the world:
`UNTIL_THE_COUNT_WRAPS` and `UNDER_DEVICE_MAPPER`.
"""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import Final

from writecache_spec.entries import free_key, is_free
from writecache_spec.layout import entry_region
from writecache_spec.state import Entry, Phase, State, entry_is_committed
from writecache_spec.units import U32, U64_MAX, BlockIndex


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
        and all(n >= 0 for n in (wc.reads_in_progress, wc.writes_in_progress, wc.writeback_all))
    )


def superblock_agrees(wc: State) -> bool:
    """The superblock in memory carries the number of the commit under way."""
    return wc.superblock.seq_count == wc.seq_count


def versions_are_in_the_order_of_their_commits(wc: State) -> bool:
    """Of two entries of a sector the one that was inserted later has no lower sequence count.

    Recovery, which knows nothing but the counts, therefore takes the later one.
    """
    return _has_wrapped(wc) or all(
        older.seq_count <= newer.seq_count for older, newer in _versions(wc)
    )


def only_copies_under_way_are_superseded(wc: State) -> bool:
    """Of two committed entries of a sector the older one is under writeback, and the newer is not.

    So there are two at most, with different counts; after an error there can be others.
    """
    return (
        wc.error
        or _has_wrapped(wc)
        or all(
            older.write_in_progress
            and not newer.write_in_progress
            and older.seq_count != newer.seq_count
            for older, newer in _versions(wc)
            if entry_is_committed(wc, newer)
        )
    )


def unwritten_blocks_are_uncommitted(wc: State) -> bool:
    """What no write has reached yet is in the tree, and no commit has carried it."""
    return all(
        index in (wc.tree.get(wc.entries[index].original_sector) or ())
        and not entry_is_committed(wc, wc.entries[index])
        for index in wc.unwritten
    )


def jobs_are_of_blocks_under_writeback(wc: State) -> bool:
    """No block is in two of the runs that wait to be copied, have ended or were taken."""
    blocks = _blocks_of_jobs(wc)
    return len(set(blocks)) == len(blocks) and all(
        wc.entries[index].write_in_progress for index in blocks
    )


def who_waits_has_nothing_to_submit(wc: State) -> bool:
    """A pass that waits for writeback to end has submitted all that it had selected."""
    return (
        wc.writeback is None
        or not wc.writeback.jobs
        or wc.writeback.phase in (Phase.SUBMIT, Phase.THROTTLE)
    )


def no_entry_is_ahead_of_the_count(wc: State) -> bool:
    """No entry carries a later commit's count than the one under way."""
    return not _has_wrapped(wc)


def what_is_suspended_is_committed(wc: State) -> bool:
    """A suspend has committed everything, and no request comes while the device is suspended."""
    return (
        not wc.suspended
        or wc.error
        or all(entry_is_committed(wc, wc.entries[index]) for _, index in wc.lru.items())
    )


def _has_wrapped(wc: State) -> bool:
    """Whether an entry's count is ahead: only the end of the numbers does that."""
    return any(
        wc.entries[index].seq_count > wc.seq_count
        for _, indices in wc.tree.items()
        for index in indices
    )


def _versions(wc: State) -> Iterator[tuple[Entry, Entry]]:
    """All pairs of entries of one sector, the one that was inserted first before the other."""
    for _, indices in wc.tree.items():
        for older, newer in combinations(indices, 2):
            yield wc.entries[older], wc.entries[newer]


def _blocks_of_jobs(wc: State) -> list[BlockIndex]:
    """Blocks of all runs that the cache knows; those that are being copied now it does not."""
    jobs = list(wc.writeback.jobs) if wc.writeback else []
    jobs += [job for job, _ in (*wc.endio_list, *wc.endio_taken)]
    return [index for job in jobs for index in job.blocks]


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
    versions_are_in_the_order_of_their_commits,
    only_copies_under_way_are_superseded,
    unwritten_blocks_are_uncommitted,
    jobs_are_of_blocks_under_writeback,
    who_waits_has_nothing_to_submit,
)
"""All of them, in the order in which they are best read."""
UNTIL_THE_COUNT_WRAPS: Final[tuple[Callable[[State], bool], ...]] = (
    no_entry_is_ahead_of_the_count,
)
"""Holds up to the commit under 2**64 - 1, and of a cache that was recovered at any time."""
UNDER_DEVICE_MAPPER: Final[tuple[Callable[[State], bool], ...]] = (what_is_suspended_is_committed,)
"""Holds if requests wait while the device is suspended, which device-mapper sees to."""


def violated(wc: State, also: tuple[Callable[[State], bool], ...] = ()) -> tuple[str, ...]:
    """Names of the invariants, and of others beside them, that do not hold of a state."""
    if wc.poisoned:
        return ()
    named = (*INVARIANTS, *also)
    return tuple(invariant.__name__ for invariant in named if not invariant(wc))

"""What repairs do that is more than another condition: no kernel does it."""

from writecache_spec.entries import free_entry, older_duplicate, uncommitted_entries
from writecache_spec.repairs import Repair
from writecache_spec.state import State, entry_is_committed, mends
from writecache_spec.transcript import Transcript, wait_for_reads, wait_for_writes
from writecache_spec.units import BlockIndex


def drop_superseded(wc: State, transcript: Transcript) -> State:
    """Free uncommitted entries that must not be committed.

    Without it two entries of one commit may be found with one sequence count, and a block that
    nothing was ever written to would pass for data.
    """
    dropped: set[BlockIndex] = set()
    if mends(wc, Repair.FAILED_WRITE_HOLDS_NOTHING) and wc.unwritten:
        wait_for_writes(wc)
        dropped |= wc.unwritten
    if mends(wc, Repair.ONE_ENTRY_A_COMMIT):
        uncommitted = uncommitted_entries(wc)
        for index in uncommitted:
            if index in dropped:
                continue
            older = older_duplicate(wc, index)
            while older is not None and not entry_is_committed(wc, wc.entries[older]):
                dropped.add(older)
                older = older_duplicate(wc, older)
    if dropped:
        wait_for_writes(wc)
        if mends(wc, Repair.READS_BEFORE_FREEING):
            wait_for_reads(wc)
    for index in sorted(dropped):
        wc = free_entry(wc, transcript, index)
    return wc


def must_stop(wc: State) -> bool:
    """Whether a commit, or a pass that commits, ends here: one of its I/Os has failed."""
    return wc.error and mends(wc, Repair.NO_COMMIT_AFTER_ERROR)

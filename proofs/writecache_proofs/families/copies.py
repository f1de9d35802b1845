"""Induction over events, part five: copies that end, suspends, and resumes.

A block is freed only when the origin has it, durably; a suspend leaves the device with everything;
whatever a resume finds, the induction begins.
"""

from collections.abc import Sequence
from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.medium import (
    NO_BLOCK,
    Remains,
    block_at,
    moments,
    recovered,
    resumed,
)
from writecache_proofs.families.recovery import medium_of
from writecache_proofs.families.refining import REPAIRED, Begun, Owed, agrees, committed_at
from writecache_proofs.families.refining import newest_at as newest
from writecache_proofs.families.running import being_copied, job_of, running
from writecache_proofs.families.states import empty_cache
from writecache_proofs.families.stepping import goes_on, reads_on, stepped
from writecache_proofs.symbolic import Run, all_of, any_of, either, negation
from writecache_proofs.theorem import Family, Twin
from writecache_spec import endio, suspend, writeback_submit
from writecache_spec.effects import FlushDevice
from writecache_spec.entries import free_entry
from writecache_spec.events import (
    CopyEnd,
    Device,
    EndioTake,
    EndioThread,
    SuspendEnd,
)
from writecache_spec.invariants import INVARIANTS, UNDER_DEVICE_MAPPER, UNTIL_THE_COUNT_WRAPS
from writecache_spec.resume import _rebuild
from writecache_spec.units import U64_MAX

COPIES: Final = Family("induction", __name__)


def copies_end(run: Run, n_entries: int, pmem_mode: bool) -> None:
    """A copy ends."""
    begun = running(run, n_entries, pmem_mode, dirty=(0,), unwritten=(False,))
    copied = being_copied(begun)
    if not copied:
        return
    job = job_of(begun.wc, run.choose("job", copied))
    if (after := stepped(begun, CopyEnd(job))) is None:
        return
    goes_on(begun, after, jobs_change=True)
    reads_on(begun, after.state, newest(begun))
    expected = (*begun.wc.endio_list, (job, False))
    run.claim(after.state.endio_list == expected, "it is left to the endio thread")


def copies_are_taken(run: Run, n_entries: int, pmem_mode: bool) -> None:
    """The endio thread takes what has ended."""
    begun = running(run, n_entries, pmem_mode, dirty=(0,), unwritten=(False,))
    fua = pmem_mode and run.choose("origin fua", (False, True))
    config = begun.wc.config._replace(writeback_fua=fua)
    begun = begun._replace(wc=begun.wc._replace(config=config))
    if (after := stepped(begun, EndioTake())) is None:
        return
    goes_on(begun, after, jobs_change=True)
    durable = fua or FlushDevice(Device.ORIGIN) in after.effects
    run.claim(durable, "what is taken is durable on the origin")
    run.claim(after.state.endio_taken == begun.wc.endio_list, "all of it")
    run.claim(not after.state.endio_list, "and nothing is left")


def copies_are_freed(run: Run, n_entries: int, pmem_mode: bool, dirty: Sequence[int]) -> None:
    """The endio thread frees what it has taken: the origin has that, durably."""
    begun = running(run, n_entries, pmem_mode, dirty=dirty, whereabouts=("copying", "taken"))
    taken = [int(index) for job, _ in begun.wc.endio_taken for index in job.blocks]
    if (after := stepped(begun, EndioThread())) is None:
        return

    def is_home(before: Begun) -> Any:
        return any_of(committed_at(before) == place for place in taken)

    owed = Owed(
        lambda before, block: all_of([block == NO_BLOCK, is_home(before)]),
        lambda before: either(is_home(before), NO_BLOCK, committed_at(before)),
    )
    goes_on(begun, after, owed, ended=taken, jobs_change=True)
    found = newest(begun)
    was_newest = any_of(found == place for place in taken)
    reads_on(begun, after.state, either(was_newest, NO_BLOCK, found))
    run.claim(not after.state.endio_taken, "all of it")


def suspends_end(run: Run, n_entries: int, pmem_mode: bool) -> None:
    """A suspend comes to its end: the lists are given up, and the device has everything."""
    begun = running(run, n_entries, pmem_mode, dirty=(0, 1), unwritten=(False,))
    wc = begun.wc._replace(suspend_writes_all=False)
    begun = begun._replace(wc=wc)
    if (after := stepped(begun, SuspendEnd())) is None:
        return
    if not after.state.poisoned:
        goes_on(begun, after)
        return
    run.claim(after.state.writeback_size == 0, "nothing is under writeback")
    run.claim(after.state == wc._replace(poisoned=True), "and nothing else changes")
    run.claim(agrees(after.state, begun.medium, begun.places), "the device agrees")
    run.claim(committed_at(begun) == newest(begun), "and has the newest version of each sector")


def resumes(run: Run, n_entries: int, pmem_mode: bool) -> None:
    """Anything that a crash or a suspend can leave is resumed."""
    run.allow_keys()
    entries = {
        place: (
            run.integer(f"sector {place}", 0, U64_MAX),
            run.integer(f"count {place}", 0, U64_MAX),
        )
        for place in range(n_entries)
    }
    remains = Remains(run.integer("seq_count", 0, U64_MAX - 1), entries)
    wc = empty_cache(REPAIRED, n_entries, pmem_mode)
    sector = run.integer("sector", 0, U64_MAX)
    expected = recovered(entries, remains.count, sector)
    after, transcript = resumed(wc, remains)
    run.suppose(negation(after.error))
    for invariant in (*INVARIANTS, *UNTIL_THE_COUNT_WRAPS, *UNDER_DEVICE_MAPPER):
        run.claim(invariant(after), invariant.__name__)
    run.claim(block_at(after, sector) == expected.block, "a read finds what recovery took")
    *_, medium = moments(wc, transcript.effects, medium_of(wc, remains), tuple(entries))
    run.claim(agrees(after, medium, tuple(entries)), "and the device agrees")


_LAST: Final = Edit(free_entry, "if other != index", "if True")
_AWAITED: Final = Edit(suspend.suspend_end, "if wc.writeback_size:", "if False:")
_NO_FLUSH: Final = Edit(
    endio.take_ended_copies, "wc = disk_flush(wc, transcript, Device.ORIGIN)", "pass"
)
_OLDER_WINS: Final = Edit(
    _rebuild, "old_seq_count > entry.seq_count", "old_seq_count < entry.seq_count"
)


@COPIES.theorem(
    Twin("it is forgotten", (Edit(
        writeback_submit.copy_end, "(*wc.endio_list, (event.job, event.failed))", "()"),)),
    bound="caches of 3 blocks in any state",
)  # fmt: skip
def the_end_of_a_copy_keeps_the_invariants(run: Run) -> None:
    """A copy that ends is left to the endio thread, and changes nothing else."""
    copies_end(run, 3, False)


@COPIES.theorem(
    Twin("without the flush of the origin", (_NO_FLUSH,)),
    bound="caches of 3 blocks in any state",
)
def taking_copies_makes_them_durable(run: Run) -> None:
    """What the endio thread takes is durable on the origin: flushed, or written with FUA."""
    copies_are_taken(run, 3, run.choose("pmem", (False, True)))


@COPIES.theorem(
    Twin("the block stays in the tree", (_LAST,)),
    bound="caches of 3 blocks in any state",
)
def freeing_copies_keeps_the_invariants(run: Run) -> None:
    """What was taken is freed: a crash leaves the block or the origin, which has the same, and a
    newer version always wins."""
    copies_are_freed(run, 3, False, (0, 1))


@COPIES.theorem(
    Twin("the block stays in the tree", (_LAST,)),
    bound="caches of 3 blocks in any state",
)
def freeing_copies_of_persistent_memory_keeps_the_invariants(run: Run) -> None:
    """The same of persistent memory."""
    copies_are_freed(run, 3, True, (0,))


@COPIES.theorem(
    Twin("it does not wait for writeback", (_AWAITED,)),
    bound="caches of 3 blocks in any state",
)
def the_end_of_a_suspend_leaves_everything_on_the_device(run: Run) -> None:
    """A suspend ends when nothing is under writeback, and then the device has the newest version of
    each sector: so the next resume finds it."""
    suspends_end(run, 3, run.choose("pmem", (False, True)))


@COPIES.theorem(
    Twin("the smaller count wins", (_OLDER_WINS,)),
    bound="caches of 3 blocks, entries of any content that no error is met in",
)
def a_resume_begins_the_invariants(run: Run) -> None:
    """Whatever a resume finds, the state after it keeps all invariants, and reads find what
    recovery took: so every trace begins, and begins again after a crash."""
    resumes(run, 3, run.choose("pmem", (False, True)))

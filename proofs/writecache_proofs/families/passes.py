"""Induction over events, part four: passes of writeback.

No event here kills the kernel on the repaired reference: each `BUG` that writeback can meet is out
of reach of the invariants.  A pass changes nothing that a crash or a read could find, but for what
it commits on its way; a block is freed only when the origin has it, durably.
"""

from collections.abc import Callable, Sequence
from typing import Final

from writecache_models.mutants import Edit
from writecache_proofs.families.induction import COMMITS
from writecache_proofs.families.medium import block_at
from writecache_proofs.families.refining import Begun, Owed, committed_at
from writecache_proofs.families.refining import newest_at as newest
from writecache_proofs.families.running import (
    committed,
    full_and_first_written,
    full_and_other_written,
    running,
    written_with_room,
)
from writecache_proofs.families.states import ORIGIN_SECTORS, Placed
from writecache_proofs.families.stepping import goes_on, reads_on, stepped, written_at
from writecache_proofs.symbolic import Run, implies
from writecache_proofs.theorem import Family, Twin
from writecache_spec import writeback, writeback_submit
from writecache_spec.effects import Copy, WriteOrigin
from writecache_spec.events import (
    WritebackContinue,
    WritebackWork,
)
from writecache_spec.state import Phase, State, Waiter, Writeback
from writecache_spec.step import Step
from writecache_spec.units import U64_MAX, Jiffies

PASSES: Final = Family("induction", __name__)
Such = Callable[[Sequence[Placed]], bool]
WANTED: Final[dict[str, tuple[int, int, int]]] = {
    "everything": (1, 0, U64_MAX),
    "few are free": (0, 9, U64_MAX),
    "blocks are old": (0, 0, 16),
    "nothing": (0, 0, U64_MAX),
}
"""Why a pass takes blocks: who asks for all, the low watermark, and max_age."""


def always(statuses: Sequence[Placed]) -> bool:
    """Of any statuses."""
    return True


def passes(
    run: Run, n_entries: int, pmem_mode: bool, why: str, again: bool = False, such: Such = always
) -> None:
    """A pass of writeback begins, or begins again."""
    begun = running(
        run, n_entries, pmem_mode, arranged=True, whereabouts=("copying",), dirty=(0,),
        unwritten=(False,), such=such,
    )  # fmt: skip
    everything, low, max_age = WANTED[why]
    wc = begun.wc
    wc = wc._replace(
        config=wc.config._replace(max_age=Jiffies(max_age)),
        freelist_low_watermark=low,
        writeback_all=everything,
    )
    if again:
        wc = wc._replace(writeback=Writeback(Phase.RESTART))
    begun = begun._replace(wc=wc)
    now = Jiffies(16)
    event = WritebackContinue(now) if again else WritebackWork(now)
    if (after := stepped(begun, event)) is None:
        return
    owed = COMMITS if after.state.seq_count is not wc.seq_count else KEEPS
    goes_on(begun, after, owed, jobs_change=True)
    reads_on(begun, after.state, written_at(begun))
    _selects(begun, after.state)


KEEPS: Final = Owed(lambda begun, block: False, committed_at)


def _selects(begun: Begun, after: State) -> None:
    """Claim that just what was put under writeback is to be copied, each to its own place."""
    run, wc = begun.run, begun.wc
    jobs = after.writeback.jobs if after.writeback else ()
    selected = {int(index) for job in jobs for index in job.blocks}
    begun_now = {
        place
        for place in begun.places
        if after.entries[place].write_in_progress and not wc.entries[place].write_in_progress
    }
    run.claim(selected == begun_now, "all that is put under writeback is selected")
    if selected:
        arrived = wc.writes_in_progress == 0
        run.claim(implies(wc.overwrote_committed, arrived), "nobody writes what is copied")
    for job in jobs:
        for number, index in enumerate(job.blocks):
            place = after.entries[index].original_sector
            run.claim(place == job.original_sector + number, "each to its own place")
            run.claim(block_at(after, place) >= 0, "and it is in the cache")
    run.claim(after.endio_list == wc.endio_list, "what has ended stays")


_OVER_DUPLICATES: Final = Edit(
    writeback._continues, "last_of_run if mends(wc, Repair.RUN_OVER_DUPLICATES) else last_seen",
    "last_seen",
)  # fmt: skip
_NOT_SKIPPED: Final = Edit(writeback._take, "if older is not None:", "if False:")
_NOT_COMMITTED: Final = Edit(
    writeback._take, "if not entry_is_committed(wc, wc.entries[index]):", "if False:"
)
_BOUND: Final = "caches of 3 blocks in any state and order"


def goes_on_writing(run: Run, n_entries: int, pmem_mode: bool) -> None:
    """The writeback function goes on from where it stands."""
    begun = running(run, n_entries, pmem_mode, dirty=(0,), unwritten=(False,))
    wc = begun.wc
    if wc.writeback is None:
        phase = run.choose("stands", (Phase.SUBMIT, Phase.THROTTLE, Phase.NO_PROGRESS, Phase.DRAIN))
        wc = wc._replace(writeback=Writeback(phase))
    if run.choose("sleeps", (False, True)):
        wc = wc._replace(sleeping=frozenset({Waiter.WRITEBACK}))
    limit = run.choose("jobs", (0, 1))
    size = run.choose("origin", (0, int(ORIGIN_SECTORS)))
    wc = wc._replace(
        config=wc.config._replace(max_writeback_jobs=limit),
        data_device_sectors=type(ORIGIN_SECTORS)(size),
    )
    begun = begun._replace(wc=wc)
    if (after := stepped(begun, WritebackContinue())) is None:
        return
    goes_on(begun, after, jobs_change=True)
    reads_on(begun, after.state, newest(begun))
    _submits(begun, after)
    _waits(begun, after.state)


def _waits(begun: Begun, after: State) -> None:
    """Claim what the writeback function waits for."""
    run, limit = begun.run, begun.wc.config.max_writeback_jobs
    if after.writeback is None:
        done = after.writeback_size == 0
        run.claim(implies(after.writeback_all != 0, done), "it ends when all is home")
    elif begun.wc.writeback is not None and begun.wc.writeback.phase is Phase.THROTTLE:
        jobs = after.writeback.jobs
        being_copied = after.writeback_size - sum(job.n_blocks for job in jobs)
        may_go_on = not limit or being_copied < limit
        run.claim(may_go_on or after.writeback.phase is Phase.THROTTLE, "while too many are copied")


def _submits(begun: Begun, after: Step) -> None:
    """Claim that the job that leaves the selected ones is told, or has nowhere to go."""
    run, wc = begun.run, begun.wc
    before = list(wc.writeback.jobs) if wc.writeback else []
    left = list(after.state.writeback.jobs) if after.state.writeback else []
    told = [one.job for one in after.effects if isinstance(one, Copy | WriteOrigin)]
    ended = [job for job, _ in after.state.endio_list[len(wc.endio_list) :]]
    run.claim(len(told) + len(ended) <= 1, "one job at a time")
    run.claim([*told, *ended, *left] == before, "no job is lost, and none is made")


@PASSES.theorem(
    Twin("a newer version is taken while the older is being copied", (_NOT_SKIPPED,)),
    Twin("a run goes on behind a duplicate", (_OVER_DUPLICATES,), finding="run-over-duplicate"),
    bound=_BOUND,
)
def a_pass_over_everything_keeps_the_invariants(run: Run) -> None:
    """A pass of writeback that is asked for everything, from any state: what it selects is in the
    cache, each block for its own place, and never a newer version before the older is home."""
    passes(run, 3, False, "everything")


@PASSES.theorem(
    Twin("a newer version is taken while the older is being copied", (_NOT_SKIPPED,)),
    bound=f"{_BOUND}; all are committed",
)
def a_pass_of_committed_blocks_keeps_the_invariants(run: Run) -> None:
    """The same of a pass that is to make room."""
    passes(run, 3, False, "few are free", such=committed)


@PASSES.theorem(
    Twin("an uncommitted block is taken as it is", (_NOT_COMMITTED,)),
    bound=f"{_BOUND}; some are not committed, some are free",
)
def a_pass_that_commits_keeps_the_invariants(run: Run) -> None:
    """The same where it meets blocks that are not committed: it commits them first."""
    passes(run, 3, False, "few are free", such=written_with_room)


@PASSES.theorem(
    Twin("an uncommitted block is taken as it is", (_NOT_COMMITTED,)),
    bound=f"{_BOUND}; no block is free, the first is not committed",
)
def a_pass_that_commits_in_a_full_cache_keeps_the_invariants(run: Run) -> None:
    """The same where no block is free."""
    passes(run, 3, False, "few are free", such=full_and_first_written)


@PASSES.theorem(
    Twin("an uncommitted block is taken as it is", (_NOT_COMMITTED,)),
    bound=f"{_BOUND}; no block is free, the first is committed and some are not",
)
def a_pass_that_commits_later_blocks_keeps_the_invariants(run: Run) -> None:
    """The same where the first block is committed, and others are not."""
    passes(run, 3, False, "few are free", such=full_and_other_written)


@PASSES.theorem(
    Twin("a newer version is taken while the older is being copied", (_NOT_SKIPPED,)),
    bound="caches of 2 blocks in any state and order",
)
def a_pass_over_old_blocks_keeps_the_invariants(run: Run) -> None:
    """The same of a pass that takes what is old, and of one that begins again."""
    why = run.choose("why", ("blocks are old", "nothing", "few are free", "everything"))
    passes(run, 2, False, why, again=run.choose("again", (False, True)))


@PASSES.theorem(
    Twin("a newer version is taken while the older is being copied", (_NOT_SKIPPED,)),
    bound=_BOUND,
)
def a_pass_of_persistent_memory_keeps_the_invariants(run: Run) -> None:
    """The same of persistent memory, of which a run is blocks from anywhere."""
    passes(run, 3, True, "everything")


@PASSES.theorem(
    Twin("a job is dropped", (Edit(
        writeback_submit.submit, "job, rest = jobs[0], jobs[1:]", "job, rest = jobs[0], ()"),)),
    bound="caches of 2 blocks in any state",
)  # fmt: skip
def writeback_that_goes_on_keeps_the_invariants(run: Run) -> None:
    """The writeback function goes on, from wherever it stands: it submits each job once, waits, or
    ends."""
    goes_on_writing(run, 2, False)


@PASSES.theorem(
    Twin("a job is dropped", (Edit(
        writeback_submit.submit, "job, rest = jobs[0], jobs[1:]", "job, rest = jobs[0], ()"),)),
    bound="caches of 2 blocks in any state",
)  # fmt: skip
def writeback_of_memory_that_goes_on_keeps_the_invariants(run: Run) -> None:
    """The same of persistent memory."""
    goes_on_writing(run, 2, True)

"""Any running cache of a few blocks: where an induction over events begins, and must end.

More than `states` builds: blocks lie in any arrangement on the device, any free one is next, and
what is under way is anything that the invariants allow: copies that are selected, being copied,
ended or taken, blocks that no write has reached, requests in flight, flags and counters.

A *trace* is then events of `step`, one after the other.  The world owes it three things
(`assumptions`): the end of a copy comes for a copy that was begun, the end of a request for one
that is in flight, and no request while the device is suspended.
"""

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Final, Literal

from writecache_proofs.families.refining import REPAIRED, Begun, agreeing
from writecache_proofs.families.states import STATUSES, Placed, cache_of, statuses_of
from writecache_proofs.symbolic import Run
from writecache_spec.events import CopyJob, Job, WriteJob
from writecache_spec.profile import Profile
from writecache_spec.state import Phase, State, Writeback
from writecache_spec.units import U32, U64_MAX, BlockIndex

MANY: Final = 2**31 - 1
"""More requests than there can be."""
Whereabouts = Literal["selected", "copying", "ended", "taken"]
WHEREABOUTS: Final[tuple[Whereabouts, ...]] = ("selected", "copying", "ended", "taken")
"""Of a block under writeback."""


def running(
    run: Run,
    n_entries: int,
    pmem_mode: bool = False,
    *,
    profile: Profile = REPAIRED,
    only: Sequence[Placed] = STATUSES,
    arranged: bool = False,
    whereabouts: Sequence[Whereabouts] = WHEREABOUTS,
    dirty: Sequence[int] = (0, 1),
    unwritten: Sequence[bool] = (False, True),
    such: Callable[[Sequence[Placed]], bool] = lambda statuses: True,
) -> Begun:
    """Any cache of so many blocks that keeps the invariants, and any metadata that agrees with it.

    `arranged`: blocks lie in any order, and any free one is next; else in the order in which they
    were inserted, which is no restriction where nobody asks who is whose neighbour.  `such` picks
    statuses, where one theorem for all of them would take too long.
    """
    statuses = statuses_of(run, n_entries, only)
    run.suppose(such(statuses))
    places = _places(run, statuses) if arranged else tuple(range(n_entries))
    wc = cache_of(run, statuses, profile, places, U64_MAX - 2, pmem_mode, any_order=arranged)
    wc = _under_way(run, wc, statuses, places, whereabouts)
    if not pmem_mode:
        wc = wc._replace(
            dirty_regions=run.choose("dirty before", dirty),
            unwritten=_unwritten(run, statuses, places, unwritten),
            overwrote_committed=run.flag("overwrote committed"),
        )
        if arranged and wc.freelist:
            free = [index for _, index in wc.freelist.items()]
            wc = wc._replace(current_free=run.choose("current free", free))
    wc = wc._replace(
        uncommitted_blocks=run.integer("uncommitted blocks", 0, U32 - 1),
        reads_in_progress=run.integer("reads in progress", 0, MANY),
        writes_in_progress=run.integer("writes in progress", 0, MANY) if not pmem_mode else 0,
        writeback_all=run.integer("writeback all", 0, MANY),
        cleaner=run.flag("cleaner"),
        flush_on_suspend=run.flag("flush on suspend"),
        suspended="uncommitted" not in statuses and run.flag("suspended"),
    )
    medium = agreeing(run, wc, statuses, places)
    return Begun(run, wc, statuses, places, medium, run.integer("sector", 0, U64_MAX))


def full(statuses: Sequence[Placed]) -> bool:
    """No block is free."""
    return "free" not in statuses


def with_room(statuses: Sequence[Placed]) -> bool:
    """Some are."""
    return "free" in statuses


def full_and_committed(statuses: Sequence[Placed]) -> bool:
    """No block is free, and all are committed."""
    return full(statuses) and "uncommitted" not in statuses


def full_and_written(statuses: Sequence[Placed]) -> bool:
    """No block is free, and some are not committed."""
    return full(statuses) and "uncommitted" in statuses


def full_and_first_written(statuses: Sequence[Placed]) -> bool:
    """No block is free, and the first one is not committed."""
    return full(statuses) and statuses[0] == "uncommitted"


def full_and_other_written(statuses: Sequence[Placed]) -> bool:
    """No block is free, the first one is committed, and some are not."""
    return full_and_written(statuses) and statuses[0] != "uncommitted"


def written_with_room(statuses: Sequence[Placed]) -> bool:
    """Some blocks are free, and some are not committed."""
    return with_room(statuses) and written(statuses)


def committed(statuses: Sequence[Placed]) -> bool:
    """All that is in use is committed."""
    return "uncommitted" not in statuses


def written(statuses: Sequence[Placed]) -> bool:
    """Some of it is not."""
    return "uncommitted" in statuses


def _places(run: Run, statuses: Sequence[Placed]) -> tuple[int, ...]:
    """Any arrangement of the blocks in use; free ones take what is left, in order."""
    n_used = sum(status != "free" for status in statuses)
    used = run.choose("arrangement", list(permutations(range(len(statuses)), n_used)))
    return (*used, *(place for place in range(len(statuses)) if place not in used))


def _unwritten(
    run: Run, statuses: Sequence[Placed], places: Sequence[int], options: Sequence[bool]
) -> frozenset[BlockIndex]:
    """Any of the uncommitted blocks."""
    return frozenset(
        BlockIndex(place)
        for place, status in zip(places, statuses, strict=True)
        if status == "uncommitted" and run.choose(f"{place} is unwritten", options)
    )


def _under_way(
    run: Run,
    wc: State,
    statuses: Sequence[Placed],
    places: Sequence[int],
    whereabouts: Sequence[Whereabouts],
) -> State:
    """Where each block under writeback stands; what is being copied the cache does not know."""
    jobs: dict[str, list[tuple[Job, bool]]] = {name: [] for name in WHEREABOUTS}
    for place, status in zip(places, statuses, strict=True):
        if status == "progress":
            where = run.choose(f"{place} is", whereabouts)
            jobs[where].append((job_of(wc, place), False))
    selected = tuple(job for job, _ in jobs["selected"])
    if selected:
        phase = run.choose("phase", (Phase.SUBMIT, Phase.THROTTLE))
        wc = wc._replace(writeback=Writeback(phase, selected))
    return wc._replace(endio_list=tuple(jobs["ended"]), endio_taken=tuple(jobs["taken"]))


def job_of(wc: State, *places: int) -> Job:
    """What brings blocks home that lie one behind the other."""
    sector = wc.entries[places[0]].original_sector
    if wc.config.pmem_mode:
        return WriteJob(tuple(BlockIndex(place) for place in places), sector)
    return CopyJob(BlockIndex(places[0]), len(places), sector)


def being_copied(begun: Begun) -> list[int]:
    """Blocks under writeback of which the cache waits for the end."""
    wc = begun.wc
    known = list(wc.writeback.jobs) if wc.writeback else []
    known += [job for job, _ in (*wc.endio_list, *wc.endio_taken)]
    in_jobs = {int(index) for job in known for index in job.blocks}
    return [
        place
        for place, status in zip(begun.places, begun.statuses, strict=True)
        if status == "progress" and place not in in_jobs
    ]

"""Crash refinement of one operation: from any state it may begin in, at every moment, of any crash.

An operation begins in any state that keeps the invariants (`states`), with metadata on the device
that agrees with it (`agreeing`), and effects are played one by one (`medium`).  For a sector that
stands for every sector (it is symbolic, and nothing is supposed of it):

* at every moment, whatever the crash keeps, recovery finds the version that was durable, or one
  that was written since and whose data is durable, or, where the operation says so, the origin's;
* when the operation has ended, it finds just what the operation owes;
* the state after it keeps the invariants, and its metadata on the device agrees: so the next
  operation begins where this one began, and a trace of these operations, of any length, follows by
  induction.  `stepping` does the same for every event.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from writecache_proofs.families.medium import (
    COUNT,
    NO_BLOCK,
    PLACES,
    Medium,
    block_at,
    left,
    moments,
    recovers,
    values_of,
)
from writecache_proofs.families.states import (
    Placed,
    cache_of,
    statuses_of,
)
from writecache_proofs.symbolic import Run, all_of, any_of, either, implies, negation
from writecache_spec.effects import Effect
from writecache_spec.entries import is_free
from writecache_spec.invariants import INVARIANTS, UNTIL_THE_COUNT_WRAPS
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.state import State
from writecache_spec.units import U64_MAX, BlockIndex

REPAIRED: Final = PROFILES["1.6.0"].repaired()
FAITHFUL: Final = PROFILES["1.6.0"]


class Begun(NamedTuple):
    """Where an operation begins."""

    run: Run
    wc: State
    statuses: tuple[Placed, ...]
    places: tuple[int, ...]
    medium: Medium
    sector: Any
    """Stands for every sector."""


class Owed(NamedTuple):
    """What an operation owes."""

    meanwhile: Callable[[Begun, Any], Any]
    """Whether a crash may leave this block to a sector (NO_BLOCK: the origin), besides the durable
    version and those written since."""
    in_the_end: Callable[[Begun], Any]
    """The block that a sector must have when the operation has ended."""


def begin(
    run: Run,
    n_entries: int,
    profile: Profile,
    pmem_mode: bool = False,
    statuses: Sequence[Placed] | None = None,
    places: Sequence[int] = PLACES,
    dirty: tuple[bool, ...] = (False, True),
    such: Callable[[Sequence[Placed]], bool] = lambda statuses: True,
) -> Begun:
    """Any state, and what is on the device; `such` picks statuses where all take too long."""
    places = tuple(places[:n_entries])
    chosen = tuple(statuses or statuses_of(run, n_entries))
    run.suppose(such(chosen))
    wc = cache_of(run, chosen, profile, places, U64_MAX - 2, pmem_mode)
    wc = wc._replace(uncommitted_blocks=chosen.count("uncommitted"))
    if not pmem_mode and "uncommitted" in chosen and run.choose("dirty before", dirty):
        # A commit that had nothing to commit leaves what it freed to the next one.
        wc = wc._replace(dirty_regions=1)
    medium = agreeing(run, wc, chosen, places)
    return Begun(run, wc, chosen, places, medium, run.integer("sector", 0, U64_MAX))


def agreeing(run: Run, wc: State, statuses: Sequence[Placed], places: Sequence[int]) -> Medium:
    """What the device may hold between operations.

    A committed entry is there, durably.  In the place of any other lies nothing that recovery would
    take: it is marked free, or, where the next commit writes it first, it has a count that is not
    committed.  In persistent memory the words of new entries are stored and may be lost.
    """
    durable: dict[Any, Any] = {COUNT: wc.seq_count}
    pending: dict[Any, tuple[Any, ...]] = {}
    unsafe = set()
    for number, (place, status) in enumerate(zip(places, statuses, strict=True)):
        entry = wc.entries[place]
        if status in ("committed", "progress"):
            durable |= values_of(wc, place, entry.original_sector, entry.seq_count)
            continue
        stale = run.integer(f"stale sector {number}", 0, U64_MAX)
        count = run.integer(f"stale count {number}", 0, U64_MAX)
        rewritten = status == "uncommitted" or wc.dirty_regions
        run.suppose(count >= wc.seq_count if rewritten else count == U64_MAX)
        durable |= values_of(wc, place, stale, count)
        if status == "uncommitted":
            unsafe.add(place)
            if wc.config.pmem_mode:
                stored = values_of(wc, place, entry.original_sector, entry.seq_count)
                pending |= {key: (value,) for key, value in stored.items()}
    return Medium(durable, pending, frozenset(unsafe))


def agrees(wc: State, medium: Medium, places: Sequence[int]) -> Any:
    """Whether metadata on the device agrees with a state: what `agreeing` supposes."""
    conditions: list[object] = [not medium.pending or wc.config.pmem_mode]
    for (place, word), values in medium.pending.items():
        # Of persistent memory only words of uncommitted entries may be lost, to the same effect.
        entry = wc.entries[place]
        expected = entry.original_sector if word == "sector" else entry.seq_count
        conditions.append(entry.seq_count == wc.seq_count)
        conditions += [value == expected for value in values]
    conditions.append(medium.durable[COUNT] == wc.seq_count)
    for place in places:
        entry = wc.entries[place]
        held = medium.durable.get((place, "entry"))
        sector, count = held or (medium.durable[place, "sector"], medium.durable[place, "count"])
        same = all_of([sector == entry.original_sector, count == entry.seq_count])
        is_free = entry.seq_count == U64_MAX
        out_of_sight = count >= wc.seq_count if wc.dirty_regions else count == U64_MAX
        conditions.append(
            either_of(
                is_free,
                out_of_sight,
                either_of(entry.seq_count < wc.seq_count, same, count >= wc.seq_count),
            )
        )
    return all_of(conditions)


def either_of(condition: object, if_true: object, if_false: object) -> Any:
    """One condition or the other."""
    return all_of([implies(condition, if_true), implies(negation(condition), if_false)])


def committed_at(begun: Begun) -> Any:
    """The block of the durable version; NO_BLOCK where the origin has it."""
    found: Any = NO_BLOCK
    for place, status in zip(begun.places, begun.statuses, strict=True):
        if status in ("committed", "progress"):
            same = begun.wc.entries[place].original_sector == begun.sector
            found = either(same, place, found)
    return found


def newest_at(begun: Begun) -> Any:
    """The block of the version that was written last."""
    return block_at(begun.wc, begun.sector)


def refines(begun: Begun, after: State, effects: Sequence[Effect], owed: Owed) -> None:
    """Claim all that an operation owes."""
    run, wc, places = begun.run, begun.wc, begun.places
    met = list(moments(wc, effects, begun.medium, places))
    durable = committed_at(begun)
    for number, medium in enumerate(met):
        remains = left(run, medium, f"crash {number}", places)
        found = recovers(run, wc, remains, begun.sector)
        allowed: list[object] = [
            found.block == durable,
            owed.meanwhile(begun, found.block),
        ]
        for place, sector in written_since(begun, after):
            if place not in medium.unsafe:
                allowed.append(all_of([found.block == place, sector == begun.sector]))
        run.claim(any_of(allowed), "recovery finds a version that may be there")
        run.claim(negation(found.complains), "recovery ends without an error")
        if number == len(met) - 1:
            run.claim(found.block == owed.in_the_end(begun), "and in the end the one that is owed")
    stays_in_order(begun, after, met[-1])


def written_since(begun: Begun, after: State) -> Iterator[tuple[int, Any]]:
    """Blocks of versions that are not committed when the operation begins, and their sectors."""
    for place, status in zip(begun.places, begun.statuses, strict=True):
        entry = begun.wc.entries[place]
        if status == "uncommitted" and place not in begun.wc.unwritten:
            yield place, entry.original_sector
        elif status == "free" and not is_free(after, BlockIndex(place)):
            yield place, after.entries[place].original_sector


def stays_in_order(begun: Begun, after: State, medium: Medium) -> None:
    """Claim that the next operation begins where this one began."""
    run = begun.run
    run.claim(agrees(after, medium, begun.places), "the device agrees with the state after")
    for invariant in (*INVARIANTS, *UNTIL_THE_COUNT_WRAPS):
        run.claim(invariant(after), invariant.__name__)

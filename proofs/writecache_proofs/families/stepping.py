"""One event, whichever it is, from any running cache: what an induction over events claims of it.

`step` is run on the event.  If the event cannot happen now nothing changes; else, for a sector that
stands for every sector,

* nothing that kills the kernel is met;
* at every moment, whatever a crash keeps, recovery finds what the event allows (`refining`), and in
  the end what is owed;
* the state after it keeps all invariants, and the metadata on the device agrees with it;
* data that was overwritten in place stays known as not durable until the cache device is flushed;
* what is under writeback stays as it was, but for what the event says it ends.

So the next event begins where this one began.  By induction that is every trace of any length that
is made of events of which this is proved, crashes and recoveries included.
"""

from collections.abc import Sequence
from typing import Any

from writecache_proofs.families.medium import NO_BLOCK
from writecache_proofs.families.refining import (
    Begun,
    Owed,
    committed_at,
    newest_at,
    refines,
)
from writecache_proofs.symbolic import all_of, either, implies, negation
from writecache_spec.effects import Broken, Effect, FlushDevice, NotEnabled
from writecache_spec.entries import is_free
from writecache_spec.events import Device, Event
from writecache_spec.invariants import UNDER_DEVICE_MAPPER
from writecache_spec.state import State, Writeback
from writecache_spec.step import Step, step
from writecache_spec.units import BlockIndex


def stepped(begun: Begun, event: Event) -> Step | None:
    """What comes of an event; None where it cannot happen now, or must not."""
    run = begun.run
    after = step(begun.wc, event)
    first = after.effects[0] if after.effects else None
    why = f": {first.reason.value}" if isinstance(first, Broken) else ""
    run.claim(not why, f"the kernel lives{why}")
    if isinstance(first, NotEnabled):
        run.claim(after.state is begun.wc, "what cannot happen now changes nothing")
    return None if isinstance(first, Broken | NotEnabled) else after


NOTHING = Owed(lambda begun, block: False, committed_at)
"""What is durable stays so, and nothing else becomes it."""


def goes_on(
    begun: Begun,
    after: Step,
    owed: Owed = NOTHING,
    ended: Sequence[int] = (),
    jobs_change: bool = False,
) -> None:
    """Claim all that is owed of every event; `ended` are copies whose blocks it frees."""
    run, wc = begun.run, begun.wc
    refines(begun, after.state, after.effects, owed)
    for invariant in UNDER_DEVICE_MAPPER:
        run.claim(invariant(after.state), invariant.__name__)
    overwritten_stays_known(begun, after.state, after.effects)
    for place, status in zip(begun.places, begun.statuses, strict=True):
        if status == "progress" and place not in ended:
            same = after.state.entries[place] == wc.entries[place]
            run.claim(same, "a block under writeback stays as it was")
    nothing_is_given_away(begun, after.state)
    if not jobs_change:
        run.claim(jobs(after.state) == jobs(wc), "jobs stay as they were")


def nothing_is_given_away(begun: Begun, after: State) -> None:
    """Claim that no block becomes free under a request that may be reading or writing it.

    What is in flight the cache only counts.  A block under writeback has no write in flight,
    because a pass waits; in persistent memory nothing is in flight.
    """
    run, wc = begun.run, begun.wc
    for place, status in zip(begun.places, begun.statuses, strict=True):
        freed = status != "free" and is_free(after, BlockIndex(place))
        if freed and not wc.config.pmem_mode:
            run.claim(wc.reads_in_progress == 0, "nobody reads what is freed")
            if status != "progress":
                run.claim(wc.writes_in_progress == 0, "nobody writes what is freed")


def jobs(wc: State) -> tuple[Writeback | None, object, object]:
    """All that is known of copies."""
    return wc.writeback, wc.endio_list, wc.endio_taken


def overwritten_stays_known(begun: Begun, after: State, effects: Sequence[Effect]) -> None:
    """Claim that overwritten data is forgotten only when it is durable."""
    wc = begun.wc
    forgotten = all_of([wc.overwrote_committed, negation(after.overwrote_committed)])
    flushed = FlushDevice(Device.CACHE) in effects
    begun.run.claim(
        implies(forgotten, all_of([flushed, wc.writes_in_progress == 0])),
        "overwritten data is durable before it is forgotten",
    )


def written_at(begun: Begun) -> Any:
    """The newest version of the sector that a write has reached; NO_BLOCK where there is none."""
    wc, block = begun.wc, NO_BLOCK
    for own_sector, indices in wc.tree.items():
        written = [index for index in indices if index not in wc.unwritten]
        if written:
            block = either(own_sector == begun.sector, int(written[-1]), block)
    return block


def reads_on(begun: Begun, after: State, expected: Any) -> None:
    """Claim which block a read of the sector finds after the event."""
    found = newest_at(begun._replace(wc=after))
    begun.run.claim(found == expected, "a read finds what it must")

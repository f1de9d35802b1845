"""Induction over events, part three: reads, requests that end, timers and messages.

A read finds the newest version that a write has reached, and none of these events changes anything
that a crash could find.
"""

from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.medium import NO_BLOCK
from writecache_proofs.families.refining import newest_at
from writecache_proofs.families.running import (
    running,
)
from writecache_proofs.families.stepping import goes_on, reads_on, stepped
from writecache_proofs.families.writes import past_the_cache, request_of
from writecache_proofs.symbolic import Run, either, implies
from writecache_proofs.theorem import Family, Twin
from writecache_spec.effects import Remap
from writecache_spec.events import (
    AutocommitTimer,
    Bio,
    BioPrivate,
    Device,
    EndIo,
    Event,
    FlushMessageEnd,
    Map,
    MaxAgeTimer,
    Message,
    Op,
)
from writecache_spec.map import _map_read, end_io
from writecache_spec.state import blocks_at
from writecache_spec.units import Jiffies, Sector

REQUESTS: Final = Family("induction", __name__)


def reads(run: Run, n_entries: int, pmem_mode: bool, length: int = 1) -> None:
    """A read of so many blocks."""
    begun = running(run, n_entries, pmem_mode, whereabouts=("copying",), dirty=(0,))
    request = request_of(run, Op.READ, length)
    if (after := stepped(begun, Map(request))) is None:
        return
    wc = begun.wc
    expected: Any = NO_BLOCK
    for sector, indices in wc.tree.items():
        readable = [index for index in indices if index not in wc.unwritten]
        if readable:
            expected = either(sector == request.sector, int(readable[-1]), expected)
    for effect in after.effects:
        if isinstance(effect, Remap) and effect.device is Device.CACHE:
            (place,) = blocks_at(wc.config, effect.sector, effect.n_sectors)
            run.claim(expected == place, "from the newest version that was written")
            uncommitted = wc.entries[place].seq_count >= wc.seq_count
            arrived = wc.writes_in_progress == 0
            run.claim(implies(uncommitted, arrived), "which has arrived")
    past_the_cache(begun, after)
    goes_on(begun, after)


_UNWRITTEN: Final = Twin(
    "from a block that no write has reached",
    (Edit(_map_read, "if index in wc.unwritten:", "if False:"),),
)


@REQUESTS.theorem(_UNWRITTEN, bound="caches of 3 blocks in any state, requests of a block")
def a_read_keeps_the_invariants(run: Run) -> None:
    """A read, from any state: of the newest version that a write has reached, or of the origin
    where there is none."""
    reads(run, 3, False)


@REQUESTS.theorem(_UNWRITTEN, bound="caches of 3 blocks in any state, requests of 2 blocks")
def a_read_of_two_blocks_keeps_the_invariants(run: Run) -> None:
    """The same of two blocks: what goes to the origin ends before the next cached sector."""
    reads(run, 3, False, 2)


_ASKS: Final[tuple[Event | str, ...]] = (
    AutocommitTimer(),
    MaxAgeTimer(),
    FlushMessageEnd(),
    Map(Bio(Op.FLUSH)),
    Map(Bio(Op.DISCARD, Sector(0), Sector(1))),
)


def changes_nothing(run: Run, n_entries: int) -> None:
    """An event that neither commits, frees nor takes a block."""
    begun = running(run, n_entries, dirty=(0,))
    event = run.choose("event", (*_ASKS, "message", "end"))
    if event == "message":
        event = Message((run.choose("word", ("cleaner", "flush_on_suspend", "clear_stats", "no")),))
    elif event == "end":
        ended = Bio(run.choose("op", (Op.READ, Op.WRITE)))
        how = run.choose("how", (BioPrivate.IN_PROGRESS, BioPrivate.FUA_IN_PROGRESS))
        blocks = run.choose("blocks", (range(1), range(n_entries)))
        event = EndIo(ended, how, run.choose("failed", (False, True)), Jiffies(0), blocks)
    assert not isinstance(event, str)
    if (after := stepped(begun, event)) is None:
        return
    goes_on(begun, after)
    reads_on(begun, after.state, newest_at(begun))


@REQUESTS.theorem(
    Twin("what has ended was written", (
        Edit(end_io, "if wc.unwritten and not event.failed:",
             "wc = wc._replace(unwritten=wc.unwritten | frozenset(event.blocks))\n"
             "            if False:"),)),
    bound="caches of 2 blocks in any state",
)  # fmt: skip
def what_commits_and_frees_nothing_keeps_the_invariants(run: Run) -> None:
    """The end of a request's I/O, timers, messages, and a flush or discard that is left to the
    flush thread change nothing that a crash or a read could find."""
    changes_nothing(run, 2)

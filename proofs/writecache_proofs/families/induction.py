"""Induction over events, part one: commits, discards, requests that end, and what changes nothing.

See `stepping` for what is claimed of each event, `running` for where it begins.
"""

from typing import Final

from writecache_models.mutants import Edit
from writecache_proofs.families.medium import NO_BLOCK
from writecache_proofs.families.refining import Begun, Owed, committed_at, newest_at
from writecache_proofs.families.running import running
from writecache_proofs.families.states import LAST_SECTOR
from writecache_proofs.families.stepping import goes_on, reads_on, stepped, written_at
from writecache_proofs.symbolic import Run, all_of, any_of, either
from writecache_proofs.theorem import Family, Twin
from writecache_spec.commit import flush
from writecache_spec.discard import discard
from writecache_spec.events import Bio, Event, FlushThread, FlushWork, Map, Message, Op, Suspend
from writecache_spec.mended import drop_superseded
from writecache_spec.suspend import suspend
from writecache_spec.units import Sector

INDUCTION: Final = Family("induction", __name__)
THREE: Final = "caches of 3 blocks in any state"
COMMITS: Final = Owed(lambda begun, block: False, written_at)
"""The newest version that a write has reached becomes durable."""


FLUSH: Final = Bio(Op.FLUSH)


def commits(run: Run, n_entries: int, pmem_mode: bool, *events: Event) -> None:
    """Something commits."""
    begun = running(run, n_entries, pmem_mode, whereabouts=("copying",))
    event = run.choose("event", events)
    begun = begun._replace(wc=begun.wc._replace(flush_list=(FLUSH,)))
    if (after := stepped(begun, event)) is None:
        return
    goes_on(begun, after, COMMITS)
    reads_on(begun, after.state, written_at(begun))


@INDUCTION.theorem(
    Twin("a block that no write has reached is committed", (
        Edit(drop_superseded, "dropped |= wc.unwritten", "pass"),)),
    Twin("what is dropped is freed with nothing said", (
        Edit(drop_superseded, "    for index in sorted(dropped):\n        wc = free_entry(wc, "
             "transcript, index)\n", ""),)),
    bound=THREE,
)  # fmt: skip
def a_flush_begins_and_ends_in_the_invariants(run: Run) -> None:
    """A flush request's commit and the work queue's, from any state: all that was written becomes
    durable, at once, and the next event begins where this one began."""
    commits(run, 3, False, FlushThread(), FlushWork())


@INDUCTION.theorem(
    Twin("a suspend does not commit", (
        Edit(suspend, "wc = flush(wc._replace(suspended=True), transcript)",
             "wc = wc._replace(suspended=True)"),)),
    bound=THREE,
)  # fmt: skip
def messages_and_suspends_begin_and_end_in_the_invariants(run: Run) -> None:
    """The same of the message `flush` and of a suspend."""
    commits(run, 3, False, Message(("flush",)), Suspend())


@INDUCTION.theorem(
    Twin("the fence is left out", (
        Edit(flush, "wc = commit_flushed(_mark_dirty(wc, uncommitted), transcript, data_too=True)",
             "pass"),)),
    bound=THREE,
)  # fmt: skip
def every_commit_of_persistent_memory_ends_in_the_invariants(run: Run) -> None:
    """The same of persistent memory."""
    commits(run, 3, True, Map(FLUSH), FlushWork(), Message(("flush",)), Suspend())


def discards(run: Run, n_entries: int, pmem_mode: bool, dirty: tuple[int, ...] = (0,)) -> None:
    """A discard of any range."""
    begun = running(run, n_entries, pmem_mode, whereabouts=("copying",), dirty=dirty)
    start = run.integer("start", 0, LAST_SECTOR)
    length = run.integer("length", 1, LAST_SECTOR)
    request = Bio(Op.DISCARD, Sector(start), Sector(length))
    begun = begun._replace(wc=begun.wc._replace(flush_list=(request,)))
    if (after := stepped(begun, Map(request) if pmem_mode else FlushThread())) is None:
        return
    inside = all_of([start <= begun.sector, begun.sector < start + length])
    copied = _in_progress_at(begun)

    def meanwhile(before: Begun, block: object) -> object:
        return all_of([inside, any_of([block == NO_BLOCK, block == copied])])

    goes_on(begun, after, Owed(meanwhile, lambda one: either(inside, copied, committed_at(one))))
    expected = either(inside, copied, newest_at(begun))
    reads_on(begun, after.state, expected)


def _in_progress_at(begun: Begun) -> object:
    """The block of the sector that is under writeback."""
    found: object = NO_BLOCK
    for place, status in zip(begun.places, begun.statuses, strict=True):
        if status == "progress":
            found = either(begun.wc.entries[place].original_sector == begun.sector, place, found)
    return found


_UNCOMMITTED_STAY: Final = Edit(
    discard, "if not wc.entries[i].write_in_progress]",
    "if not wc.entries[i].write_in_progress and entry_is_committed(wc, wc.entries[i])]",
)  # fmt: skip


@INDUCTION.theorem(Twin("uncommitted blocks stay", (_UNCOMMITTED_STAY,)), bound=THREE)
def a_discard_begins_and_ends_in_the_invariants(run: Run) -> None:
    """A discard of any range, from any state: of sectors in it a crash leaves the durable version,
    one that is being copied, or the origin's; all others stay as they are."""
    discards(run, 3, False)


@INDUCTION.theorem(Twin("uncommitted blocks stay", (_UNCOMMITTED_STAY,)), bound=THREE)
def a_discard_ends_in_the_invariants_where_something_was_freed_before(run: Run) -> None:
    """The same where something was freed before that no commit has carried yet."""
    discards(run, 3, False, (1,))


@INDUCTION.theorem(Twin("uncommitted blocks stay", (_UNCOMMITTED_STAY,)), bound=THREE)
def a_discard_of_persistent_memory_ends_in_the_invariants(run: Run) -> None:
    """The same of persistent memory."""
    discards(run, 3, True)

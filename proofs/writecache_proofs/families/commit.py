"""Commit, discard and the end of writeback, refined: see `refining` for what is claimed of each."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.medium import NO_BLOCK, block_at, left, moments, resumed
from writecache_proofs.families.refining import (
    REPAIRED,
    Begun,
    Owed,
    begin,
    committed_at,
    newest_at,
    refines,
)
from writecache_proofs.families.states import LAST_SECTOR, PARTS_OF_SIX, Part, Placed
from writecache_proofs.symbolic import Run, all_of, any_of, either
from writecache_proofs.theorem import Family, Twin
from writecache_spec.commit import _free_replaced, flush
from writecache_spec.discard import discard
from writecache_spec.endio import free_copied_blocks
from writecache_spec.entries import free_entry
from writecache_spec.events import CopyJob
from writecache_spec.profile import Profile
from writecache_spec.repairs import Repair
from writecache_spec.resume import _rebuild
from writecache_spec.transcript import Transcript
from writecache_spec.units import BlockIndex, Sector

COMMIT: Final = Family("commit", __name__)
_NOTHING: Final = Owed(lambda begun, block: False, newest_at)
BEGUN: Final = "from any state that keeps the invariants"
BOUND: Final = f"4 entries, {BEGUN}"


def flush_refines(
    run: Run,
    n_entries: int,
    profile: Profile,
    pmem_mode: bool = False,
    dirty: tuple[bool, ...] = (False, True),
    such: Callable[[Sequence[Placed]], bool] = lambda statuses: True,
) -> None:
    """A commit, from any state."""
    begun = begin(run, n_entries, profile, pmem_mode, dirty=dirty, such=such)
    transcript = Transcript()
    after = flush(begun.wc, transcript)
    refines(begun, after, transcript.effects, _NOTHING)


def without(repair: Repair) -> Profile:
    """All repairs but one."""
    return REPAIRED._replace(repairs=REPAIRED.repairs - {repair})


def _two_of_one_commit(run: Run) -> None:
    """A commit that may carry two entries of a sector."""
    flush_refines(run, 2, without(Repair.ONE_ENTRY_A_COMMIT))


_COUNT_FIRST: Final = Edit(
    flush, "wc = commit_flushed(_mark_dirty(wc, uncommitted), transcript, data_too=True)", "pass"
)


@COMMIT.theorem(
    Twin("without the repair: two entries of one commit", check=_two_of_one_commit,
         finding="two-entries-in-one-commit"),
    Twin("entries are not written before the count is raised", (_COUNT_FIRST,)),
    Twin("what the new entries replace stays", (
        Edit(_free_replaced, "replaced is not None and not", "replaced is None and not"),)),
    bound=BOUND,
)  # fmt: skip
def a_commit_is_atomic_for_every_crash(run: Run) -> None:
    """A crash of a commit, at any moment and keeping any sectors, leaves of every sector the
    version before or a version of the commit whose data is durable; after it, exactly the
    newest."""
    flush_refines(run, 4, REPAIRED, dirty=(False,))


@COMMIT.theorem(
    Twin("entries are not written before the count is raised", (_COUNT_FIRST,)),
    bound=BOUND,
)
def a_commit_is_atomic_where_something_was_freed_before(run: Run) -> None:
    """The same where an earlier commit, which had nothing to commit, has left what it freed to this
    one: entries on the device that memory has freed are not revived."""
    flush_refines(run, 4, REPAIRED, dirty=(True,))


@COMMIT.theorem(
    Twin("the fence before the count is left out", (
        Edit(flush, "wc = commit_flushed(_mark_dirty(wc, uncommitted), transcript, data_too=True)",
             "pass"),)),
    bound=f"3 entries, every set of their words, {BEGUN}",
)  # fmt: skip
def a_commit_of_persistent_memory_is_atomic_for_every_crash(run: Run) -> None:
    """The same of persistent memory, of which a crash keeps any words that no fence has covered."""
    flush_refines(run, 3, REPAIRED, pmem_mode=True)


def _end_to_end(run: Run, profile: Profile) -> None:
    run.allow_keys()
    begun = begin(run, 2, profile)
    transcript = Transcript()
    flush(begun.wc, transcript)
    met = list(moments(begun.wc, transcript.effects, begun.medium, begun.places))
    number = run.choose("moment", range(len(met)))
    remains = left(run, met[number], "crash", begun.places)
    after, _ = resumed(begun.wc, remains)
    found = block_at(after, begun.sector)
    run.claim(not after.error, "recovery ends without an error")
    allowed = [found == committed_at(begun), found == newest_at(begun)]
    run.claim(any_of(allowed), "the version before, or the newest")
    if number == len(met) - 1:
        run.claim(found == newest_at(begun), "in the end the newest")


@COMMIT.theorem(
    Twin("as the kernel does it", check=lambda run: _end_to_end(run, without(
        Repair.ONE_ENTRY_A_COMMIT)), finding="two-entries-in-one-commit"),
    bound="2 entries",
)  # fmt: skip
def a_commit_crashes_and_is_resumed(run: Run) -> None:
    """The same from end to end, without a lemma: the shipped commit, a crash, the shipped
    resume."""
    _end_to_end(run, REPAIRED)


def discard_refines(run: Run, n_entries: int, profile: Profile, pmem_mode: bool = False) -> None:
    """A discard of any range, from any state."""
    begun = begin(run, n_entries, profile, pmem_mode)
    start, end = (Sector(run.integer(name, 0, LAST_SECTOR + 1)) for name in ("start", "end"))
    run.suppose(start < end)
    transcript = Transcript()
    after = discard(begun.wc, transcript, start, end)
    inside = all_of([start <= begun.sector, begun.sector < end])

    def in_the_end(before: Begun) -> Any:
        """In the range only what is being copied stays; outside of it, what was durable."""
        kept: Any = NO_BLOCK
        for place, status in zip(before.places, before.statuses, strict=True):
            if status == "progress":
                same = before.wc.entries[place].original_sector == before.sector
                kept = either(same, place, kept)
        return either(inside, kept, committed_at(before))

    def meanwhile(before: Begun, block: Any) -> Any:
        """The origin's, or anything the sector held: an older version that is being copied, too."""
        held = [block == NO_BLOCK]
        for place, status in zip(before.places, before.statuses, strict=True):
            if status == "progress":
                same = before.wc.entries[place].original_sector == before.sector
                held.append(all_of([block == place, same]))
        return all_of([inside, any_of(held)])

    refines(begun, after, transcript.effects, Owed(meanwhile, in_the_end))


@COMMIT.theorem(
    Twin("what is freed is not marked dirty", (
        Edit(free_entry, "dirty_regions |= 1 << entry_region(index)", "dirty_regions |= 0"),)),
    bound=f"3 entries, {BEGUN}",
)  # fmt: skip
def a_discard_forgets_its_range_and_nothing_else(run: Run) -> None:
    """A crash of a discard leaves of a sector in its range the version before, or the origin's;
    outside of it nothing changes; after it the range is forgotten, but for what is being copied."""
    discard_refines(run, 3, REPAIRED)


@COMMIT.theorem(
    Twin("the fence is left out", (
        Edit(discard, "return commit_flushed(wc, transcript, data_too=False)", "return wc"),)),
    bound=f"3 entries, every set of their words, {BEGUN}",
)  # fmt: skip
def a_discard_of_persistent_memory_forgets_its_range(run: Run) -> None:
    """The same of persistent memory."""
    discard_refines(run, 3, REPAIRED, pmem_mode=True)


def endio_refines(run: Run, statuses: Sequence[Placed] | None, profile: Profile) -> None:
    """The end of any of the copies under way, from any state."""
    begun = begin(run, 3, profile, statuses=statuses)
    in_progress = [
        place
        for place, status in zip(begun.places, begun.statuses, strict=True)
        if status == "progress"
    ]
    if not in_progress:
        return
    ended = [place for place in in_progress if run.choose(f"{place} has ended", (True, False))]
    if not ended:
        return
    jobs = tuple(
        (CopyJob(BlockIndex(place), 1, begun.wc.entries[place].original_sector), False)
        for place in ended
    )
    transcript = Transcript()
    after = free_copied_blocks(begun.wc._replace(endio_taken=jobs), transcript)

    def is_home(before: Begun) -> Any:
        """The origin has durably what the durable version's block held."""
        return any_of(committed_at(before) == place for place in ended)

    def in_the_end(before: Begun) -> Any:
        return either(is_home(before), NO_BLOCK, committed_at(before))

    def meanwhile(before: Begun, block: Any) -> Any:
        return all_of([block == NO_BLOCK, is_home(before)])

    refines(begun, after, transcript.effects, Owed(meanwhile, in_the_end))


@COMMIT.theorem(
    Twin("the block stays in the tree", (
        Edit(free_entry, "if other != index", "if True"),)),
    Twin("the freed entry is not marked free", (
        Edit(free_entry, "Entry(sector, SequenceCount(U64_MAX))", "entry._replace(lru_key=0)"),)),
    bound=f"3 entries, {BEGUN}",
)  # fmt: skip
def the_end_of_writeback_loses_no_version(run: Run) -> None:
    """Whichever copies end: a crash leaves the block or the origin, which has the same; never an
    older version, and a newer one always wins."""
    endio_refines(run, None, REPAIRED)


def _of_six(part: Part) -> None:
    def check(run: Run) -> None:
        flush_refines(run, 6, REPAIRED, such=part.includes)

    check.__name__ = f"a_commit_of_six_entries_is_atomic_where_{part.words.replace(' ', '_')}"
    check.__doc__ = f"The commit's theorem of six entries where {part.words}."
    COMMIT.theorem(
        Twin("entries are not written before the count is raised", (_COUNT_FIRST,))
        if part.n_new
        else Twin("the smaller count wins", (
            Edit(_rebuild, "old_seq_count > entry.seq_count", "old_seq_count < entry.seq_count"),)),
        bound=f"6 entries, {BEGUN}", deep=True,
    )(check)  # fmt: skip


for _part in PARTS_OF_SIX:
    _of_six(_part)

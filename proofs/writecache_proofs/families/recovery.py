"""Recovery: what `resume` makes of any entries at all, and that a crash of it changes nothing.

Nothing is supposed of the entries: sectors and counts have all their 64 bits, equal ones included.
"""

from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.medium import (
    COUNT,
    PLACES,
    Medium,
    Remains,
    block_at,
    left,
    moments,
    recovered,
    recovers,
    resumed,
    values_of,
)
from writecache_proofs.families.states import empty_cache
from writecache_proofs.symbolic import Run, all_of, either, implies
from writecache_proofs.theorem import Family, Twin
from writecache_spec.effects import WriteMetadata
from writecache_spec.layout import MemoryEntry, is_committed
from writecache_spec.profile import PROFILES
from writecache_spec.resume import _rebuild, resume
from writecache_spec.state import State
from writecache_spec.units import U64_MAX, Sector, SequenceCount

RECOVERY: Final = Family("recovery", __name__)
_REPAIRED: Final = PROFILES["1.6.0"].repaired()


def any_remains(run: Run, n_entries: int) -> Remains:
    """Whatever a device may hold."""
    run.allow_keys()
    entries = {
        place: (
            run.integer(f"sector {number}", 0, U64_MAX),
            run.integer(f"count {number}", 0, U64_MAX),
        )
        for number, place in enumerate(PLACES[:n_entries])
    }
    return Remains(run.integer("seq_count", 0, U64_MAX), entries)


def _blank(n_entries: int) -> State:
    return empty_cache(_REPAIRED, PLACES[n_entries - 1] + 1)


def _takes_the_greatest(run: Run, n_entries: int) -> None:
    remains = any_remains(run, n_entries)
    after, transcript = resumed(_blank(n_entries), remains)
    sector = run.integer("sector", 0, U64_MAX)
    expected = recovered(remains.entries, remains.count, sector)
    run.claim(block_at(after, sector) == expected.block, "every sector has the block that wins")
    run.claim(implies(expected.complains, after.error), "equal counts are an error")
    used = {int(index) for _, indices in after.tree.items() for index in indices}
    free = {int(index) for _, index in after.freelist.items()}
    run.claim(used | free == set(range(after.config.n_blocks)), "no block is lost")
    run.claim(not used & free, "no block is used twice")
    run.claim(after.seq_count == remains.count, "the count is taken over")
    if not any(isinstance(effect, WriteMetadata) for effect in transcript.effects):
        unused = [count for place, (_, count) in remains.entries.items() if place not in used]
        marked = all_of(count == U64_MAX for count in unused)
        run.claim(marked, "where nothing is written, all other entries are marked free")


_OLDER_WINS: Final = Edit(
    _rebuild, "old_seq_count > entry.seq_count", "old_seq_count < entry.seq_count"
)


@RECOVERY.theorem(
    Twin("the smaller count wins", (_OLDER_WINS,)),
    Twin(
        "entries of the last commit are not seen",
        (Edit(is_committed, "entry_seq_count < seq_count", "entry_seq_count + 1 < seq_count"),),
    ),
    bound="3 entries of any content",
)
def resume_takes_the_greatest_committed_count(run: Run) -> None:
    """Of every sector resume takes the committed entry with the greatest count, the later of
    equals, and the origin where there is none; all other blocks become free, and what it erases it
    writes."""
    _takes_the_greatest(run, 3)


def _rebuilds(run: Run, n_entries: int) -> None:
    """`_rebuild` alone, which decides all that."""
    remains = any_remains(run, n_entries)
    pairs = list(remains.entries.values())
    on_disk = tuple(MemoryEntry(Sector(a), SequenceCount(b)) for a, b in pairs)
    rebuilt = _rebuild(on_disk, remains.count)
    sector = run.integer("sector", 0, U64_MAX)
    expected = recovered(dict(enumerate(pairs)), remains.count, sector)
    found: Any = -1
    for own, index in rebuilt.by_sector.items():
        found = either(own == sector, int(index), found)
    run.claim(found == expected.block, "every sector has the block that wins")
    run.claim(implies(expected.complains, bool(rebuilt.identical)), "equal counts are an error")
    both = {*map(int, rebuilt.by_sector.values()), *map(int, rebuilt.free)}
    run.claim(both == set(range(n_entries)), "no block is lost")


@RECOVERY.theorem(Twin("the smaller count wins", (_OLDER_WINS,)), bound="4 entries of any content")
def recovery_of_four_entries_takes_the_greatest_count(run: Run) -> None:
    """The same of four entries, of the function that decides it."""
    _rebuilds(run, 4)


@RECOVERY.theorem(
    Twin("the smaller count wins", (_OLDER_WINS,)), bound="6 entries of any content", deep=True
)
def recovery_of_six_entries_takes_the_greatest_count(run: Run) -> None:
    """The same of six entries."""
    _rebuilds(run, 6)


def medium_of(wc: State, remains: Remains) -> Medium:
    """Remains, all durable."""
    durable: dict[Any, Any] = {COUNT: remains.count}
    for place, (sector, count) in remains.entries.items():
        durable |= values_of(wc, place, sector, count)
    return Medium(durable, {}, frozenset())


def _crashes_of_resume(run: Run, n_entries: int, pmem_mode: bool) -> None:
    """Recovery crashes at any moment, keeping anything, and is done again."""
    remains = any_remains(run, n_entries)
    places = PLACES[:n_entries]
    wc = empty_cache(_REPAIRED, places[-1] + 1, pmem_mode)
    _, transcript = resumed(wc, remains)
    sector = run.integer("sector", 0, U64_MAX)
    before = recovered(remains.entries, remains.count, sector)
    met = list(moments(wc, transcript.effects, medium_of(wc, remains), places))
    for number, medium in enumerate(met):
        again = recovers(run, wc, left(run, medium, f"crash {number}", places), sector)
        run.claim(again.block == before.block, "the same block of every sector, after a crash")
    run.claim(not met[-1].pending, "what was erased is durable when resume has ended")


def recovery_of_persistent_memory_is_idempotent_over_crashes(run: Run) -> None:
    """The same of persistent memory, of which a crash keeps any words."""
    _crashes_of_resume(run, 3, True)


_ERASES_WINNERS: Final = Edit(
    _rebuild, "rebuilt.erased.append(loser)", "rebuilt.erased.append(old)"
)


@RECOVERY.theorem(
    Twin(
        "the winner's entry is written as free",
        (Edit(resume, "wc = _adopt(wc, on_disk, rebuilt, event.now)",
              "wc = _adopt(wc, on_disk, rebuilt._replace(by_sector={}), event.now)"),),
    ),
    bound="3 entries of any content, any set of sectors kept",
)  # fmt: skip
def resume_is_idempotent_over_crashes(run: Run) -> None:
    """A crash of recovery, at any moment and keeping any sectors, changes nothing of what the next
    recovery finds: of any content whatever."""
    _crashes_of_resume(run, 3, False)


RECOVERY.theorem(
    Twin("the older of two is erased, whichever wins", (_ERASES_WINNERS,)),
    bound="3 entries of any content, any set of words kept",
)(recovery_of_persistent_memory_is_idempotent_over_crashes)


@RECOVERY.theorem(
    Twin(
        "the flush of what is read is left out",
        (Edit(resume, "if mends(wc, Repair.RESUME_FLUSHES)", "if False"),),
    ),
    bound="2 entries",
)
def resume_builds_on_durable_metadata(run: Run) -> None:
    """Where nothing of what it reads is durable yet, as after a flush that failed, the repaired
    resume makes all of it durable, what it does not erase included: no crash loses it any more."""
    remains = any_remains(run, 2)
    places = PLACES[:2]
    wc = _blank(2)
    _, transcript = resumed(wc, remains)
    read = medium_of(wc, remains).durable
    older = {key: (U64_MAX, U64_MAX) if key != COUNT else 0 for key in read}
    medium = Medium(older, {key: (value,) for key, value in read.items()}, frozenset())
    *_, last = moments(wc, transcript.effects, medium, places)
    sector = run.integer("sector", 0, U64_MAX)
    before = recovered(remains.entries, remains.count, sector)
    again = recovers(run, wc, left(run, last, "crash", places), sector)
    run.claim(again.block == before.block, "a crash leaves every sector the block that was read")

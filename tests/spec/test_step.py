"""`step` is total and deterministic, and every invariant notices its own violation."""

from collections.abc import Callable

import pytest
from builders import cache, committed, drive, pieces, request, submitted, write
from hypothesis import given, settings
from hypothesis import strategies as st

from writecache_spec.effects import Broken, NotEnabled
from writecache_spec.events import (
    AutocommitTimer,
    Bio,
    BioPrivate,
    CopyEnd,
    CopyJob,
    EndIo,
    EndioTake,
    EndioThread,
    Event,
    FlushMessageEnd,
    FlushThread,
    FlushWork,
    Map,
    MaxAgeTimer,
    Message,
    Op,
    Resume,
    Suspend,
    SuspendEnd,
    WritebackContinue,
    WritebackWork,
)
from writecache_spec.invariants import (
    INVARIANTS,
    UNDER_DEVICE_MAPPER,
    no_entry_is_ahead_of_the_count,
    violated,
    what_is_suspended_is_committed,
)
from writecache_spec.layout import MemoryEntry
from writecache_spec.state import Phase, State, Waiter, Writeback
from writecache_spec.step import step
from writecache_spec.transcript import Transcript, report_error
from writecache_spec.units import BlockIndex, Sector

FAILING = st.one_of(st.just(frozenset[int]()), st.frozensets(st.integers(0, 4), max_size=1))
EVENTS = st.one_of(
    st.builds(
        Map,
        st.builds(
            Bio,
            st.sampled_from(Op),
            st.integers(0, 9),
            st.integers(1, 4),
            fua=st.booleans(),
            tag=st.integers(0, 3),
        ),
    ),
    st.builds(FlushThread, FAILING),
    st.builds(FlushWork, FAILING),
    st.builds(WritebackWork, failing_ios=FAILING),
    st.builds(WritebackContinue, failing_ios=FAILING),
    st.builds(EndioTake, FAILING),
    st.builds(EndioThread, FAILING),
    st.sampled_from((AutocommitTimer(), MaxAgeTimer(), FlushMessageEnd(), SuspendEnd())),
    st.builds(Message, st.sampled_from((("flush",), ("cleaner",), ("flush_on_suspend",))), FAILING),
    st.builds(Suspend, FAILING),
    st.sampled_from(("end io", "end copy", "resume")),
)


def concrete(wc: State, event: Event | str, in_flight: list[object]) -> Event | None:
    """What ends a piece or a copy is one that is in flight."""
    if not isinstance(event, str):
        return event
    if event == "resume":
        entries = tuple(MemoryEntry(*entry[:2]) for entry in wc.entries)
        return Resume((wc.superblock, entries), Sector(64))
    wanted = EndIo if event == "end io" else CopyEnd
    return next((e for e in in_flight if isinstance(e, wanted)), None)  # type: ignore[return-value]


def remember(effects: tuple[object, ...], in_flight: list[object]) -> None:
    for effect in effects:
        job, private = getattr(effect, "job", None), getattr(effect, "private", None)
        if job is not None:
            in_flight.append(CopyEnd(job))
        if private not in (None, BioPrivate.NONE):
            in_flight.append(EndIo(effect.bio, private))  # type: ignore[attr-defined]


@settings(max_examples=300)
@given(
    st.lists(EVENTS, max_size=50), st.sampled_from(("1.6.0", "1.4.0-bullseye", "1.6.0-6.12.117"))
)
def test_step_is_total_deterministic_and_keeps_the_invariants(
    events: list[Event | str], profile: str
) -> None:
    wc = cache("autocommit_blocks 3 pause_writeback 0", profile=profile, n_blocks=6)
    in_flight: list[object] = []
    for drawn in events:
        event = concrete(wc, drawn, in_flight)
        if event is None:
            continue
        after = step(wc, event)
        assert after == step(wc, event)
        if after.effects and isinstance(after.effects[0], NotEnabled | Broken):
            assert after.state is wc
            assert len(after.effects) == 1
            continue
        if event in in_flight:
            in_flight.remove(event)
        remember(after.effects, in_flight)
        wc = after.state
        assert violated(wc) == (), event


def used() -> State:
    """Uncommitted, committed, free and copied blocks, a duplicate, a dirty region."""
    wc = cache(n_blocks=8, found=[(10, 0), (20, 0)], seq_count=1)
    wc = submitted(wc._replace(freelist_low_watermark=6))
    wc = write(committed(write(write(wc, 10), 40)), 60)
    assert wc.writeback_size == 1
    return wc


def with_entry(wc: State, index: int, **fields: object) -> State:
    entry = wc.entries[index]._replace(**fields)  # type: ignore[arg-type]
    return wc._replace(entries=wc.entries.set(index, entry))


BROKEN_TWINS: dict[str, Callable[[State], State]] = {
    "every_block_is_free_or_in_the_tree": lambda wc: wc._replace(freelist=wc.freelist.remove(7)),
    "free_entries_are_marked_free": lambda wc: with_entry(wc, 7, seq_count=0),
    "tree_is_keyed_by_original_sector": lambda wc: with_entry(wc, 1, original_sector=21),
    "lru_lists_what_is_idle": lambda wc: wc._replace(lru=wc.lru.remove(wc.entries[1].lru_key)),
    "lru_keys_agree": lambda wc: with_entry(wc, 1, lru_key=99),
    "uncommitted_entries_head_the_lru": lambda wc: with_entry(wc, 1, seq_count=wc.seq_count),
    "writeback_size_counts": lambda wc: wc._replace(writeback_size=2),
    "only_committed_blocks_are_written_back": lambda wc: with_entry(wc, 0, seq_count=wc.seq_count),
    "current_free_is_free": lambda wc: wc._replace(current_free=0),
    "free_list_is_in_its_order": lambda wc: wc._replace(freelist=wc.freelist.set(6, 5)),
    "dirty_regions_exist": lambda wc: wc._replace(dirty_regions=2),
    "counters_fit": lambda wc: wc._replace(uncommitted_blocks=-1),
    "superblock_agrees": lambda wc: wc._replace(seq_count=wc.seq_count + 1),
    "versions_are_in_the_order_of_their_commits": lambda wc: with_entry(
        with_entry(wc, 0, seq_count=1), 2, seq_count=0
    ),
    "only_copies_under_way_are_superseded": lambda wc: with_entry(wc, 0, write_in_progress=False),
    "unwritten_blocks_are_uncommitted": lambda wc: wc._replace(unwritten=frozenset({1})),
    "jobs_are_of_blocks_under_writeback": lambda wc: wc._replace(
        endio_list=((CopyJob(BlockIndex(1), 1, Sector(20)), False),)
    ),
    "who_waits_has_nothing_to_submit": lambda wc: wc._replace(
        writeback=Writeback(Phase.DRAIN, (CopyJob(BlockIndex(0), 1, Sector(10)),))
    ),
}


@pytest.mark.parametrize("name", BROKEN_TWINS)
def test_every_invariant_names_its_violation(name: str) -> None:
    wc = used()
    assert violated(wc) == ()
    assert name in violated(BROKEN_TWINS[name](wc))
    alone = {
        "current_free_is_free",
        "dirty_regions_exist",
        "counters_fit",
        "lru_lists_what_is_idle",
    }
    if name in alone:
        assert violated(BROKEN_TWINS[name](wc)) == (name,)


def test_no_invariant_is_without_a_twin() -> None:
    assert [invariant.__name__ for invariant in INVARIANTS] == list(BROKEN_TWINS)


@pytest.mark.parametrize(
    ("name", "break_it"),
    [
        (
            "every_block_is_free_or_in_the_tree",
            lambda wc: wc._replace(freelist=wc.freelist.set(1, 1)),
        ),
        ("current_free_is_free", lambda wc: wc._replace(current_free=None)),
        ("counters_fit", lambda wc: wc._replace(uncommitted_blocks=2**32)),
        ("counters_fit", lambda wc: wc._replace(reads_in_progress=-1)),
        ("tree_is_keyed_by_original_sector", lambda wc: wc._replace(tree=wc.tree.set(5, ()))),
        ("lru_lists_what_is_idle", lambda wc: wc._replace(lru=wc.lru.set(-1, 0))),
        (
            "only_copies_under_way_are_superseded",
            lambda wc: with_entry(wc, 0, seq_count=wc.entries[2].seq_count),
        ),
        ("unwritten_blocks_are_uncommitted", lambda wc: wc._replace(unwritten=frozenset({7}))),
        (
            "jobs_are_of_blocks_under_writeback",
            lambda wc: wc._replace(endio_taken=2 * ((CopyJob(BlockIndex(0), 1, 10), False),)),
        ),
        ("lru_lists_what_is_idle", lambda wc: wc._replace(error=True, lru=wc.lru.set(-1, 0))),
    ],
)
def test_invariants_notice_the_other_side_too(
    name: str, break_it: Callable[[State], State]
) -> None:
    assert name in violated(break_it(used()))


def test_what_needs_something_of_the_world() -> None:
    wc = used()
    assert no_entry_is_ahead_of_the_count(wc)
    assert not no_entry_is_ahead_of_the_count(wc._replace(seq_count=0))
    suspended = wc._replace(suspended=True)
    assert what_is_suspended_is_committed(wc)
    assert not what_is_suspended_is_committed(suspended)
    assert violated(suspended) == ()
    assert violated(suspended, UNDER_DEVICE_MAPPER) == ("what_is_suspended_is_committed",)


def test_the_invariants_speak_of_no_poisoned_cache() -> None:
    assert violated(used()._replace(poisoned=True, writeback_size=5)) == ()


def test_after_an_error_copied_blocks_may_be_in_no_list() -> None:
    wc = drive(used(), CopyEnd(CopyJob(0, 1, 10), failed=True), EndioTake(), EndioThread())
    assert 0 not in {index for _, index in wc.lru.items()}
    assert violated(wc) == ()
    names = ("lru_lists_what_is_idle", "only_copies_under_way_are_superseded")
    assert violated(wc._replace(error=False)) == names


def test_an_event_that_cannot_happen_changes_nothing() -> None:
    wc, _ = pieces(used(), Op.WRITE, 20, 1)
    after = step(wc, FlushWork())
    assert after.state is wc
    assert after.effects == (NotEnabled("writes of the cache device are in flight"),)


def test_only_the_named_io_fails() -> None:
    wc = write(cache(), 3)
    outcomes = [step(wc, FlushWork(frozenset({number}))).state.error for number in range(5)]
    assert outcomes == [True, True, True, False, False]


def test_an_error_wakes_everybody_and_stays() -> None:
    wc = cache()._replace(sleeping=frozenset({1, Waiter.SUSPEND}))
    transcript = Transcript()
    failed = report_error(wc, transcript, "first")
    again = report_error(failed._replace(sleeping=frozenset({1})), transcript, "second")
    assert again == wc._replace(error=True, sleeping=frozenset())
    assert [effect.text for effect in transcript.effects] == ["first"]  # type: ignore[union-attr]
    assert drive(failed, Map(request(Op.READ, 0, 1))).error

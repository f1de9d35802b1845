"""Submitting copies, waiting for them, and what becomes of their blocks."""

import pytest
from builders import (
    NO_WATERMARK,
    cache,
    committed,
    copied,
    drive,
    effects_of,
    ended,
    free_blocks,
    ios,
    pieces,
    refused,
    submitted,
    tree,
    write,
)

from writecache_spec.effects import Broken, Copy, FlushDevice, Log, Reason, Sleep
from writecache_spec.events import (
    CopyEnd,
    CopyJob,
    Device,
    EndioTake,
    EndioThread,
    FlushWork,
    Message,
    Op,
    WritebackContinue,
    WritebackWork,
)
from writecache_spec.invariants import violated
from writecache_spec.state import Entry, Phase, State, Waiter, Writeback
from writecache_spec.step import step
from writecache_spec.units import U64_MAX, Sector

CALM = f"pause_writeback 0 {NO_WATERMARK}"
FLUSH = Message(("flush",))
GO = WritebackContinue()


def selected(*sectors: int, options: str = CALM, origin_sectors: int = 4096) -> State:
    """A full writeback of these sectors, its copies selected."""
    found = [(sector, 0) for sector in sectors]
    wc = cache(options, found=found, seq_count=1, origin_sectors=origin_sectors)
    wc = drive(wc, FLUSH, WritebackWork())
    assert wc.writeback_size == len(sectors)
    return wc


def test_each_run_is_one_copy() -> None:
    wc = selected(10, 11, 30)
    start = wc.config.data_start
    first = step(wc, GO)
    assert first.effects == (Copy(CopyJob(0, 2, 10), start, 10, 2),)
    assert first.state == wc._replace(writeback=Writeback(Phase.SUBMIT, (CopyJob(2, 1, 30),)))
    second = step(first.state, GO)
    assert second.effects == (Copy(CopyJob(2, 1, 30), Sector(start + 2), 30, 1),)
    assert second.state.writeback == Writeback(Phase.SUBMIT)
    third = step(second.state, GO)
    assert third.effects == (Sleep(Waiter.WRITEBACK),)
    assert third.state.writeback == Writeback(Phase.DRAIN)
    assert refused(third.state, GO) == "the writeback function sleeps"


def test_the_function_ends_with_its_last_copy_unless_everything_is_asked_for() -> None:
    wc = selected(10)._replace(writeback_all=0)
    done = drive(wc, GO, GO)
    assert (done.writeback, done.writeback_size) == (None, 1)
    assert refused(done, GO) == "the writeback function is not running"


def test_everything_is_waited_for() -> None:
    wc = submitted(drive(cache(CALM, found=[(10, 0), (30, 0)], seq_count=1), FLUSH))
    assert wc.writeback == Writeback(Phase.DRAIN)
    half = copied(wc, CopyJob(0, 1, 10))
    again = step(half, GO)
    assert again.effects == (Sleep(Waiter.WRITEBACK),)
    whole = drive(copied(again.state, CopyJob(1, 1, 30)), GO)
    assert (whole.writeback, whole.writeback_size, tree(whole)) == (None, 0, {})


def test_a_pass_that_only_skipped_ends_when_something_was_freed() -> None:
    wc = selected(10)._replace(writeback_all=0, writeback=Writeback(Phase.NO_PROGRESS))
    assert drive(wc, GO).writeback is None


@pytest.mark.parametrize(
    ("origin_sectors", "copied_sectors"), [(4096, 3), (13, 3), (12, 2), (11, 1)]
)
def test_a_copy_is_cut_at_the_end_of_a_shrunk_origin(
    origin_sectors: int, copied_sectors: int
) -> None:
    wc = selected(10, 11, 12, origin_sectors=origin_sectors)
    (copy,) = effects_of(wc, GO)
    assert isinstance(copy, Copy)
    assert (copy.job, copy.n_sectors) == (CopyJob(0, 3, 10), copied_sectors)


@pytest.mark.parametrize("origin_sectors", [10, 9, 1])
def test_a_copy_beyond_the_end_counts_as_done(origin_sectors: int) -> None:
    wc = selected(10, 11, origin_sectors=origin_sectors)
    after = step(wc, GO)
    assert after.effects == ()
    assert after.state.endio_list == ((CopyJob(0, 2, 10), False),)
    assert after.state.writeback == Writeback(Phase.SUBMIT)
    assert tree(drive(after.state, EndioTake(), EndioThread())) == {}


def test_a_place_near_the_end_of_64_bits_is_beyond_no_end() -> None:
    found = [(U64_MAX - 1, 0)]
    wc = cache(CALM, found=found, seq_count=1, block_size=1024)
    wc = drive(wc, FLUSH, WritebackWork())
    (copy,) = effects_of(wc, GO)
    assert isinstance(copy, Copy)
    assert copy.n_sectors == 2


def test_writeback_jobs_limit_how_many_blocks_are_being_copied() -> None:
    wc = selected(10, 20, 30, options=f"{CALM} writeback_jobs 2")
    wc = drive(wc, GO)
    assert wc.writeback == Writeback(Phase.SUBMIT, (CopyJob(1, 1, 20), CopyJob(2, 1, 30)))
    after = step(wc, GO)
    assert after.effects[1:] == (Sleep(Waiter.WRITEBACK),)
    assert after.state.writeback == Writeback(Phase.THROTTLE, (CopyJob(2, 1, 30),))
    assert refused(after.state, GO) == "the writeback function sleeps"
    woken = copied(after.state, CopyJob(0, 1, 10))
    on = step(woken, GO)
    assert on.effects == ()
    assert on.state.writeback == Writeback(Phase.SUBMIT, (CopyJob(2, 1, 30),))
    third = drive(on.state, GO)
    assert third.writeback == Writeback(Phase.THROTTLE)
    # Woken by an error alone it goes back to sleep.
    spurious = step(after.state._replace(sleeping=frozenset()), GO)
    assert spurious.effects == (Sleep(Waiter.WRITEBACK),)


def test_without_a_limit_all_copies_are_submitted() -> None:
    wc = selected(*range(0, 16, 2), options=f"{CALM} writeback_jobs 0")
    for _ in range(8):
        assert wc.writeback is not None
        assert wc.writeback.phase is Phase.SUBMIT
        wc = drive(wc, GO)


def under_copy(*sectors: int) -> State:
    wc = submitted(selected_quietly(*sectors))
    assert wc.writeback is None
    return wc


def selected_quietly(*sectors: int) -> State:
    found = [(sector, 0) for sector in sectors]
    wc = cache(CALM, found=found, seq_count=1)
    return wc._replace(freelist_low_watermark=8)


JOB, OTHER = CopyJob(0, 2, 10), CopyJob(2, 1, 30)


def test_the_end_of_a_copy_is_left_to_the_endio_thread() -> None:
    wc = under_copy(10, 11, 30)
    after = step(wc, CopyEnd(JOB, failed=True))
    assert after.effects == ()
    assert after.state == wc._replace(endio_list=((JOB, True),))


def test_copied_blocks_become_free_only_after_the_origin_is_flushed() -> None:
    wc = drive(under_copy(10, 11, 30), CopyEnd(OTHER), CopyEnd(JOB))
    taken = step(wc, EndioTake())
    assert taken.effects == (FlushDevice(Device.ORIGIN),)
    assert tree(taken.state) == tree(wc)
    assert (taken.state.endio_list, taken.state.endio_taken) == ((), ((OTHER, False), (JOB, False)))
    freed = step(taken.state, EndioThread())
    assert ios(freed.effects) == [("regions", 0, 1), ("flush", "cache")]
    assert (tree(freed.state), free_blocks(freed.state)) == ({}, list(range(8)))
    assert freed.state.entries[0] == Entry(Sector(10), U64_MAX)
    assert (freed.state.writeback_size, freed.state.dirty_regions) == (0, 0)


def test_the_endio_thread_takes_one_list_at_a_time() -> None:
    wc = under_copy(10, 11, 30)
    assert refused(wc, EndioTake()) == "no copy has ended"
    assert refused(wc, EndioThread()) == "the endio thread has taken nothing"
    wc = drive(wc, CopyEnd(JOB), EndioTake(), CopyEnd(OTHER))
    assert refused(wc, EndioTake()) == "the endio thread is at work"
    wc = drive(wc, EndioThread())
    assert tree(wc) == {30: (2,)}
    assert tree(drive(wc, EndioTake(), EndioThread())) == {}


def test_a_failed_copy_keeps_its_blocks_and_sets_the_error() -> None:
    wc = under_copy(10, 11, 30)
    wc = drive(wc, CopyEnd(OTHER), CopyEnd(JOB, failed=True), EndioTake())
    after = step(wc, EndioThread())
    assert after.effects[0] == Log("copy error")
    kept = after.state
    assert kept.error
    # What ended before the error is free, what came after it is not.
    assert (tree(kept), kept.writeback_size) == ({10: (0,), 11: (1,)}, 0)
    assert [entry.write_in_progress for entry in kept.entries] == [False] * 8
    assert len(kept.lru) == 0
    later = drive(under_copy(10, 11, 30), CopyEnd(JOB, failed=True), CopyEnd(OTHER), EndioTake())
    assert tree(drive(later, EndioThread())) == {10: (0,), 11: (1,), 30: (2,)}


@pytest.mark.parametrize("event", [EndioTake(frozenset({0})), None])
def test_a_failing_flush_of_the_origin_frees_nothing(event: EndioTake | None) -> None:
    wc = drive(under_copy(10, 11, 30), CopyEnd(JOB), CopyEnd(OTHER))
    wc = drive(wc, event or EndioTake(), EndioThread())
    assert wc.error == (event is not None)
    assert tree(wc) == ({10: (0,), 11: (1,), 30: (2,)} if event else {})


@pytest.mark.parametrize("number", [0, 1])
def test_a_failing_write_after_freeing_is_an_error(number: int) -> None:
    wc = drive(under_copy(10, 11, 30), CopyEnd(JOB), EndioTake())
    after = step(wc, EndioThread(frozenset({number})))
    assert after.state.error
    assert tree(after.state) == {30: (2,)}


def test_blocks_are_not_given_away_under_a_reader() -> None:
    wc, remaps = pieces(under_copy(10, 11, 30), Op.READ, 10, 1)
    wc = drive(wc, CopyEnd(JOB), EndioTake())
    assert refused(wc, EndioThread()) == "reads of the cache device are in flight"
    assert tree(drive(ended(wc, remaps), EndioThread())) == {30: (2,)}


def test_the_end_of_what_nobody_copied_is_the_end() -> None:
    wc = step(cache(CALM, found=[(10, 0)], seq_count=1), CopyEnd(CopyJob(0, 1, 10))).state
    assert violated(wc) == ("jobs_are_of_blocks_under_writeback",)
    wc = step(wc, EndioTake()).state
    after = step(wc, EndioThread())
    assert after == (wc, (Broken(Reason.END_OF_BLOCK_NOT_IN_PROGRESS),))


def test_an_older_version_is_freed_by_its_copy_and_the_newer_one_stays() -> None:
    wc = write(under_copy(10), 10)
    assert tree(wc) == {10: (0, 1)}
    before = copied(wc, CopyJob(0, 1, 10))
    assert tree(before) == {10: (1,)}
    assert tree(copied(committed(wc), CopyJob(0, 1, 10))) == {10: (1,)}
    assert tree(drive(before, FlushWork())) == {10: (1,)}


def test_freeing_wakes_who_waits_for_a_block() -> None:
    wc = under_copy(10)._replace(sleeping=frozenset({5, Waiter.SUSPEND}))
    assert copied(wc, CopyJob(0, 1, 10)).sleeping == frozenset()
    failed = copied(wc, CopyJob(0, 1, 10), failed=True)
    assert failed.sleeping == frozenset()
    # After an error nothing is freed any more, and nobody is woken.
    deaf = copied(wc._replace(error=True), CopyJob(0, 1, 10))
    assert deaf.sleeping == wc.sleeping
    assert deaf.writeback_size == 0

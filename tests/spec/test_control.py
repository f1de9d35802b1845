"""Suspend, messages, timers, and what a cache says of itself."""

import pytest
from builders import (
    NO_WATERMARK,
    cache,
    committed,
    copied,
    drive,
    effects_of,
    ios,
    on_disk,
    refused,
    submitted,
    superblock,
    tree,
    write,
)

from writecache_spec.effects import (
    AwaitWorkQueue,
    Log,
    QueueWork,
    Returned,
    Sleep,
    StartTimer,
    StopTimer,
    Timer,
    Work,
)
from writecache_spec.events import (
    AutocommitTimer,
    CopyJob,
    FlushMessageEnd,
    MaxAgeTimer,
    Message,
    Resume,
    Suspend,
    SuspendEnd,
    WritebackContinue,
)
from writecache_spec.state import State, Stats, Waiter
from writecache_spec.status import status_line, table
from writecache_spec.step import step

CALM = f"pause_writeback 0 {NO_WATERMARK}"
STOPPED = tuple(StopTimer(timer) for timer in (Timer.AUTOCOMMIT, Timer.MAX_AGE))


def used() -> State:
    return cache(CALM, found=[(10, 0), (30, 0)], seq_count=1)


def test_a_suspend_commits_and_lets_the_work_queue_run_dry() -> None:
    wc = write(used(), 50)
    after = step(wc, Suspend())
    assert after.effects[:2] == STOPPED
    assert [kind for kind, *_ in ios(after.effects)] == ["regions", "flush", "superblock"]
    assert after.effects[-1] == AwaitWorkQueue(drain=True)
    assert (after.state.suspended, after.state.poisoned) == (True, False)
    assert after.state.writeback_all == 0
    end = step(after.state, SuspendEnd())
    assert end.effects == (Returned(None),)
    assert end.state == after.state._replace(poisoned=True)


def test_a_suspend_happens_once() -> None:
    wc = drive(used(), Suspend())
    assert refused(wc, Suspend()) == "the device is suspended"
    wc = drive(wc, SuspendEnd())
    assert refused(wc, SuspendEnd()) == "no suspend is under way"
    assert refused(used(), SuspendEnd()) == "no suspend is under way"


def test_flush_on_suspend_writes_everything_back_once() -> None:
    wc = drive(used(), Message(("flush_on_suspend",)))
    assert wc.flush_on_suspend
    after = step(wc, Suspend())
    assert after.effects[-2:] == (QueueWork(Work.WRITEBACK), AwaitWorkQueue(drain=True))
    wc = submitted(after.state)
    assert (wc.writeback_all, wc.writeback_size, wc.flush_on_suspend) == (1, 2, False)
    wc = drive(copied(wc, CopyJob(0, 1, 10), CopyJob(1, 1, 30)), WritebackContinue())
    wc = drive(wc, SuspendEnd())
    assert (wc.writeback_all, wc.poisoned, wc.suspend_writes_all) == (0, True, False)
    again = drive(wc, Resume((superblock(8, 1), on_disk(*[None] * 8)), 4096), Suspend())
    assert again.writeback_all == 0


def test_a_suspend_waits_for_what_is_under_writeback() -> None:
    wc = drive(submitted(used()._replace(freelist_low_watermark=8)), Suspend())
    assert wc.writeback_size == 2
    after = step(wc, SuspendEnd())
    assert after.effects == (Sleep(Waiter.SUSPEND),)
    assert refused(after.state, SuspendEnd()) == "the suspend sleeps"
    half = step(copied(after.state, CopyJob(0, 1, 10)), SuspendEnd())
    assert half.effects == (Sleep(Waiter.SUSPEND),)
    whole = step(copied(half.state, CopyJob(1, 1, 30)), SuspendEnd())
    assert whole.effects == (Returned(None),)


def test_a_suspend_meets_errors_and_goes_on() -> None:
    after = step(write(used(), 50), Suspend(frozenset({1})))
    assert after.state.error
    assert after.effects[-1] == AwaitWorkQueue(drain=True)


@pytest.mark.parametrize("word", ["flush", "FLUSH", "fLuSh"])
def test_a_flush_message_commits_and_asks_for_everything(word: str) -> None:
    wc = write(used(), 50)
    after = step(wc, Message((word,)))
    assert [kind for kind, *_ in ios(after.effects)] == ["regions", "flush", "superblock"]
    assert after.effects[-2:] == (QueueWork(Work.WRITEBACK), AwaitWorkQueue(drain=False))
    assert after.state.writeback_all == 1
    end = step(after.state, FlushMessageEnd())
    assert end.effects == (Returned(None),)
    assert end.state.writeback_all == 0
    assert refused(end.state, FlushMessageEnd()) == "no flush message is under way"


def test_a_flush_message_tells_of_errors() -> None:
    wc = used()
    assert effects_of(wc._replace(error=True), Message(("flush",))) == (Returned("EIO"),)
    suspended = drive(wc, Suspend())
    assert effects_of(suspended, Message(("flush",))) == (Returned("EBUSY"),)
    assert effects_of(suspended._replace(error=True), Message(("flush",))) == (Returned("EBUSY"),)
    asked = drive(wc, Message(("flush",)))._replace(error=True)
    assert effects_of(asked, FlushMessageEnd()) == (Returned("EIO"),)
    met = step(write(wc, 50), Message(("flush",), frozenset({0})))
    assert met.state.error
    assert met.state.writeback_all == 1


def test_a_cleaner_message_wants_every_block_free() -> None:
    wc = used()
    after = step(wc, Message(("Cleaner",)))
    assert after.effects == (QueueWork(Work.WRITEBACK), Returned(None))
    assert after.state == wc._replace(
        cleaner=True,
        flush_on_suspend=True,
        freelist_high_watermark=8,
        freelist_low_watermark=8,
    )
    assert effects_of(drive(wc, Suspend()), Message(("cleaner",))) == (Returned(None),)


def test_clear_stats_clears_them_where_there_are_any() -> None:
    wc = write(used(), 50)
    assert wc.stats != Stats()
    after = step(wc, Message(("clear_stats",)))
    assert (after.state, after.effects) == (wc._replace(stats=Stats()), (Returned(None),))
    old = cache(profile="1.4.0")
    text = "unrecognised message received: clear_stats"
    assert effects_of(old, Message(("clear_stats",))) == (Log(text), Returned("EINVAL"))


@pytest.mark.parametrize("name", ["flush", "flush_on_suspend", "cleaner", "clear_stats"])
def test_a_message_takes_no_further_word(name: str) -> None:
    wc = write(used(), 50)
    after = step(wc, Message((name, "now")))
    assert (after.state, after.effects) == (wc, (Returned("EINVAL"),))


def test_an_unknown_message_is_logged_and_refused() -> None:
    after = step(used(), Message(("Flushed", "x")))
    log = Log("unrecognised message received: Flushed")
    assert (after.state, after.effects) == (used(), (log, Returned("EINVAL")))
    assert refused(used(), Message(())) == "a message has at least one word"


def test_timers_ask_for_work_and_do_none() -> None:
    wc = write(cache(f"{CALM} max_age 16000"), 50)
    after = step(wc, AutocommitTimer())
    assert (after.state, after.effects) == (wc, (QueueWork(Work.FLUSH),))
    after = step(wc, MaxAgeTimer())
    assert after.state == wc
    assert after.effects == (QueueWork(Work.WRITEBACK), StartTimer(Timer.MAX_AGE, 100))


def test_timers_rest_after_an_error() -> None:
    wc = cache(f"{CALM} max_age 16000")._replace(error=True)
    assert effects_of(wc, AutocommitTimer()) == ()
    assert effects_of(wc, MaxAgeTimer()) == ()


def test_the_age_timer_rests_while_suspended() -> None:
    wc = drive(cache(f"{CALM} max_age 16000"), Suspend())
    assert effects_of(wc, MaxAgeTimer()) == ()


def test_the_status_line_has_the_fields_of_its_version() -> None:
    stats = Stats(*range(11, 21))
    wc = submitted(used()._replace(freelist_low_watermark=6))._replace(error=True, stats=stats)
    assert status_line(wc) == "1 8 6 1 11 12 13 14 15 16 17 18 19 20"
    old = committed(write(cache(profile="1.4.0"), 7))
    assert status_line(old) == "0 8 7 0"


def test_the_table_line_is_what_was_given() -> None:
    wc = cache("pause_writeback 0 cleaner max_age 5")
    assert table(wc) == "s ORIGIN CACHE 512 5 max_age 5 cleaner pause_writeback 0"
    assert tree(wc) == {}

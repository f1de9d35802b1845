"""Writeback: which blocks a pass takes, in which order, and where it dies."""

import pytest
from builders import (
    cache,
    committed,
    copied,
    drive,
    free_blocks,
    ios,
    lru,
    pieces,
    refused,
    tree,
    write,
)
from writebacks import CALM, EAGER, FLUSH, jobs, selected, under_writeback, used

from writecache_spec.effects import QueueWork, Sleep, Work
from writecache_spec.events import (
    CopyJob,
    EndIo,
    Op,
    WritebackContinue,
    WritebackWork,
)
from writecache_spec.state import Phase, State, Waiter, Writeback
from writecache_spec.step import step
from writecache_spec.units import Jiffies


def test_a_pass_takes_the_oldest_blocks_first_until_enough_are_free() -> None:
    wc = used(50, 40, 30, 20, 10, options="pause_writeback 0")
    assert (wc.freelist_low_watermark, len(wc.freelist)) == (4, 3)
    after = selected(wc)
    assert jobs(after) == [(0, 1, 50), (1, 1, 40)]
    assert after.writeback_size == 2
    assert lru(after) == [2, 3, 4]
    assert tree(after) == tree(wc)
    assert [entry.write_in_progress for entry in after.entries] == [True] * 2 + [False] * 6


def test_a_pass_has_nothing_to_do_in_a_calm_cache() -> None:
    wc = used(50, 40)
    after = step(wc, WritebackWork())
    assert (after.state, after.effects) == (wc, ())


def test_a_run_is_contiguous_on_both_devices() -> None:
    assert jobs(selected(used(10, 11, 12, options=EAGER))) == [(0, 3, 10)]
    assert jobs(selected(used(10, 12, 11, options=EAGER))) == [(0, 1, 10), (1, 1, 12), (2, 1, 11)]
    assert jobs(selected(used(10, 11, 20, 21, options=EAGER))) == [(0, 2, 10), (2, 2, 20)]
    # A run only grows towards higher sectors.
    assert jobs(selected(used(11, 10, options=EAGER))) == [(0, 1, 11), (1, 1, 10)]


def test_a_run_ends_before_what_is_uncommitted() -> None:
    wc = write(used(10, options=EAGER), 11)
    # The uncommitted neighbour is committed when its turn comes, and makes a run of its own.
    assert jobs(selected(wc)) == [(0, 1, 10), (1, 1, 11)]


def test_a_run_ends_before_what_is_under_writeback() -> None:
    wc = under_writeback(used(30, 11))
    assert tree(wc) == {11: (1,), 30: (0,)}
    wc = copied(wc, CopyJob(0, 1, 30))._replace(current_free=0)
    wc = committed(write(wc, 10))
    assert tree(wc) == {10: (0,), 11: (1,)}
    assert jobs(selected(wc._replace(freelist_low_watermark=8))) == [(0, 1, 10)]
    idle = copied(wc, CopyJob(1, 1, 11))._replace(current_free=1)
    idle = committed(write(idle, 11))._replace(freelist_low_watermark=8)
    assert jobs(selected(idle)) == [(0, 2, 10)]


def test_a_run_of_one_block_size_counts_in_its_sectors() -> None:
    found = [(8, 0), (16, 0), (25, 0)]
    wc = cache(EAGER, found=found, seq_count=1, block_size=4096)
    assert jobs(selected(wc)) == [(0, 2, 8), (2, 1, 25)]


def test_a_run_has_at_most_256_blocks() -> None:
    wc = used(*range(600), options=CALM, n_blocks=601)
    assert jobs(selected(drive(wc, FLUSH))) == [(0, 256, 0), (256, 256, 256), (512, 88, 512)]


def test_a_full_run_at_the_end_of_the_tree_is_the_last() -> None:
    wc = used(*range(256), n_blocks=300)
    assert jobs(selected(drive(wc, FLUSH))) == [(0, 256, 0)]


def test_a_full_run_is_followed_by_any_block_that_comes_next_in_the_tree() -> None:
    """Block 0 too: the kernel's `g` is set wherever `rb_next` finds one."""
    for first in (0, 1):
        sectors = [3000, *range(256)] if first == 0 else [4000, 3000, *range(256)]
        wc = used(*sectors, n_blocks=300)
        expected = [(first + 1, 256, 0), (first, 1, 3000)]
        expected += [(0, 1, 4000)] * first
        assert jobs(selected(drive(wc, FLUSH))) == expected


def test_everything_is_taken_in_the_order_of_the_tree() -> None:
    wc = drive(write(used(50, 40, 30, 20, 10), 5), FLUSH)
    assert wc.writeback_all == 1
    after = selected(wc)
    assert jobs(after) == [(5, 1, 5), (4, 1, 10), (3, 1, 20), (2, 1, 30), (1, 1, 40), (0, 1, 50)]
    assert lru(after) == []


def test_a_full_writeback_begins_with_a_commit() -> None:
    wc = write(drive(used(50), FLUSH), 60)
    after = step(wc, WritebackWork())
    assert [kind for kind, *_ in ios(after.effects)] == ["regions", "flush", "superblock"]
    assert jobs(after.state) == [(0, 1, 50), (1, 1, 60)]


def test_an_uncommitted_block_is_committed_before_it_is_copied() -> None:
    wc = write(cache(EAGER), 60)
    after = step(wc, WritebackWork())
    assert [kind for kind, *_ in ios(after.effects)] == ["regions", "flush", "superblock"]
    assert jobs(after.state) == [(0, 1, 60)]
    assert after.state.uncommitted_blocks == 0


@pytest.mark.parametrize(("profile", "suspended_taken"), [("1.6.0", 64), ("1.4.0-bullseye", 100)])
def test_a_pass_has_at_most_64_steps(profile: str, suspended_taken: int) -> None:
    wc = used(*range(0, 200, 2), n_blocks=100, options=EAGER, profile=profile)
    after = step(wc, WritebackWork())
    assert len(jobs(after.state)) == 64
    assert after.effects == (QueueWork(Work.WRITEBACK),)
    # While suspended nobody queues the function again; the early target has no limit then.
    quiet = step(wc._replace(suspended=True), WritebackWork())
    assert len(jobs(quiet.state)) == suspended_taken
    assert quiet.effects == ()
    everything = step(drive(wc, FLUSH), WritebackWork())
    assert len(jobs(everything.state)) == 100


def test_exactly_64_blocks_need_one_pass() -> None:
    wc = used(*range(0, 128, 2), n_blocks=64, options=EAGER)
    after = step(wc, WritebackWork())
    assert (len(jobs(after.state)), after.effects) == (64, ())


def test_every_block_of_a_run_is_a_step_and_a_run_is_taken_whole() -> None:
    wc = used(*range(200), 300, n_blocks=300, options=EAGER)
    after = step(wc, WritebackWork())
    assert jobs(after.state) == [(0, 200, 0)]
    assert after.effects == (QueueWork(Work.WRITEBACK),)


def test_blocks_of_a_certain_age_are_taken() -> None:
    wc = cache(f"{CALM} max_age 16000", n_blocks=8)
    assert wc.config.max_age == 1600
    wc = committed(write(write(wc, 10, now=100), 20, now=101))
    assert step(wc, WritebackWork(Jiffies(1599))).state == wc
    assert jobs(selected(wc, 1600)) == [(0, 1, 10)]
    assert jobs(selected(wc, 1601)) == [(0, 1, 10), (1, 1, 20)]
    ageless = committed(write(cache(CALM), 10))
    assert step(ageless, WritebackWork(Jiffies(2**63))).state == ageless


def test_age_wraps_with_the_clock() -> None:
    wc = committed(write(cache(f"{CALM} max_age 16000"), 10, now=2**64 - 100))
    assert step(wc, WritebackWork(Jiffies(1399))).state == wc
    assert jobs(selected(wc, 1400)) == [(0, 1, 10)]


def skipping(options: str = EAGER) -> State:
    """Block 0 is being copied; block 1 is a committed newer version of it."""
    wc = under_writeback(used(10, n_blocks=8))
    wc = committed(write(wc, 10))
    assert tree(wc) == {10: (0, 1)}
    low = 8 if options == EAGER else 0
    return wc._replace(freelist_low_watermark=low)


def test_a_block_is_skipped_while_its_older_version_is_copied() -> None:
    wc = committed(write(skipping(), 30))
    after = selected(wc)
    assert jobs(after) == [(2, 1, 30)]
    assert lru(after) == [1]
    assert after.entries[1].write_in_progress is False


def test_skipped_blocks_return_to_the_old_end_in_their_order() -> None:
    wc = under_writeback(used(10, 20, 30, n_blocks=8))
    wc = committed(write(write(write(wc, 10), 20), 30))
    wc = write(wc, 5)
    assert lru(wc) == [3, 4, 5, 6]
    after = selected(wc._replace(freelist_low_watermark=6))
    assert lru(after) == [3, 4, 5]
    assert jobs(after) == [(6, 1, 5)]


def test_a_pass_that_only_skips_waits_for_a_copy() -> None:
    wc = skipping()
    after = step(wc, WritebackWork())
    assert after.effects == (Sleep(Waiter.WRITEBACK),)
    assert after.state.writeback == Writeback(Phase.NO_PROGRESS)
    assert lru(after.state) == [1]
    assert refused(after.state, WritebackWork()) == "the writeback function is running"
    woken = copied(after.state, CopyJob(0, 1, 10))
    assert woken.sleeping == frozenset()
    assert tree(woken) == {10: (1,)}


def test_a_full_writeback_waits_for_what_is_under_writeback_and_begins_again() -> None:
    wc = drive(under_writeback(used(10, 20)), FLUSH)
    after = step(wc, WritebackWork())
    assert after.effects == (Sleep(Waiter.WRITEBACK),)
    assert after.state.writeback == Writeback(Phase.RESTART)
    half = drive(copied(after.state, CopyJob(0, 1, 10)), WritebackContinue())
    assert half.writeback == Writeback(Phase.RESTART)
    whole = drive(copied(half, CopyJob(1, 1, 20)), WritebackContinue())
    assert whole.writeback is None
    assert free_blocks(whole) == list(range(8))


def test_a_pass_does_nothing_after_an_error() -> None:
    wc = used(10, options=EAGER)._replace(error=True)
    after = step(wc, WritebackWork())
    assert (after.state, after.effects) == (wc, ())


def test_a_pass_waits_for_overwritten_data() -> None:
    wc, remaps = pieces(used(10, options=EAGER), Op.WRITE, 10, 1)
    assert wc.overwrote_committed
    assert refused(wc, WritebackWork()) == "writes of the cache device are in flight"
    wc = drive(wc, EndIo(remaps[0].bio, remaps[0].private))
    assert jobs(selected(wc)) == [(0, 1, 10)]


def test_a_pass_pauses_while_the_origin_is_written() -> None:
    options = "pause_writeback 1000 high_watermark 0 low_watermark 0"
    wc = used(10, options=options)._replace(origin_idle_since=Jiffies(50))
    why = "writeback pauses while the origin is written"
    assert refused(wc, WritebackWork(Jiffies(149))) == why
    assert jobs(selected(wc, 150)) == [(0, 1, 10)]
    busy = wc._replace(origin_writes_in_flight=1)
    assert refused(busy, WritebackWork(Jiffies(9999))) == why
    for hurry in (
        busy._replace(cleaner=True),
        busy._replace(writeback_all=1),
        busy._replace(suspended=True),
    ):
        assert jobs(selected(hurry)) == [(0, 1, 10)]


def test_a_suspended_cache_writes_nothing_back() -> None:
    wc = used(10, options=EAGER)._replace(suspended=True, poisoned=True)
    assert refused(wc, WritebackWork()) == "the device is suspended"


def test_an_error_of_the_commit_does_not_stop_the_pass() -> None:
    wc = write(cache(EAGER), 60)
    after = step(wc, WritebackWork(failing_ios=frozenset({0})))
    assert after.state.error
    assert jobs(after.state) == [(0, 1, 60)]


def test_a_full_run_of_a_short_pass_is_followed_by_the_next_oldest() -> None:
    wc = used(*range(300), n_blocks=300, options=EAGER)
    after = step(wc, WritebackWork())
    assert jobs(after.state) == [(0, 256, 0)]
    assert after.effects == (QueueWork(Work.WRITEBACK),)
    assert lru(after.state) == list(range(256, 300))

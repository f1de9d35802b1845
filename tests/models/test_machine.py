"""A machine does what a client of the kernel sees, by the canonical schedule and by others."""

import pytest
from builders import tree
from machines import closed, line, live, machine, tags

from writecache_models.actions import HangError, Outcome, PanicError
from writecache_models.content import Content
from writecache_models.devices import pattern
from writecache_models.machine import Machine
from writecache_spec.codec import encode_entries, encode_superblock
from writecache_spec.effects import Reason
from writecache_spec.events import Device
from writecache_spec.layout import MAGIC, MemoryEntry, Superblock
from writecache_spec.units import U64_MAX

EAGER = "high_watermark 50 low_watermark 50"
CALM = "high_watermark 100 low_watermark 100"


def test_what_was_written_is_read_wherever_it_is() -> None:
    made = machine(CALM)
    assert made.write(3, 4, 77) == Outcome()
    assert made.write(60, 2, 78).errno is None
    assert made.read(2, 6).data == bytes(512) + pattern(3, 4, 77) + bytes(512)
    assert made.devices.origin == Content(512 * 64)
    assert made.message(("flush",)) == Outcome()
    assert tree(live(made)) == {}
    assert made.devices.read(Device.ORIGIN, 3, 4) == pattern(3, 4, 77)
    assert tags(made, 2, 6) == [0, 77, 77, 77, 77, 0]
    assert made.status() == "0 8 8 0 12 4 6 0 0 0 6 0 0 0"


def test_writeback_keeps_the_cache_below_its_watermark() -> None:
    made = machine(EAGER)
    for sector in range(0, 60, 2):
        made.write(sector, 1, sector + 1)
    assert len(live(made).tree) <= 4
    assert [tags(made, sector, 1) for sector in range(0, 60, 2)] == [
        [s + 1] for s in range(0, 60, 2)
    ]


def test_a_misaligned_request_is_refused_before_the_target() -> None:
    made = closed(8 * 9)
    made.open(line(block_size=4096))
    before = made.status(), made.digests()
    assert made.write(1, 8, 5) == made.write(0, 4, 5) == Outcome("EINVAL")
    assert made.read(4, 8) == made.discard(8, 4) == Outcome("EINVAL")
    assert made.write(1, 8, 5, dsync=True) == Outcome("EINVAL")
    assert (made.status(), made.digests()) == before


def test_a_discard_beyond_the_end_is_refused() -> None:
    made = machine()
    assert made.discard(60, 8) == Outcome("EINVAL")
    assert made.discard(60, 4).errno is None
    assert made.status() == "0 8 8 0 0 0 0 0 0 0 0 0 0 4"


def test_a_write_at_the_end_is_refused() -> None:
    """The block layer's ENOSPC: the target never sees it (KERNELS.md)."""
    made = machine()
    before = made.status()
    assert made.write(64, 1, 5).errno == "ENOSPC"
    assert made.status() == before


def test_a_discard_forgets_and_reaches_the_origin() -> None:
    made = machine(CALM)
    made.write(3, 3, 7)
    made.message(("flush",))
    made.write(4, 1, 8)
    made.discard(3, 2)
    assert tags(made, 3, 3) == [0, 0, 7]


def test_a_flush_is_sent_as_often_as_the_target_asks() -> None:
    for profile in ("1.6.0", "1.4.0", "1.4.0-bullseye"):
        made = machine(CALM, profile=profile)
        made.write(3, 3, 7)
        assert made.flush() == Outcome()
        assert live(made).seq_count == 1
    assert machine().write(3, 1, 7, dsync=True) == Outcome()


def test_a_new_cache_is_formatted_once() -> None:
    made = machine()
    made.write(3, 1, 7)
    made.flush()
    before = bytes(made.devices.cache)
    again = closed(9, image=before)
    assert again.open(line()).errno is None
    assert tags(again, 3, 1) == [7]
    assert bytes(again.devices.cache) == before


def test_a_refused_load_leaves_the_live_table_alone() -> None:
    made = machine(CALM)
    made.write(3, 1, 7)
    table, wc = made.table(), live(made)
    assert made.open("s ORIGIN") == Outcome("EINVAL", "Bad arguments")
    assert (made.table(), live(made)) == (table, wc)
    fresh = closed(1, 1)
    assert fresh.open(line()) == Outcome("ENOSPC", "Invalid device size")
    assert fresh.wc is None
    assert fresh.status() is None


def test_a_reload_constructs_before_it_suspends() -> None:
    """The new table reads its superblock before the old one commits: n_blocks, not its count."""
    made = machine(CALM)
    made.write(3, 2, 7)
    assert live(made).uncommitted_blocks == 2
    other = line("high_watermark 90")
    assert made.open(other).errno is None
    # What the suspend committed is there: resume reads the metadata anew.
    assert tags(made, 3, 2) == [7, 7]
    assert made.table() == other
    moved = line("start_sector 1")
    fresh = machine(CALM, cache_sectors=10)
    fresh.write(3, 1, 7)
    fresh.flush()
    assert fresh.open(moved).errno in (None, "EINVAL")
    assert 1 in fresh.start_sectors


def test_suspending_and_resuming_twice_is_doing_it_once() -> None:
    made = machine(CALM)
    made.write(3, 2, 7)
    assert made.resume() == made.suspend() == made.suspend() == Outcome()
    assert live(made).poisoned
    assert made.resume() == made.resume() == Outcome()
    assert tags(made, 3, 2) == [7, 7]


def test_flush_on_suspend_empties_the_cache() -> None:
    made = machine(CALM)
    made.write(3, 2, 7)
    made.message(("flush_on_suspend",))
    made.suspend()
    made.resume()
    assert tree(live(made)) == {}
    assert tags(made, 3, 2) == [7, 7]


def test_messages_return_their_errno() -> None:
    made = machine()
    assert made.message(("nonsense",)) == made.message(("flush", "now")) == Outcome("EINVAL")
    made.suspend()
    assert made.message(("flush",)) == Outcome("EBUSY")


def test_time_fires_timers_in_their_order() -> None:
    options = "max_age 3200 autocommit_time 500 high_watermark 100 low_watermark 100"
    made = closed(9)
    table = f"s ORIGIN CACHE 512 10 {options} pause_writeback 0"
    assert made.open(table).errno is None
    made.write(3, 1, 7)
    made.sleep(490)
    assert live(made).seq_count == 0
    made.sleep(10)
    assert live(made).seq_count == 1
    assert tree(live(made)) == {3: (0,)}
    made.sleep(2400)
    assert tree(live(made)) == {3: (0,)}
    made.sleep(400)
    assert tree(live(made)) == {}
    assert made.devices.read(Device.ORIGIN, 3, 1) == pattern(3, 1, 7)


def test_one_long_sleep_does_what_many_short_ones_do() -> None:
    results = []
    for steps in ((4000,), (10,) * 400, (490, 10, 3500)):
        made = machine(f"{CALM} max_age 3200 autocommit_time 500")
        made.write(3, 1, 7)
        for milliseconds in steps:
            made.sleep(milliseconds)
        results.append((made.status(), made.digests(), made.now))
    assert results[0] == results[1] == results[2]


def test_a_pause_holds_up_the_work_queue_until_it_is_over() -> None:
    made = machine("high_watermark 0 low_watermark 0 pause_writeback 1000 autocommit_blocks 0")
    # The last sector goes past the cache, and its end begins the pause.
    made.write(0, 9, 7)
    assert live(made).origin_idle_since == made.now
    assert made.pending()
    full = made.status()
    assert full is not None
    assert full.startswith("0 8 0 0")
    made.sleep(990)
    assert made.status() == full
    assert live(made).seq_count == 0
    made.sleep(10)
    assert not made.pending()
    assert tree(live(made)) == {}
    assert tags(made, 0, 9) == [7] * 9


def test_a_sleeping_writer_goes_on_when_a_block_is_freed() -> None:
    found = [MemoryEntry(10 * i, 0) for i in range(8)]  # type: ignore[arg-type]
    superblock = Superblock(MAGIC, 1, 512, 0, 8, 1)
    image = encode_superblock(superblock) + encode_entries(found)
    made = closed(9, 128, image)
    # The resume finds the cache full and asks for writeback.
    assert made.open(line("high_watermark 0 low_watermark 0")).errno is None
    assert tree(live(made)) == {}
    made = machine(CALM)
    for sector in range(0, 16, 2):
        made.write(sector, 1, 5)
    assert made.write(2, 12, 9).errno is None
    assert tags(made, 2, 12) == [9] * 12


def before_a_gap(profile: str = "1.6.0") -> Machine:
    """The next two free blocks are the last and the first: a write of two is two pieces."""
    made = machine(f"{CALM} autocommit_blocks 1", profile=profile)
    made.write(30, 7, 1)
    made.flush()
    made.discard(30, 1)
    assert (live(made).current_free, len(live(made).freelist)) == (7, 2)
    return made


def test_at_a_gap_a_schedule_may_let_everything_run() -> None:
    commits = []
    for choices in ((), (1,)):
        made = before_a_gap()
        before = live(made).seq_count
        made.choices, made.alternatives = choices, []
        assert made.write(3, 2, 7) == Outcome()
        assert made.alternatives
        assert tags(made, 3, 2) == [7, 7]
        commits.append(live(made).seq_count - before)
    assert commits == [1, 2]


def test_a_fork_goes_its_own_way() -> None:
    made = machine(CALM)
    made.write(3, 1, 7)
    fork = made.fork()
    assert fork.same_as(made)
    fork.write(3, 1, 8)
    fork.flush()
    assert not fork.same_as(made)
    assert (tags(made, 3, 1), tags(fork, 3, 1)) == ([7], [8])


@pytest.mark.parametrize("choices", [(), (1,), (1, 1)])
def test_a_fua_write_of_several_pieces_is_written_whole(choices: tuple[int, ...]) -> None:
    made = before_a_gap("1.6.0-6.12.117")
    made.choices, made.alternatives = choices, []
    assert made.write(3, 2, 7, fua=True) == Outcome()
    assert tags(made, 3, 2) == [7, 7]
    assert live(made).uncommitted_blocks == 0


def test_the_kernels_death_is_a_panic_with_a_reason() -> None:
    made = machine("high_watermark 100 low_watermark 0")
    made.write(2, 4, 1)
    with pytest.raises(PanicError) as caught:
        made.write(1, 5, 2)
    assert caught.value.reason is Reason.FREED_ENTRY


def test_waiting_for_nobody_is_a_hang() -> None:
    made = machine(CALM)
    with pytest.raises(HangError):
        made._wait_while(lambda: True)


def test_blocks_beyond_the_origins_end_count_as_written_back() -> None:
    superblock = Superblock(MAGIC, 1, 512, 0, 2, 1)
    found = [MemoryEntry(U64_MAX - 1, 0), MemoryEntry(100, 0)]  # type: ignore[arg-type]
    made = closed(4, image=encode_superblock(superblock) + encode_entries(found))
    made.open(line(CALM))
    assert made.message(("flush",)) == Outcome()
    assert tree(live(made)) == {}

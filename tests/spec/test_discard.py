"""Discards forget cached blocks, whatever their state, but those being copied."""

from builders import (
    cache,
    committed,
    drive,
    ended,
    free_blocks,
    ios,
    pieces,
    refused,
    request,
    submitted,
    tree,
    write,
)

from writecache_spec.effects import QueueWork, Remap, StartTimer, Timer, Work
from writecache_spec.events import BioPrivate, Device, FlushThread, FlushWork, Map, Message, Op
from writecache_spec.state import State
from writecache_spec.step import Step, step
from writecache_spec.units import U64_MAX


def asked(wc: State, sector: int, n_sectors: int) -> State:
    return drive(wc, Map(request(Op.DISCARD, sector, n_sectors)))


def discarded(wc: State, sector: int, n_sectors: int) -> Step:
    return step(asked(wc, sector, n_sectors), FlushThread())


def on_to_origin(sector: int, n_sectors: int) -> Remap:
    bio = request(Op.DISCARD, sector, n_sectors)
    return Remap(bio, Device.ORIGIN, sector, n_sectors, BioPrivate.NONE)


def test_a_discard_frees_what_it_covers_and_writes_that_before_it_goes_on() -> None:
    wc = write(committed(write(cache(), 4, 4)), 8, 2)
    after = discarded(wc, 5, 4)
    assert ios(after.effects) == [("regions", 0, 1), ("flush", "cache")]
    assert after.effects[-1] == on_to_origin(5, 4)
    assert tree(after.state) == {4: (0,), 9: (5,)}
    assert [after.state.entries[i][:2] for i in (1, 4)] == [(5, U64_MAX), (8, U64_MAX)]
    assert set(free_blocks(after.state)) == {1, 2, 3, 4, 6, 7}
    assert after.state.dirty_regions == 0


def test_a_discard_frees_all_duplicates() -> None:
    wc = write(write(cache(), 5), 4, 2)
    assert tree(wc) == {4: (1,), 5: (0, 2)}
    assert tree(discarded(wc, 5, 1).state) == {4: (1,)}


def test_a_discard_of_what_is_not_cached_only_goes_on() -> None:
    wc = committed(write(cache(), 4, 4))
    for sector, n_sectors in ((0, 4), (8, 100)):
        after = discarded(wc, sector, n_sectors)
        assert after.effects == (on_to_origin(sector, n_sectors),)
        assert tree(after.state) == tree(wc)
        assert after.state.dirty_regions == wc.dirty_regions


def test_a_discard_leaves_blocks_under_writeback() -> None:
    wc = submitted(drive(committed(write(cache(), 4, 2)), Message(("flush",))))
    wc = write(wc, 5)
    assert tree(wc) == {4: (0,), 5: (1, 2)}
    after = discarded(wc, 4, 2)
    assert tree(after.state) == {4: (0,), 5: (1,)}
    assert after.state.writeback_size == 2
    only = discarded(after.state, 4, 2)
    assert only.effects == (on_to_origin(4, 2),)


def test_a_discard_waits_for_reads_and_writes_of_the_cache() -> None:
    wc = committed(write(cache(), 4, 4))
    reading, reads = pieces(wc, Op.READ, 4, 1)
    writing, writes = pieces(wc, Op.WRITE, 4, 1)
    assert refused(asked(reading, 4, 1), FlushThread()) == (
        "reads of the cache device are in flight"
    )
    assert refused(asked(writing, 4, 1), FlushThread()) == (
        "writes of the cache device are in flight"
    )
    # Where nothing is cached there is nothing to wait for.
    assert discarded(reading, 100, 4).effects == (on_to_origin(100, 4),)
    for state, remaps in ((reading, reads), (writing, writes)):
        assert tree(discarded(ended(state, remaps), 4, 1).state) == {5: (1,), 6: (2,), 7: (3,)}


def test_a_discard_takes_uncommitted_blocks_off_the_counter() -> None:
    wc = write(committed(write(cache(), 4, 2)), 6, 3)
    assert wc.uncommitted_blocks == 3
    assert discarded(wc, 5, 3).state.uncommitted_blocks == 1
    newer = write(committed(write(cache(profile="1.6.0-6.12.117"), 4, 2)), 6, 3)
    assert discarded(newer, 5, 3).state.uncommitted_blocks == 3


def test_the_counter_wraps_and_the_next_write_asks_for_a_commit() -> None:
    wc = cache("autocommit_blocks 2 pause_writeback 0", n_blocks=16)
    wc = write(wc, 4, 2)
    assert wc.uncommitted_blocks == 0
    wc = discarded(wc, 4, 2).state
    assert wc.uncommitted_blocks == 2**32 - 2
    after = step(wc, Map(request(Op.WRITE, 90, 1)))
    assert after.effects[-1] == QueueWork(Work.FLUSH)
    assert after.state.uncommitted_blocks == 0
    # Without the discard the same write would have waited for the timer.
    calm = step(
        write(cache("autocommit_blocks 2 pause_writeback 0"), 4, 2), Map(request(Op.WRITE, 90, 1))
    )
    assert calm.effects[-1] == StartTimer(Timer.AUTOCOMMIT, 100)


def test_a_discard_of_everything_uncommitted_leaves_nothing_to_commit() -> None:
    wc = discarded(write(cache(), 4, 3), 0, 100).state
    assert tree(wc) == {}
    assert ios(step(wc, FlushWork()).effects) == []


def test_a_discard_whose_io_fails_goes_on_and_is_an_error() -> None:
    wc = asked(committed(write(cache(), 4, 4)), 4, 2)
    for number in (0, 1):
        after = step(wc, FlushThread(frozenset({number})))
        assert after.state.error
        assert after.effects[-1] == on_to_origin(4, 2)
        assert tree(after.state) == {6: (2,), 7: (3,)}


def test_a_discard_wakes_who_waits_for_a_free_block() -> None:
    wc = committed(write(cache(), 4, 2))._replace(sleeping=frozenset({77}))
    assert asked(wc, 4, 1).sleeping == {77}
    assert discarded(wc, 4, 1).state.sleeping == frozenset()


def test_a_freed_block_is_taken_next_only_where_none_was_free() -> None:
    wc = committed(write(cache(), 4, 2))
    assert wc.current_free == 2
    assert discarded(wc, 4, 1).state.current_free == 2
    full = cache(found=[(sector, 0) for sector in range(8)], seq_count=1)
    assert full.current_free is None
    freed = discarded(full, 3, 2).state
    assert (free_blocks(freed), freed.current_free) == ([3, 4], 3)

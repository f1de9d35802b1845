"""Writes: in place, to free blocks, or past the cache; and for how many blocks at a time."""

import pytest
from builders import (
    NO_WATERMARK,
    cache,
    committed,
    completions,
    drive,
    effects_of,
    lru,
    pieces,
    refused,
    request,
    submitted,
    tree,
    write,
)

from writecache_spec.effects import QueueWork, Remap, Sleep, StartTimer, Timer, Work
from writecache_spec.events import (
    BioPrivate,
    CopyEnd,
    CopyJob,
    Device,
    EndioTake,
    EndioThread,
    Map,
    Message,
    Op,
)
from writecache_spec.state import State, Stats
from writecache_spec.step import step

IN_PLACE = Stats(writes=1)


def places(wc: State, sector: int, n_sectors: int, **fields: object) -> list[tuple[str, int, int]]:
    """Where the pieces of a write go: device, block or sector, blocks."""
    remaps = pieces(wc, Op.WRITE, sector, n_sectors, **fields)[1]
    block_sectors = wc.config.block_sectors
    return [
        (
            remap.device.value,
            (remap.sector - wc.config.data_start) // block_sectors
            if remap.device is Device.CACHE
            else remap.sector,
            remap.n_sectors // block_sectors,
        )
        for remap in remaps
    ]


def used(*sectors: int | None, options: str = "pause_writeback 0", n_blocks: int = 8) -> State:
    """A cache in which these sectors are committed in the first blocks."""
    found = [None if sector is None else (sector, 0) for sector in sectors]
    return cache(options, found=found, seq_count=1, n_blocks=n_blocks)


def under_writeback(wc: State) -> State:
    """Every block is being copied to the origin."""
    wc = submitted(drive(wc, Message(("flush",))))
    assert wc.writeback_size == len(wc.tree)
    return wc


def test_a_new_sector_takes_the_current_free_block() -> None:
    wc = cache()
    bio = request(Op.WRITE, 40, 1)
    after = step(wc, Map(bio, 12))
    assert after.effects == (
        Remap(bio, Device.CACHE, wc.config.data_start, 1, BioPrivate.IN_PROGRESS),
        StartTimer(Timer.AUTOCOMMIT, 100),
    )
    made = after.state
    assert tree(made) == {40: (0,)}
    assert made.entries[0][:4] == (40, 0, 12, 0)
    assert (made.current_free, made.uncommitted_blocks, made.writes_in_progress) == (1, 1, 1)
    assert made.stats == Stats(writes=1, writes_allocate=1)


def test_allocation_goes_round() -> None:
    wc = used(None, 8, None, options=f"pause_writeback 0 {NO_WATERMARK}", n_blocks=4)
    wc = wc._replace(current_free=3)
    order = []
    for sector in (20, 30, 40):
        order.append(wc.current_free)
        wc = write(wc, sector)
    assert order == [3, 0, 2]
    assert wc.current_free is None


def test_a_large_write_takes_neighbouring_free_blocks() -> None:
    wc = used(None, None, 100)
    assert places(wc, 0, 6) == [("cache", 0, 2), ("cache", 3, 4)]
    after, _ = pieces(wc, Op.WRITE, 0, 6)
    assert after.stats == Stats(writes=6, writes_allocate=6)
    assert lru(after) == [2, 0, 1, 3, 4, 5, 6]


def test_a_large_write_to_free_blocks_makes_duplicates_of_what_it_covers() -> None:
    wc = used(5)
    after, _ = pieces(wc, Op.WRITE, 4, 2)
    assert tree(after) == {4: (1,), 5: (0, 2)}


def test_an_uncommitted_block_is_overwritten_in_place() -> None:
    wc = write(cache(), 40)
    after = step(wc, Map(request(Op.WRITE, 40, 1)))
    assert after.state == wc._replace(
        writes_in_progress=1,
        stats=wc.stats._replace(writes=2, write_hits_uncommitted=1),
    )
    assert not after.state.overwrote_committed


def test_a_committed_block_is_overwritten_in_place_and_remembered() -> None:
    wc = committed(write(cache(), 40))
    after = step(wc, Map(request(Op.WRITE, 40, 1), 99))
    assert after.state == wc._replace(
        writes_in_progress=1,
        overwrote_committed=True,
        stats=wc.stats._replace(writes=2, write_hits_committed=1),
    )


def test_overwriting_goes_on_over_neighbours_that_can_be_overwritten() -> None:
    wc = write(committed(write(cache(n_blocks=16), 0, 3)), 3, 1)
    assert places(wc, 0, 6) == [("cache", 0, 4), ("cache", 4, 2)]
    after, _ = pieces(wc, Op.WRITE, 0, 4)
    assert after.overwrote_committed
    assert after.stats.writes_allocate - wc.stats.writes_allocate == 3
    # An uncommitted first block, a committed neighbour.
    mixed = write(used(None, 1), 0)
    after, remaps = pieces(mixed, Op.WRITE, 0, 2)
    assert len(remaps) == 1
    assert after.overwrote_committed


def test_a_newer_profile_does_not_count_what_is_overwritten_as_allocated() -> None:
    wc = write(cache(profile="1.6.0-6.12.117"), 0, 3)
    after, remaps = pieces(wc, Op.WRITE, 0, 3)
    assert len(remaps) == 1
    assert after.stats.writes_allocate == wc.stats.writes_allocate == 3


def test_overwriting_ends_where_blocks_or_sectors_are_no_neighbours() -> None:
    assert places(used(0, None, 1), 0, 2) == [("cache", 0, 1), ("cache", 2, 1)]
    assert places(used(0, 2), 0, 3) == [("cache", 0, 1), ("cache", 2, 2)]
    assert places(used(0, 1), 0, 2) == [("cache", 0, 2)]
    assert places(used(1, 0), 0, 2) == [("cache", 1, 1), ("cache", 0, 1)]


def test_overwriting_ends_before_a_block_under_writeback() -> None:
    wc = under_writeback(used(1, options=f"pause_writeback 0 {NO_WATERMARK}"))
    wc = wc._replace(current_free=7)
    wc = write(wc, 0)
    assert tree(wc) == {0: (7,), 1: (0,)}
    neighbour = wc._replace(
        entries=wc.entries.set(6, wc.entries[7]).set(7, wc.entries[0]),
        tree=wc.tree.set(0, (6,)).set(1, (7,)),
    )
    assert next(iter(places(neighbour, 0, 1))) == ("cache", 6, 1)
    bio = request(Op.WRITE, 0, 2)
    remap = effects_of(neighbour, Map(bio))[0]
    assert isinstance(remap, Remap)
    assert remap.n_sectors == 1


def test_the_early_target_goes_on_over_free_blocks_when_it_overwrites() -> None:
    wc = committed(write(cache(profile="1.4.0-bullseye"), 0, 2))
    after, remaps = pieces(wc, Op.WRITE, 0, 2)
    assert tree(after) == {0: (0,), 1: (1,)}
    assert len(remaps) == 2
    one = committed(write(cache(profile="1.4.0-bullseye"), 0))
    after, remaps = pieces(one, Op.WRITE, 0, 3)
    assert [remap.n_sectors for remap in remaps] == [3]
    assert tree(after) == {0: (0,), 1: (1,), 2: (2,)}
    assert tree(pieces(one, Op.WRITE, 0, 3)[0]) == tree(
        pieces(write(cache(), 0), Op.WRITE, 0, 3)[0]
    )


def test_a_block_under_writeback_is_not_overwritten() -> None:
    wc = under_writeback(used(40))
    after = step(wc, Map(request(Op.WRITE, 40, 1)))
    assert tree(after.state) == {40: (0, 1)}
    assert after.state.stats.write_hits_committed == wc.stats.write_hits_committed + 1
    assert after.state.stats.writes_allocate == wc.stats.writes_allocate + 1
    assert not after.state.overwrote_committed


def test_a_write_sleeps_where_its_block_is_under_writeback_and_none_is_free() -> None:
    wc = under_writeback(used(40, 50, 60, 70, n_blocks=4))
    bio = request(Op.WRITE, 40, 1, tag=5)
    after = step(wc, Map(bio))
    assert after.effects == (Sleep(5, bio),)
    asleep = after.state
    assert 5 in asleep.sleeping
    assert asleep.stats.writes_blocked_on_freelist == wc.stats.writes_blocked_on_freelist + 1
    assert refused(asleep, Map(bio)) == "the request sleeps"
    woken = drive(asleep, CopyEnd(CopyJob(0, 1, 40)), EndioTake(), EndioThread())
    assert woken.sleeping == frozenset()
    assert any(isinstance(effect, Remap) for effect in effects_of(woken, Map(bio)))


def test_a_write_goes_past_a_full_cache_up_to_the_next_cached_sector() -> None:
    wc = used(4, 9, n_blocks=2)
    assert wc.current_free is None
    assert places(wc, 2, 4) == [("origin", 2, 2), ("cache", 0, 1), ("origin", 5, 1)]
    after, _ = pieces(wc, Op.WRITE, 2, 4)
    assert after.stats == Stats(writes=4, writes_around=3, write_hits_committed=1)
    assert places(wc, 10, 4) == [("origin", 10, 4)]


def test_a_cleaner_caches_nothing_new_and_overwrites_what_is_cached() -> None:
    wc = used(4, options="pause_writeback 0 cleaner")
    assert places(wc, 3, 3) == [("origin", 3, 1), ("cache", 0, 1), ("origin", 5, 1)]


def test_metadata_only_caches_what_is_marked() -> None:
    wc = used(4, options="pause_writeback 0 metadata_only")
    assert places(wc, 3, 3) == [("origin", 3, 1), ("cache", 0, 1), ("origin", 5, 1)]
    assert places(wc, 3, 3, meta=True) == [("cache", 1, 3)]


def test_a_write_past_the_cache_is_cut_off_by_a_misaligned_entry() -> None:
    wc = cache("pause_writeback 0 cleaner", block_size=4096, found=[(11, 0)], seq_count=1)
    after = step(wc, Map(request(Op.WRITE, 8, 8)))
    assert [e.n_sectors for e in after.effects if isinstance(e, Remap)] == [3]
    assert after.state.stats == Stats()
    rest = request(Op.WRITE, 11, 5)
    assert completions(effects_of(after.state, Map(rest))) == ["EIO"]


@pytest.mark.parametrize("sector", [4, 6])
def test_after_an_error_a_write_is_counted_and_refused(sector: int) -> None:
    wc = used(4)._replace(error=True)
    after = step(wc, Map(request(Op.WRITE, sector, 3)))
    assert completions(after.effects) == ["EIO"]
    assert after.state == wc._replace(stats=Stats(writes=3))


def test_enough_uncommitted_blocks_ask_for_a_commit_and_begin_a_new_count() -> None:
    wc = cache("autocommit_blocks 2 pause_writeback 0")
    first, second = Map(request(Op.WRITE, 0, 1)), Map(request(Op.WRITE, 9, 1))
    one = step(wc, first)
    assert one.effects[-1] == StartTimer(Timer.AUTOCOMMIT, 100)
    two = step(one.state, second)
    assert two.effects[-1] == QueueWork(Work.FLUSH)
    assert (one.state.uncommitted_blocks, two.state.uncommitted_blocks) == (1, 0)
    # Overwriting asks too, while the count is at its limit.
    always = cache("autocommit_blocks 0 pause_writeback 0", found=[(3, 0)], seq_count=1)
    assert effects_of(always, Map(request(Op.WRITE, 3, 1)))[-1] == QueueWork(Work.FLUSH)


def test_few_free_blocks_ask_for_writeback() -> None:
    wc = used(0, 1, 2)
    assert (wc.freelist_high_watermark, len(wc.freelist)) == (4, 5)
    effects = effects_of(wc, Map(request(Op.WRITE, 30, 2)))
    assert effects[:2] == (QueueWork(Work.WRITEBACK),) * 2
    assert QueueWork(Work.WRITEBACK) not in effects_of(used(0, 1), Map(request(Op.WRITE, 30, 1)))

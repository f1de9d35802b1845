"""Map: where reads, flushes and discards go, and what is counted in flight."""

import pytest
from builders import (
    cache,
    committed,
    completions,
    drive,
    effects_of,
    ended,
    flushed,
    pieces,
    refused,
    request,
    write,
)

from writecache_spec.effects import Complete, FlushDevice, Log, Remap
from writecache_spec.events import (
    Bio,
    BioPrivate,
    Device,
    EndIo,
    FlushThread,
    FlushWork,
    Map,
    Op,
)
from writecache_spec.state import State
from writecache_spec.step import step

FLUSH = Bio(Op.FLUSH, tag=1)
SECOND_FLUSH = Bio(Op.FLUSH, flush_number=1, tag=1)


def in_flight(wc: State) -> tuple[int, int, int]:
    return wc.reads_in_progress, wc.writes_in_progress, wc.origin_writes_in_flight


@pytest.mark.parametrize(("sector", "n_sectors"), [(1, 8), (8, 1), (7, 9)])
@pytest.mark.parametrize("op", [Op.READ, Op.WRITE, Op.DISCARD])
def test_a_misaligned_request_is_refused_and_changes_nothing(
    op: Op, sector: int, n_sectors: int
) -> None:
    wc = cache(block_size=4096)
    bio = request(op, sector, n_sectors)
    text = f"I/O is not aligned, sector {sector}, size {512 * n_sectors}, block size 4096"
    after = step(wc, Map(bio))
    assert after.effects == (Log(text), Complete(bio, "EIO"))
    assert after.state == wc


def test_a_read_hit_takes_one_block() -> None:
    wc = cache(n_blocks=8, block_size=1024, found=[None, (4, 0), (6, 0)], seq_count=1)
    bio = request(Op.READ, 4, 8)
    after = step(wc, Map(bio))
    data_start = wc.config.data_start
    assert after.effects == (Remap(bio, Device.CACHE, data_start + 2, 2, BioPrivate.IN_PROGRESS),)
    assert in_flight(after.state) == (1, 0, 0)
    assert after.state.stats[:2] == (1, 1)
    done = drive(after.state, EndIo(bio, BioPrivate.IN_PROGRESS))
    assert done == wc._replace(stats=after.state.stats)


def test_a_read_miss_runs_up_to_the_next_cached_sector() -> None:
    wc = cache(found=[(6, 0), (5, 0)], seq_count=1)
    wc, remaps = pieces(wc, Op.READ, 2, 8)
    places = [(remap.device.value, remap.sector, remap.n_sectors) for remap in remaps]
    start = wc.config.data_start
    assert places == [
        ("origin", 2, 3),
        ("cache", start + 1, 1),
        ("cache", start, 1),
        ("origin", 7, 3),
    ]
    assert wc.stats[:2] == (8, 2)
    assert in_flight(wc) == (2, 0, 0)


def test_a_read_finds_the_newest_duplicate() -> None:
    wc = write(cache(), 5)
    wc = write(wc, 4, 2)
    assert dict(wc.tree.items()) == {4: (1,), 5: (0, 2)}
    remap = effects_of(wc, Map(request(Op.READ, 5, 1)))[0]
    assert isinstance(remap, Remap)
    assert remap.sector == wc.config.data_start + 2


def test_a_read_cut_off_by_a_misaligned_entry_makes_the_counter_leap() -> None:
    wc = cache(block_size=4096, found=[(3, 0)], seq_count=1)
    after = step(wc, Map(request(Op.READ, 0, 8)))
    assert [e.n_sectors for e in after.effects if isinstance(e, Remap)] == [3]
    assert after.state.stats.reads == 1 + (2**32 - 4096 + 3 * 512) // 4096
    rest = request(Op.READ, 3, 5)
    assert completions(effects_of(after.state, Map(rest))) == ["EIO"]


def test_a_read_of_an_uncommitted_block_waits_for_writes() -> None:
    wc, remaps = pieces(cache(), Op.WRITE, 3, 1)
    assert in_flight(wc) == (0, 1, 0)
    assert refused(wc, Map(request(Op.READ, 3, 1))) == "writes of the cache device are in flight"
    wc = ended(wc, remaps)
    assert in_flight(drive(wc, Map(request(Op.READ, 3, 1)))) == (1, 0, 0)
    other, _ = pieces(committed(wc), Op.WRITE, 4, 1)
    assert in_flight(drive(other, Map(request(Op.READ, 3, 1)))) == (1, 1, 0)


def test_the_first_flush_goes_to_the_thread_the_second_to_the_origin() -> None:
    wc = cache("pause_writeback 5")
    first = step(wc, Map(FLUSH))
    assert first.effects == ()
    assert first.state == wc._replace(flush_list=(FLUSH,), stats=wc.stats._replace(flushes=1))
    second = step(wc, Map(SECOND_FLUSH))
    assert second.effects == (Remap(SECOND_FLUSH, Device.ORIGIN, 0, 0, BioPrivate.ORIGIN_WRITE),)
    assert second.state == wc._replace(origin_writes_in_flight=1)


def test_a_flush_is_refused_after_an_error_and_not_counted() -> None:
    wc = cache()._replace(error=True)
    for bio in (FLUSH, SECOND_FLUSH):
        after = step(wc, Map(bio))
        assert after.effects == (Complete(bio, "EIO"),)
        assert after.state == wc


def test_the_flush_thread_reports_an_error_of_its_commit() -> None:
    wc = drive(write(cache(), 3), Map(FLUSH))
    assert completions(effects_of(wc, FlushThread())) == [None]
    for number in range(3):
        after = step(wc, FlushThread(frozenset({number})))
        assert completions(after.effects) == ["EIO"]
        assert after.state.error
    assert completions(effects_of(wc, FlushThread(frozenset({3})))) == [None]


def test_the_flush_thread_takes_its_list_in_order() -> None:
    wc = cache()
    bios = [FLUSH, request(Op.DISCARD, 0, 4, tag=2), FLUSH._replace(tag=3)]
    wc = drive(wc, *(Map(bio) for bio in bios))
    assert wc.flush_list == tuple(bios)
    seen = []
    while wc.flush_list:
        after = step(wc, FlushThread())
        seen.append(after.effects[-1])
        wc = after.state
    assert seen == [
        Complete(bios[0], None),
        Remap(bios[1], Device.ORIGIN, 0, 4, BioPrivate.NONE),
        Complete(bios[2], None),
    ]
    assert refused(wc, FlushThread()) == "the flush list is empty"


def test_discards_are_counted_in_blocks_and_refused_after_an_error() -> None:
    wc = cache(block_size=1024)
    bio = request(Op.DISCARD, 0, 8)
    after = step(wc, Map(bio))
    assert after.effects == ()
    assert (after.state.flush_list, after.state.stats.discards) == ((bio,), 4)
    failed = step(wc._replace(error=True), Map(bio))
    assert failed.effects == (Complete(bio, "EIO"),)
    assert (failed.state.flush_list, failed.state.stats.discards) == ((), 4)


def test_reads_work_after_an_error() -> None:
    wc = cache(found=[(3, 0)], seq_count=1)._replace(error=True)
    after, remaps = pieces(wc, Op.READ, 3, 2)
    assert [remap.device for remap in remaps] == [Device.CACHE, Device.ORIGIN]
    assert after.stats[:2] == (2, 1)


@pytest.mark.parametrize(
    ("op", "private"),
    [
        (Op.READ, BioPrivate.IN_PROGRESS),
        (Op.WRITE, BioPrivate.IN_PROGRESS),
        (Op.WRITE, BioPrivate.FUA_IN_PROGRESS),
        (Op.WRITE, BioPrivate.ORIGIN_WRITE),
    ],
)
def test_what_is_not_in_flight_cannot_end(op: Op, private: BioPrivate) -> None:
    assert "in flight" in refused(cache(), EndIo(request(op, 0, 1), private))


def test_the_end_of_an_uncounted_piece_changes_nothing() -> None:
    wc = cache()
    after = step(wc, EndIo(request(Op.READ, 0, 1), BioPrivate.NONE))
    assert (after.state, after.effects) == (wc, ())


def test_the_origin_is_idle_when_the_last_write_past_the_cache_ends() -> None:
    wc = cache("pause_writeback 50 cleaner")
    wc, remaps = pieces(wc, Op.WRITE, 0, 1)
    wc, more = pieces(wc, Op.WRITE, 4, 1)
    assert in_flight(wc) == (0, 0, 2)
    ends = [EndIo(remap.bio, remap.private, now=9 + i) for i, remap in enumerate(remaps + more)]
    wc = drive(wc, ends[0])
    assert (wc.origin_writes_in_flight, wc.origin_idle_since) == (1, 0)
    wc = drive(wc, ends[1])
    assert (wc.origin_writes_in_flight, wc.origin_idle_since) == (0, 10)


@pytest.mark.parametrize("options", ["pause_writeback 0 cleaner", ""])
def test_without_a_pause_writes_past_the_cache_are_not_counted(options: str) -> None:
    profile = "1.6.0" if options else "1.4.0"
    wc = cache(options or "cleaner", profile=profile)
    wc, remaps = pieces(wc, Op.WRITE, 0, 1)
    assert [remap.private for remap in remaps] == [BioPrivate.NONE]
    assert in_flight(wc) == (0, 0, 0)


def fua_written(wc: State) -> tuple[State, Remap]:
    wc, remaps = pieces(wc, Op.WRITE, 3, 1, fua=True)
    assert len(remaps) == 1
    return wc, remaps[0]


def test_a_fua_write_is_committed_before_it_is_reported_where_it_is_offloaded() -> None:
    wc, remap = fua_written(cache(profile="1.6.0-6.12.117"))
    assert remap.private is BioPrivate.FUA_IN_PROGRESS
    wc = drive(wc, EndIo(remap.bio, remap.private))
    assert (in_flight(wc), wc.flush_list) == ((0, 0, 0), (remap.bio,))
    after = step(wc, FlushThread())
    assert after.effects[-1] == Complete(remap.bio, None)
    assert FlushDevice(Device.CACHE) in after.effects
    assert after.state.seq_count == wc.seq_count + 1


def test_a_failed_fua_write_is_not_offloaded() -> None:
    wc, remap = fua_written(cache(profile="1.6.0-6.12.117"))
    wc = drive(wc, EndIo(remap.bio, remap.private, failed=True))
    assert (in_flight(wc), wc.flush_list) == ((0, 0, 0), ())


def test_a_fua_write_elsewhere_is_not_committed() -> None:
    wc, remap = fua_written(cache())
    assert remap.private is BioPrivate.IN_PROGRESS
    assert drive(wc, EndIo(remap.bio, remap.private)).flush_list == ()


@pytest.mark.parametrize("event", [Map(FLUSH), Map(request(Op.READ, 0, 1)), FlushWork()])
def test_a_suspended_cache_takes_nothing(event: Map | FlushWork) -> None:
    wc = cache()._replace(poisoned=True, suspended=True)
    assert refused(wc, event) == "the device is suspended"
    assert refused(wc._replace(flush_list=(FLUSH,)), FlushThread()) == "the device is suspended"


def test_a_flush_of_a_client_makes_its_writes_recoverable() -> None:
    wc = flushed(write(cache(), 3, 2))
    assert all(wc.entries[index].seq_count < wc.superblock.seq_count for index in (0, 1))

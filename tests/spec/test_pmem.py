"""Persistent-memory mode: what is stored, in which order, and where the fences are."""

from typing import Any

import pytest
from builders import (
    ORIGIN_SECTORS,
    completions,
    device_size,
    drive,
    on_disk,
    request,
    superblock,
    tree,
)

from writecache_spec.arguments import BlockDevice, Refusal
from writecache_spec.construct import ASYNCHRONOUS_MEMORY, Construction, construct
from writecache_spec.effects import (
    Broken,
    Complete,
    Effect,
    Fence,
    FlushDevice,
    LoadBlock,
    Reason,
    Remap,
    Sleep,
    StopTimer,
    StoreBlock,
    StoreEntry,
    StoreSuperblock,
    Timer,
    WriteOrigin,
)
from writecache_spec.events import (
    BioPrivate,
    CopyEnd,
    Device,
    EndIo,
    EndioTake,
    EndioThread,
    Map,
    Message,
    Op,
    Resume,
    WritebackContinue,
    WritebackWork,
    WriteJob,
)
from writecache_spec.layout import MAGIC, VERSION, Superblock
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.repairs import Repair
from writecache_spec.state import State
from writecache_spec.status import table
from writecache_spec.step import Step, step
from writecache_spec.units import U64_MAX
from writecache_spec.write_jobs import write_jobs

LAZY = "high_watermark 100 low_watermark 100"


def kernel(*repairs: Repair, page_size: int = 512) -> Profile:
    profile = PROFILES["1.6.0"]
    environment = profile.environment._replace(
        persistent_memory=True, handles_hardware_errors=True, page_size=page_size
    )
    return profile._replace(environment=environment, repairs=frozenset(repairs))


NEW = Superblock()


def constructed(
    options: str, n_blocks: int = 4, found: Superblock | None = NEW, **device: object
) -> Construction:
    size = device_size(n_blocks)
    devices = {
        "CACHE": BlockDevice(size, is_persistent_memory=True)._replace(**device),
        "ORIGIN": BlockDevice(512 * ORIGIN_SECTORS),
    }
    line = f"p ORIGIN CACHE 512 {len(options.split())} {options}"
    page_size = 1024 if device.get("first_sector") else 512
    return construct(kernel(page_size=page_size), line, devices, found)


def cache(
    options: str = LAZY,
    *entries: tuple[int, int] | None,
    n_blocks: int = 4,
    seq_count: int = 0,
    repairs: tuple[Repair, ...] = (),
) -> State:
    """A resumed cache of persistent memory; the entries are what its device holds."""
    made = constructed(options, n_blocks, superblock(n_blocks, seq_count))
    assert isinstance(made.result, State), made.result
    wc = made.result._replace(config=made.result.config._replace(profile=kernel(*repairs)))
    found = on_disk(*entries, *[None] * (n_blocks - len(entries)))
    return drive(wc, Resume((superblock(n_blocks, seq_count), found), ORIGIN_SECTORS))


def mapped(wc: State, op: Op, sector: int, n_sectors: int, **fields: object) -> Step:
    return step(wc, Map(request(op, sector, n_sectors, **fields)))


def told(effects: tuple[Effect, ...]) -> list[str]:
    """Stores, loads and fences, by their names."""
    kinds = (StoreSuperblock, StoreEntry, StoreBlock, LoadBlock, Fence, FlushDevice, Remap)
    return [type(effect).__name__ for effect in effects if isinstance(effect, kinds)]


def test_format_stores_the_magic_last_and_between_two_fences() -> None:
    made = constructed("", n_blocks=2)
    assert isinstance(made.result, State)
    stores = [one.fields for one in made.effects if isinstance(one, StoreSuperblock)]
    assert stores == [
        Superblock._fields, ("version",), ("block_size",), ("n_blocks",), ("seq_count",),
        ("magic",),
    ]  # fmt: skip
    assert told(made.effects)[-5:] == ["StoreEntry", "StoreEntry", "Fence", "StoreSuperblock",
                                       "Fence"]  # fmt: skip
    assert (made.result.superblock.magic, made.result.superblock.version) == (MAGIC, VERSION)


@pytest.mark.parametrize(
    ("options", "device", "refusal"),
    [
        ("", {"is_synchronous": False}, ("ENOTSUP", "Asynchronous persistent memory")),
        ("", {"first_sector": 1}, ("EINVAL", "Unable to map persistent memory for cache")),
        ("", {"size": 511}, ("EINVAL", "Unable to map persistent memory for cache")),
        ("", {"size": 512}, ("ENOSPC", "Unable to initialize device")),
        ("pause_writeback 0", {}, ("EINVAL", "Invalid optional argument")),
    ],
)
def test_memory_that_cannot_be_used_is_refused(
    options: str, device: dict[str, object], refusal: tuple[str, str]
) -> None:
    result = constructed(options, **device).result
    assert isinstance(result, Refusal)
    assert (result.errno, result.message[: len(refusal[1])]) == refusal


def test_a_device_without_dax_kills_the_kernel() -> None:
    device = {"CACHE": BlockDevice(4096), "ORIGIN": BlockDevice(4096)}
    line = "p ORIGIN CACHE 512 0"
    assert construct(kernel(), line, device, NEW).result == Broken(Reason.NOT_PERSISTENT_MEMORY)
    mended = construct(kernel(Repair.DAX_IS_ASKED_FOR), line, device, NEW).result
    assert mended == ASYNCHRONOUS_MEMORY


def test_a_superblock_that_cannot_be_read_is_refused() -> None:
    message = "Hardware memory error when reading superblock"
    assert constructed("", found=None).result == Refusal("", message, returned=64)
    mended = kernel(Repair.UNREADABLE_IS_AN_ERROR)
    device = {"CACHE": BlockDevice(4096, is_persistent_memory=True), "ORIGIN": BlockDevice(4096)}
    made = construct(mended, "p ORIGIN CACHE 512 0", device, None)
    assert made.result == Refusal("EIO", message)


@pytest.mark.parametrize(
    ("options", "fua", "shown"),
    [("", True, "0"), ("fua", True, "1 fua"), ("nofua", False, "1 nofua")],
)
def test_fua_is_an_option_of_memory_and_is_shown_where_it_was_given(
    options: str, fua: bool, shown: str
) -> None:
    wc = cache(options)
    assert wc.config.writeback_fua is fua
    assert wc.config.autocommit_blocks == 64
    assert table(wc) == f"p ORIGIN CACHE 512 {shown}"


def test_blocks_are_taken_in_the_order_in_which_they_became_free() -> None:
    wc = cache(LAZY, (10, 0), None, (20, 0), None, seq_count=1)
    assert [block for _, block in wc.freelist.items()] == [1, 3]
    wc = mapped(wc, Op.DISCARD, 20, 1).state
    wc = mapped(wc, Op.DISCARD, 10, 1).state
    taken = [mapped(wc, Op.WRITE, 30, 4).effects]
    assert [one.block for one in taken[0] if isinstance(one, StoreEntry)] == [1, 3, 2, 0]


def test_a_write_stores_entry_and_data_and_is_reported_without_a_fence() -> None:
    after = mapped(cache(), Op.WRITE, 7, 2, tag=3)
    assert told(after.effects) == ["StoreEntry", "StoreBlock"] * 2
    assert after.effects[0] == StoreEntry(0, 0, 7)
    assert completions(after.effects) == [None]
    assert tree(after.state) == {7: (0,), 8: (1,)}
    assert after.state.uncommitted_blocks == 2


def test_an_uncommitted_block_is_overwritten_and_a_committed_one_never() -> None:
    wc = mapped(cache(), Op.WRITE, 7, 1).state
    again = mapped(wc, Op.WRITE, 7, 1)
    assert told(again.effects) == ["StoreBlock"]
    wc = mapped(again.state, Op.FLUSH, 0, 0).state
    after = mapped(wc, Op.WRITE, 7, 1)
    assert told(after.effects) == ["StoreEntry", "StoreBlock"]
    assert tree(after.state) == {7: (0, 1)}


def test_a_commit_is_one_word_between_two_fences_and_frees_what_it_replaces() -> None:
    wc = cache(LAZY, (7, 0), seq_count=1)
    wc = mapped(wc, Op.WRITE, 7, 1).state
    after = mapped(wc, Op.FLUSH, 0, 0)
    assert told(after.effects) == ["Fence", "StoreSuperblock", "Fence", "StoreEntry", "Fence"]
    words = [one for one in after.effects if isinstance(one, StoreSuperblock | StoreEntry)]
    assert words == [
        StoreSuperblock(wc.superblock._replace(seq_count=2), ("seq_count",)),
        StoreEntry(0, U64_MAX),
    ]
    assert after.effects[0] == StopTimer(Timer.AUTOCOMMIT)
    assert completions(after.effects) == [None]


def test_a_fua_write_is_committed_before_it_is_reported() -> None:
    effects = mapped(cache(), Op.WRITE, 7, 1, fua=True).effects
    assert told(effects) == ["StoreEntry", "StoreBlock", "Fence", "StoreSuperblock", "Fence"]
    assert isinstance(effects[-1], Complete)


def test_enough_uncommitted_blocks_make_a_commit_at_once() -> None:
    wc = mapped(cache(f"{LAZY} autocommit_blocks 2"), Op.WRITE, 7, 1)
    assert "Fence" not in told(wc.effects)
    assert "Fence" in told(mapped(wc.state, Op.WRITE, 9, 1).effects)


@pytest.mark.parametrize("repairs", [(), (Repair.FUA_COMMITS_BEGINNING,)])
def test_a_fua_write_that_goes_past_the_cache_leaves_its_beginning_uncommitted(
    repairs: tuple[Repair, ...],
) -> None:
    wc = mapped(cache(repairs=repairs), Op.WRITE, 7, 1).state
    wc = drive(wc, Message(("cleaner",)))
    effects = mapped(wc, Op.WRITE, 7, 2, fua=True).effects
    commits = ["Fence", "StoreSuperblock", "Fence"] if repairs else []
    assert told(effects) == ["StoreBlock", *commits, "Remap"]
    assert not completions(effects)


def test_a_write_waits_for_a_free_block_and_says_what_is_left_of_it() -> None:
    wc = cache(LAZY, (10, 0), (11, 0), (12, 0), seq_count=1)
    after = mapped(wc, Op.WRITE, 20, 3, tag=5)
    assert told(after.effects) == ["StoreEntry", "StoreBlock"]
    assert after.effects[-1] == Sleep(5, request(Op.WRITE, 21, 2, tag=5))
    assert after.state.sleeping == {5}
    assert after.state.stats.writes_blocked_on_freelist == 1


def test_after_an_error_a_write_is_refused_and_counted() -> None:
    wc = cache()._replace(error=True)
    after = mapped(wc, Op.WRITE, 7, 2)
    assert told(after.effects) == []
    assert completions(after.effects) == ["EIO"]
    assert after.state == wc._replace(stats=wc.stats._replace(writes=2))


def test_a_read_is_copied_until_a_sector_is_not_cached() -> None:
    wc = cache(LAZY, (7, 0), (8, 0), (12, 0), seq_count=1)
    after = mapped(wc, Op.READ, 7, 6)
    assert told(after.effects) == ["LoadBlock", "LoadBlock", "Remap"]
    remap = after.effects[-1]
    assert isinstance(remap, Remap)
    assert (remap.device, remap.bio.sector, remap.n_sectors) == (Device.ORIGIN, 9, 3)
    assert after.state.stats.read_hits == 2
    whole = mapped(wc, Op.READ, 7, 2)
    assert completions(whole.effects) == [None]


@pytest.mark.parametrize("n_sectors", [2, 3])
def test_a_memory_error_fails_the_whole_read_and_is_sticky(n_sectors: int) -> None:
    wc = cache(LAZY, (7, 0), (8, 0), seq_count=1)
    bio = request(Op.READ, 7, n_sectors)
    after = step(wc, Map(bio, failing_ios=frozenset({0})))
    assert after.state.error
    if n_sectors == 2:
        assert completions(after.effects) == ["EIO"]
        return
    remap = after.effects[-1]
    assert isinstance(remap, Remap)
    assert remap.private is BioPrivate.FAILED
    assert completions(step(after.state, EndIo(remap.bio, remap.private)).effects) == ["EIO"]


def test_a_flush_reaches_the_origin_only_while_writes_go_past_the_cache() -> None:
    wc = cache()
    assert told(mapped(wc, Op.FLUSH, 0, 0).effects) == []
    wc = drive(wc, Message(("cleaner",)))
    assert told(mapped(wc, Op.FLUSH, 0, 0).effects) == ["Remap"]
    wc = cache(repairs=(Repair.FLUSH_REACHES_ORIGIN,))
    assert told(mapped(wc, Op.FLUSH, 0, 0).effects) == ["Remap"]


def test_a_discard_frees_fences_and_goes_on_to_the_origin_at_once() -> None:
    wc = cache(LAZY, (7, 0), (8, 0), seq_count=1)
    after = mapped(wc, Op.DISCARD, 7, 2)
    assert told(after.effects) == ["StoreEntry", "StoreEntry", "Fence", "Remap"]
    assert tree(after.state) == {}
    refused = mapped(wc._replace(error=True), Op.DISCARD, 7, 2)
    assert completions(refused.effects) == ["EIO"]


def written_back(options: str, *entries: tuple[int, int] | None, n_blocks: int = 4) -> State:
    """All of it under writeback, and submitted."""
    wc = cache(options, *entries, n_blocks=n_blocks, seq_count=1)
    return drive(wc, WritebackWork(), WritebackContinue(), WritebackContinue())


ALL = "high_watermark 0 low_watermark 0"


def test_a_run_takes_neighbours_of_the_origin_wherever_they_are_in_the_cache() -> None:
    wc = cache(ALL, (8, 0), None, (7, 0), (9, 0), seq_count=1)
    wc = drive(wc, WritebackWork())
    after = step(wc, WritebackContinue())
    # The oldest block is that of sector 8: the run goes on behind it.
    assert after.effects == (WriteOrigin(WriteJob((0, 3), 8), 8, 2, True),)


@pytest.mark.parametrize(("origin_sectors", "written"), [(10, 2), (9, 1), (8, None)])
def test_blocks_beyond_the_end_of_the_origin_are_left_out(
    origin_sectors: int, written: int | None
) -> None:
    wc = cache(ALL, (8, 0), (9, 0), seq_count=1)._replace(data_device_sectors=origin_sectors)
    wc = drive(wc, WritebackWork())
    after = step(wc, WritebackContinue())
    if written is None:
        assert after.state.endio_list == ((WriteJob((0, 1), 8), False),)
    else:
        assert [one.n_sectors for one in after.effects if isinstance(one, WriteOrigin)] == [written]


def test_after_an_error_what_was_selected_ends_as_failed() -> None:
    wc = cache(ALL, (8, 0), seq_count=1)
    wc = drive(wc, WritebackWork())._replace(error=True)
    assert step(wc, WritebackContinue()).state.endio_list == ((WriteJob((0,), 8), True),)


@pytest.mark.parametrize(("options", "flushes"), [(ALL, 0), (f"{ALL} nofua", 1)])
def test_the_origin_is_flushed_only_where_it_was_not_written_with_fua(
    options: str, flushes: int
) -> None:
    wc = written_back(options, (8, 0))
    wc = drive(wc, CopyEnd(WriteJob((0,), 8)))
    assert told(step(wc, EndioTake()).effects) == ["FlushDevice"] * flushes


def test_sixteen_blocks_are_freed_before_others_may_have_the_lock() -> None:
    entries = [(sector, 0) for sector in range(8, 26)]
    wc = written_back(ALL, *entries, n_blocks=18)
    job = WriteJob(tuple(range(18)), 8)
    wc = drive(wc, CopyEnd(job), EndioTake())
    first = step(wc, EndioThread())
    assert told(first.effects) == ["StoreEntry"] * 16 + ["Fence"]
    assert first.state.endio_taken == ((WriteJob((16, 17), 24), False),)
    second = step(first.state, EndioThread())
    assert told(second.effects) == ["StoreEntry"] * 2 + ["Fence"]
    assert second.state.endio_taken == ()


def test_after_exactly_sixteen_blocks_the_thread_takes_the_lock_once_more() -> None:
    entries = [(sector, 0) for sector in range(8, 24)]
    wc = written_back(ALL, *entries, n_blocks=16)
    wc = drive(wc, CopyEnd(WriteJob(tuple(range(16)), 8)), EndioTake(), EndioThread())
    assert wc.endio_taken == ((WriteJob((), 24), False),)
    assert told(step(wc, EndioThread()).effects) == ["Fence"]


def test_a_failed_write_of_the_origin_keeps_its_blocks() -> None:
    wc = written_back(ALL, (8, 0))
    wc = drive(wc, CopyEnd(WriteJob((0,), 8), failed=True), EndioTake(), EndioThread())
    assert wc.error
    assert tree(wc) == {8: (0,)}
    assert wc.writeback_size == 0


def resumed(found: tuple[object, ...] | None, seq_count: int = 5) -> Step:
    made = constructed(LAZY, 4, superblock(4, seq_count))
    assert isinstance(made.result, State)
    metadata = None if found is None else (superblock(4, seq_count), found)
    return step(made.result, Resume(metadata, ORIGIN_SECTORS))  # type: ignore[arg-type]


def test_resume_erases_word_by_word_and_fences_once() -> None:
    after = resumed(on_disk((10, 3), (10, 4), (11, 5), None))
    assert told(after.effects) == ["StoreEntry", "StoreEntry", "Fence"]
    assert [one.block for one in after.effects if isinstance(one, StoreEntry)] == [0, 2]
    assert [block for _, block in after.state.freelist.items()] == [0, 2, 3]
    assert told(resumed(on_disk((10, 3), None, None, None)).effects) == []


def test_an_entry_that_cannot_be_read_hides_all_behind_it() -> None:
    first, *others = on_disk((10, 3), (11, 3), (12, 3), (13, 3))
    after = resumed((first, None, *others[1:]))
    assert after.state.error
    assert tree(after.state) == {10: (0,)}
    assert told(after.effects) == []


def test_a_superblock_that_cannot_be_read_empties_the_cache() -> None:
    after = resumed(None)
    assert after.state.error
    assert tree(after.state) == {}
    assert after.state.seq_count == 0


def jobs_of(*runs: tuple[int, ...], sectors: dict[int, int], origin_sectors: int = 64) -> list[Any]:
    """The blocks of the writes that are made of runs; `sectors` are those of the blocks."""
    n_blocks = max(sectors) + 1
    entries = [(sectors[number], 0) if number in sectors else None for number in range(n_blocks)]
    wc = cache(ALL, *entries, n_blocks=n_blocks, seq_count=1)
    wc = wc._replace(data_device_sectors=origin_sectors)
    return [job.blocks for job in write_jobs(wc, runs)]


def test_a_write_goes_on_over_the_end_of_its_run_as_long_as_its_bio_has_room() -> None:
    # As a live kernel did: the older version of a block, and a run behind it.
    sectors = {1: 7, 4: 8, 6: 9, 5: 10, 0: 11}
    assert jobs_of((1,), (4, 6, 5, 0), sectors=sectors) == [(1, 4, 6, 5), (0,)]
    # Adjoining memory is one piece.
    beside = {1: 7, 2: 8, 3: 9, 4: 10, 5: 11}
    assert jobs_of((1,), (2, 3, 4, 5), sectors=beside) == [(1, 2, 3, 4, 5)]
    # What lies before is a write of its own.
    assert jobs_of((4, 6), (1,), sectors=sectors) == [(4, 6), (1,)]
    # A run alone is always one write.
    scattered = {2 * number: number for number in range(20)}
    assert jobs_of(tuple(scattered), sectors=scattered) == [tuple(scattered)]


def test_the_list_of_a_short_runs_write_has_sixteen_entries() -> None:
    sectors = {number: number for number in range(20)}
    assert jobs_of((0,), tuple(range(1, 20)), sectors=sectors) == [
        tuple(range(16)),
        tuple(range(16, 20)),
    ]


def test_blocks_beyond_the_end_of_the_origin_take_no_room() -> None:
    sectors = {1: 7, 4: 8, 6: 9, 5: 10, 0: 11}
    assert jobs_of((1,), (4, 6, 5, 0), sectors=sectors, origin_sectors=9) == [(1, 4, 6, 5, 0)]

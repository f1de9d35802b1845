"""The commit: the order of its I/O is the protocol."""

from itertools import pairwise

import pytest
from builders import (
    cache,
    committed,
    copied,
    drive,
    effects_of,
    ended,
    flushed,
    free_blocks,
    ios,
    pieces,
    refused,
    submitted,
    tree,
    write,
)
from hypothesis import given
from hypothesis import strategies as st

from writecache_spec.commit import all_regions, dirty_runs, superblock_sectors
from writecache_spec.effects import FlushDevice, Log, StopTimer, Timer, WriteMetadata
from writecache_spec.events import CopyJob, Device, EndIo, FlushWork, Message, Op
from writecache_spec.profile import PROFILES, SuperblockWrite
from writecache_spec.state import State, entry_is_committed
from writecache_spec.step import step
from writecache_spec.units import U64_MAX

LARGE = 9000
"""Blocks whose metadata is three regions: blocks 0 to 4091, to 8187, and the rest."""
LARGE_METADATA_SECTORS = 282


def large(current_free: int = 0) -> State:
    return cache(n_blocks=LARGE)._replace(current_free=current_free)


def test_a_commit_writes_regions_then_flushes_then_its_superblock() -> None:
    wc = write(cache(), 40)
    after = step(wc, FlushWork())
    stop, regions, flush, superblock = after.effects
    assert stop == StopTimer(Timer.AUTOCOMMIT)
    assert flush == FlushDevice(Device.CACHE)
    assert isinstance(regions, WriteMetadata)
    assert isinstance(superblock, WriteMetadata)
    assert (regions.fua, superblock.fua) == (False, True)
    # What recovery sees of the regions is decided by the superblock: it is raised last.
    assert regions.metadata.superblock.seq_count == 0
    assert superblock.metadata.superblock.seq_count == 1
    assert regions.metadata.entries[0][:2] == (40, 0)
    assert after.state == wc._replace(
        seq_count=1,
        superblock=wc.superblock._replace(seq_count=1),
        uncommitted_blocks=0,
    )


def test_after_a_commit_nothing_is_uncommitted() -> None:
    wc = write(write(cache(), 40, 3), 41, 4)
    assert wc.uncommitted_blocks == 5
    after = committed(wc)
    in_tree = [index for indices in tree(after).values() for index in indices]
    assert all(entry_is_committed(after, after.entries[index]) for index in in_tree)
    assert len(in_tree) == 5


def test_a_commit_frees_the_entries_that_it_replaces() -> None:
    wc = committed(write(cache(n_blocks=16), 41))
    wc = write(wc, 40, 3)
    assert tree(wc) == {40: (1,), 41: (0, 2), 42: (3,)}
    after = step(wc, FlushWork())
    assert ios(after.effects) == [
        ("regions", 0, 1),
        ("flush", "cache"),
        ("superblock", 0, 1),
        ("regions", 0, 1),
        ("flush", "cache"),
    ]
    assert tree(after.state) == {40: (1,), 41: (2,), 42: (3,)}
    assert after.state.entries[0][:2] == (41, U64_MAX)
    last = [effect for effect in after.effects if isinstance(effect, WriteMetadata)][-1]
    assert last.metadata == (after.state.superblock, after.state.entries)


def test_a_commit_leaves_an_older_entry_to_its_copy() -> None:
    wc = submitted(drive(committed(write(cache(), 41)), Message(("flush",))))
    wc = write(wc, 41)
    assert tree(wc) == {41: (0, 1)}
    after = step(wc, FlushWork())
    assert len(ios(after.effects)) == 3
    assert tree(after.state) == {41: (0, 1)}


def test_of_three_versions_in_one_commit_the_last_stays() -> None:
    wc = write(write(write(cache(n_blocks=16), 5), 4, 2), 3, 3)
    assert tree(wc) == {3: (3,), 4: (1, 4), 5: (0, 2, 5)}
    after = committed(wc)
    assert tree(after) == {3: (3,), 4: (4,), 5: (5,)}
    assert set(free_blocks(after)) >= {0, 1, 2}


def test_a_commit_without_anything_uncommitted_does_nothing() -> None:
    for wc in (cache(), committed(write(cache(), 40))):
        after = step(wc, FlushWork())
        assert after.effects == (StopTimer(Timer.AUTOCOMMIT),)
        assert after.state == wc


def test_overwritten_blocks_are_flushed_without_a_commit() -> None:
    wc = write(committed(write(cache(), 40)), 40)
    assert wc.overwrote_committed
    after = step(wc, FlushWork())
    assert after.effects == (StopTimer(Timer.AUTOCOMMIT), FlushDevice(Device.CACHE))
    assert after.state == wc._replace(overwrote_committed=False)
    failed = step(wc, FlushWork(frozenset({0})))
    assert failed.state.error


def test_overwritten_blocks_of_an_empty_cache_are_not_flushed() -> None:
    wc = cache()._replace(overwrote_committed=True)
    after = step(wc, FlushWork())
    assert ios(after.effects) == []
    assert after.state.overwrote_committed


def test_a_commit_covers_overwritten_blocks() -> None:
    wc = write(write(committed(write(cache(), 40)), 40), 90)
    assert wc.overwrote_committed
    assert not committed(wc).overwrote_committed


@pytest.mark.parametrize("sector", [40, 90])
def test_a_commit_waits_for_the_data_of_requests(sector: int) -> None:
    wc = committed(write(cache(), 40))
    wc, remaps = pieces(wc, Op.WRITE, sector, 1)
    assert refused(wc, FlushWork()) == "writes of the cache device are in flight"
    assert ios(effects_of(ended(wc, remaps), FlushWork()))


@pytest.mark.parametrize("number", range(5))
def test_an_io_that_fails_is_an_error_and_the_commit_goes_on(number: int) -> None:
    wc = write(committed(write(cache(n_blocks=16), 41)), 40, 2)
    whole, broken = step(wc, FlushWork()), step(wc, FlushWork(frozenset({number})))
    assert broken.state == whole.state._replace(error=True)
    assert ios(broken.effects) == ios(whole.effects)
    log = "writing metadata", "flushing metadata", "writing superblock", "writing metadata"
    complaint = Log(f"error {(*log, 'flushing metadata')[number]}")
    position = broken.effects.index(complaint)
    # Right behind the I/O that failed.
    assert len(ios(broken.effects[:position])) == number + 1
    assert tuple(e for e in broken.effects if e != complaint) == whole.effects


def test_only_the_first_error_is_logged() -> None:
    after = step(write(cache(), 40), FlushWork(frozenset(range(9))))
    assert [e.text for e in after.effects if isinstance(e, Log)] == ["error writing metadata"]


def test_a_commit_writes_only_the_regions_it_must() -> None:
    commits = {
        0: [(0, 128)],
        4091: [(0, 128)],
        4092: [(128, 128)],
        8188: [(256, LARGE_METADATA_SECTORS - 256)],
        8999: [(256, LARGE_METADATA_SECTORS - 256)],
    }
    for block, written in commits.items():
        wc = write(large(block), 40)
        assert wc.config.metadata_sectors == LARGE_METADATA_SECTORS
        assert ios(effects_of(wc, FlushWork())) == [
            *(("regions", *run) for run in written),
            ("flush", "cache"),
            ("superblock", 0, 8),
        ]


def test_neighbouring_regions_are_written_together() -> None:
    wc = write(large(4090), 40, 4)
    assert ios(effects_of(wc, FlushWork()))[0] == ("regions", 0, 256)
    apart = write(write(large(8999), 40), 90)
    assert tree(apart) == {40: (8999,), 90: (0,)}
    assert ios(effects_of(apart, FlushWork()))[:2] == [("regions", 0, 128), ("regions", 256, 26)]


@given(st.integers(0, 2**70))
def test_dirty_runs_are_the_runs_of_ones(bitmap: int) -> None:
    runs = dirty_runs(bitmap)
    assert sum(((1 << length) - 1) << first for first, length in runs) == bitmap
    assert all(length > 0 for _, length in runs)
    assert all(a + n < b for (a, n), (b, _) in pairwise(runs))


def test_all_regions_are_as_many_as_the_metadata_has() -> None:
    assert [all_regions(n) for n in (1, 128, 129, 282)] == [1, 1, 3, 7]


@pytest.mark.parametrize(
    ("profile", "block_size", "n_blocks", "sectors"),
    [
        ("1.4.0", 512, 500, 1),
        ("1.4.0", 4096, 500, 8),
        ("1.4.0-bullseye", 512, 500, 8),
        ("1.4.0-bullseye", 512, 8, 1),
        ("1.6.0", 512, 500, 8),
        ("1.6.0", 1024, 100, 4),
        ("1.6.0", 4096, 500, 8),
    ],
)
def test_the_superblocks_write_has_the_size_of_its_version(
    profile: str, block_size: int, n_blocks: int, sectors: int
) -> None:
    wc = cache(profile=profile, n_blocks=n_blocks, block_size=block_size)
    effects = ios(effects_of(write(wc, 8, block_size // 512), FlushWork()))
    assert effects[-1] == ("superblock", 0, sectors)


def test_a_page_may_be_larger_than_4_kib() -> None:
    config = cache(n_blocks=2000, block_size=4096).config
    environment = PROFILES["1.6.0"].environment._replace(page_size=16384)
    for kind, sectors in ((SuperblockWrite.PAGE, 32), (SuperblockWrite.AT_LEAST_4K, 8)):
        profile = config.profile._replace(environment=environment, superblock_write=kind)
        assert superblock_sectors(config._replace(profile=profile)) == sectors


def test_a_copy_that_ended_frees_its_entry_after_the_newer_one_is_committed() -> None:
    wc = submitted(drive(committed(write(cache(), 41)), Message(("flush",))))
    assert wc.entries[0].write_in_progress
    wc = committed(write(wc, 41))
    assert tree(copied(wc, CopyJob(0, 1, 41))) == {41: (1,)}


def test_flush_makes_every_prior_write_durable() -> None:
    wc = flushed(write(write(cache(), 40, 2), 41, 3))
    assert all(entry.seq_count < wc.seq_count for entry in wc.entries if entry.seq_count != U64_MAX)
    assert not wc.overwrote_committed


def test_sequence_counts_wrap() -> None:
    wc = write(cache(seq_count=U64_MAX), 40)
    after = step(wc, FlushWork())
    assert after.state.seq_count == after.state.superblock.seq_count == 0


def test_an_io_in_flight_ends_once() -> None:
    wc, remaps = pieces(cache(), Op.WRITE, 1, 1)
    done = ended(wc, remaps)
    assert refused(done, EndIo(remaps[0].bio, remaps[0].private))

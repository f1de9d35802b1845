"""The engine's arrays: with numpy and without they do the same, to the byte."""

from random import Random

import pytest

from writecache_impl.engine.entries import FREE, IN_PROGRESS, LISTED, Entries
from writecache_impl.engine.fast import FastEntries
from writecache_impl.engine.recovery import scan
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE
from writecache_spec.units import U64_MAX

BLOCK_SECTORS = 8
Pair = tuple[Entries, Entries]


def pair(n_blocks: int, in_order: bool) -> Pair:
    """The same blocks twice, all of them free."""
    made: list[Entries] = []
    for kind in (Entries, FastEntries):
        metadata = bytearray(SUPERBLOCK_SIZE) + b"\xff" * (n_blocks * ENTRY_SIZE)
        entries = kind(metadata, n_blocks, BLOCK_SECTORS, in_order)
        entries.adopt((), range(n_blocks), 0)
        made.append(entries)
    return made[0], made[1]


def everything(entries: Entries) -> tuple[object, ...]:
    """What decides what the arrays do next."""
    sectors = sorted(set(entries.sectors))
    return (
        bytes(entries.words),
        bytes(entries.state),
        entries.ages.tolist(),
        entries.newest_first(),
        entries.n_free,
        entries.current_free,
        entries.duplicates,
        entries.odd,
        [entries.versions(sector) for sector in sectors],
    )


def check(entries: Entries) -> None:
    """The invariants of the arrays."""
    used = [index for index in range(entries.n_blocks) if entries.state[index] != FREE]
    assert entries.n_free == entries.n_blocks - len(used)
    assert sorted(entries.newest_first()) == [i for i in used if entries.state[i] == LISTED]
    for index in used:
        assert index in entries.versions(entries.sectors[index])
    sectors = [entries.sectors[index] for index in used]
    assert entries.duplicates == len(sectors) - len(set(sectors))


def move(entries: Entries, random: Random, now: int) -> object:
    """One random move, and what it says."""
    draw = random.random()
    sector = random.randrange(60) * BLOCK_SECTORS
    longest = random.choice((1, 3, 20, 40))
    state = entries.state
    listed = [index for index in range(entries.n_blocks) if state[index] == LISTED]
    if draw < 0.4 and entries.n_free:
        return entries.take_run(entries.free_run(longest), sector, now, now)
    if draw < 0.5 and listed:
        return entries.unlist(random.choice(listed), IN_PROGRESS)
    if draw < 0.8:
        used = [index for index in range(entries.n_blocks) if state[index] != FREE]
        for index in random.sample(used, min(len(used), longest)):
            entries.free(index)
        return None
    if draw < 0.9 and listed:
        return entries.cached_run(random.choice(listed), longest)
    if draw < 0.95:
        return entries.runs_in_place(sector, longest)
    start, end = sector, sector + longest * BLOCK_SECTORS
    return entries.following(start, end), entries.in_range(start, end)


@pytest.mark.parametrize("seed", range(6))
def test_arrays_with_numpy_and_without_do_the_same(seed: int) -> None:
    plain, fast = pair(Random(seed).choice((5, 50, 70)), in_order=seed % 2 == 1)
    for step in range(300):
        said = [move(one, Random(f"{seed}-{step}"), step) for one in (plain, fast)]
        assert said[0] == said[1]
        assert everything(plain) == everything(fast)
        check(fast)


def test_misaligned_entries_are_found_between_blocks() -> None:
    for entries in pair(20, in_order=False):
        entries.take_run(1, 8, 1, 0)
        entries.take_run(1, 19, 1, 0)
        entries.take_run(1, 40, 1, 0)
        assert [entries.following(at, 200) for at in (0, 9, 20, 41)] == [8, 19, 40, 200]
        assert entries.in_range(0, 41) == [0, 1, 2]
        assert entries.next_in_order(0) == -1
        entries.free(1)
        assert entries.odd == []


@pytest.mark.parametrize("seed", range(8))
def test_recovery_with_numpy_and_without_finds_the_same(seed: int) -> None:
    random = Random(seed)
    n_blocks = random.choice((3, 40, 200))
    few = random.choice((5, 1000))
    plain, fast = pair(n_blocks, in_order=seed % 2 == 1)
    for index in range(n_blocks):
        for entries in (plain, fast):
            one = Random(f"{seed}-{index}")
            entries.sectors[index] = one.randrange(few) * one.choice((8, 8, 8, 3))
            entries.seq_counts[index] = one.choice((U64_MAX, one.randrange(40), 70))
    found = [entries.scan(50) for entries in (plain, fast)]
    told = [(list(f.cached), list(f.free), sorted(f.erased), list(f.identical)) for f in found]
    assert told[0] == told[1]
    for entries, one in zip((plain, fast), found, strict=True):
        entries.clear()
        entries.adopt(one.cached, one.free, 7)
        check(entries)
    assert everything(plain) == everything(fast)
    limits = [entries.count_beyond(found[0].cached, 100) for entries in (plain, fast)]
    assert limits[0] == limits[1]


def test_of_two_entries_of_a_sector_the_greater_count_wins() -> None:
    found = scan([8, 8, 16, 16], [3, 4, 9, 2], 10)
    assert (found.cached, found.free, sorted(found.erased)) == ([1, 2], [0, 3], [0, 3])
    assert scan([8, 8], [3, 3], 10).identical


def test_an_entry_takes_no_more_than_forty_bytes() -> None:
    n_blocks = 100_000
    (_, entries) = pair(n_blocks, in_order=False)
    arrays = (entries.ages, entries.heads, entries.chain, entries.to_older, entries.to_newer)
    taken = sum(len(one) * one.itemsize for one in arrays)
    taken += entries.words.nbytes + len(entries.state)
    assert taken / n_blocks <= 40

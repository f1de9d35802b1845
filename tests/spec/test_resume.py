"""Resume: what the metadata says is what the cache holds, whatever a crash has left."""

import pytest
from builders import cache, drive, formatted, free_blocks, ios, lru, on_disk, superblock, tree
from hypothesis import given
from hypothesis import strategies as st

from writecache_spec.effects import Log, QueueWork, Returned, StartTimer, Timer, Work
from writecache_spec.events import Resume
from writecache_spec.invariants import violated
from writecache_spec.layout import MemoryEntry
from writecache_spec.profile import PROFILES, Environment
from writecache_spec.state import FREE, Entry, State
from writecache_spec.step import Step, step
from writecache_spec.units import U64_MAX

NOW = 17
Found = tuple[int, int] | None


def resumed(
    *found: Found, seq_count: int = 10, options: str = "", failing: frozenset[int] = frozenset()
) -> Step:
    wc = formatted(options, n_blocks=len(found))
    metadata = superblock(len(found), seq_count), on_disk(*found)
    return step(wc, Resume(metadata, 4096, NOW, failing))


def repaired(wc: State) -> State:
    return wc._replace(config=wc.config._replace(profile=wc.config.profile.repaired()))


def logs(after: Step) -> list[str]:
    return [effect.text for effect in after.effects if isinstance(effect, Log)]


def test_an_empty_cache_has_every_block_free() -> None:
    after = resumed(None, None, None)
    assert after.effects == (Returned(None),)
    wc = after.state
    assert (tree(wc), lru(wc), free_blocks(wc), wc.current_free) == ({}, [], [0, 1, 2], 0)
    assert (wc.seq_count, wc.data_device_sectors) == (10, 4096)
    assert not wc.suspended
    assert not wc.poisoned


def test_committed_entries_are_in_the_cache_in_the_order_of_the_blocks() -> None:
    after = resumed((8, 9), None, (0, 3), (4, 0), None, None, None, None)
    assert after.effects == (Returned(None),)
    wc = after.state
    assert tree(wc) == {0: (2,), 4: (3,), 8: (0,)}
    assert lru(wc) == [0, 2, 3]
    assert (free_blocks(wc), wc.current_free) == ([1, 4, 5, 6, 7], 1)
    assert wc.entries[2] == Entry(0, 3, NOW, 1)
    assert wc.entries[1] == FREE


def test_uncommitted_entries_are_erased_and_that_is_written() -> None:
    after = resumed(None, (8, 10), (16, 11), (24, U64_MAX - 1), (32, 9))
    assert ios(after.effects) == [("regions", 0, 1), ("flush", "cache")]
    wc = after.state
    assert tree(wc) == {32: (4,)}
    assert free_blocks(wc) == [0, 1, 2, 3]
    assert wc.entries[1] == Entry(8, U64_MAX)
    assert wc.dirty_regions == 0


def test_a_free_entry_with_a_sector_needs_no_writing() -> None:
    after = resumed((8, U64_MAX), None)
    assert after.effects == (Returned(None),)
    assert after.state.entries[0] == Entry(8, U64_MAX)


@pytest.mark.parametrize(("older", "newer"), [(3, 4), (0, 9)])
def test_of_two_entries_the_later_commit_wins(older: int, newer: int) -> None:
    first = resumed((8, newer), (16, 1), (8, older))
    assert tree(first.state) == {8: (0,), 16: (1,)}
    assert lru(first.state) == [0, 1]
    assert first.state.entries[2] == Entry(8, U64_MAX)
    second = resumed((8, older), (16, 1), (8, newer))
    assert tree(second.state) == {8: (2,), 16: (1,)}
    assert lru(second.state) == [1, 2]
    assert second.state.current_free == 0
    for after in (first, second):
        assert not after.state.error
        assert ios(after.effects) == [("regions", 0, 1), ("flush", "cache")]


def test_identical_entries_are_an_error_and_the_later_block_wins() -> None:
    after = resumed((8, 4), None, (8, 4), (8, 4))
    assert logs(after) == ["two identical entries, position 2, sector 8, sequence 4"]
    assert after.state.error
    assert tree(after.state) == {8: (3,)}
    # The order in which they became free: what is taken first is the first of them.
    assert (free_blocks(after.state), after.state.current_free) == ([0, 1, 2], 1)


def test_the_first_block_to_become_free_is_taken_first() -> None:
    after = resumed((8, 1), (16, 1), (16, 2), (8, 2))
    assert (free_blocks(after.state), after.state.current_free) == ([0, 1], 1)


def test_unreadable_metadata_is_an_error_and_an_empty_cache() -> None:
    wc = formatted(n_blocks=3)._replace(superblock=superblock(3, 7))
    after = step(wc, Resume(None, 4096, NOW))
    assert after.effects == (Log("unable to read metadata"), Returned(None))
    assert after.state.error
    assert (tree(after.state), free_blocks(after.state)) == ({}, [0, 1, 2])
    assert list(after.state.entries) == [FREE] * 3
    assert after.state.seq_count == 7
    assert violated(after.state) == ()


def test_the_repaired_resume_refuses_metadata_that_cannot_be_read_and_can_be_repeated() -> None:
    wc = repaired(formatted(n_blocks=3))
    readable = superblock(3, 7), on_disk((8, 1), None, None)
    for metadata in (None, (readable[0], (*readable[1][:2], None))):
        refused = step(wc, Resume(metadata, 4096, NOW))
        assert refused.effects == (Returned("EIO"),)
        assert refused.state == wc
    again = step(refused.state, Resume(readable, 4096, NOW)).state
    assert (tree(again), again.error, again.suspended) == ({8: (0,)}, False, False)


def test_after_an_error_the_repaired_resume_needs_no_metadata() -> None:
    wc = repaired(resumed((8, 1), None).state)._replace(error=True, suspended=True, poisoned=True)
    after = step(wc, Resume(None, 4096, NOW))
    assert after.effects == (Returned(None),)
    assert tree(after.state) == {8: (0,)}


@pytest.mark.parametrize("careful", [False, True])
def test_an_earlier_error_empties_the_cache_where_machine_checks_are_handled(
    careful: bool,
) -> None:
    profile = PROFILES["1.6.0"]._replace(environment=Environment(handles_hardware_errors=careful))
    wc = formatted(n_blocks=2)._replace(error=True)
    wc = wc._replace(config=wc.config._replace(profile=profile))
    event = Resume((superblock(2, 5), on_disk((8, 1), None)), 4096)
    assert tree(step(wc, event).state) == ({} if careful else {8: (0,)})
    healthy = step(wc._replace(error=False), event).state
    assert tree(healthy) == {8: (0,)}


@pytest.mark.parametrize("number", [0, 1])
def test_a_failing_write_of_what_was_erased_is_an_error(number: int) -> None:
    after = resumed((8, 10), seq_count=10, failing=frozenset({number}))
    assert after.state.error
    assert logs(after) == [f"error {('writing', 'flushing')[number]} metadata"]
    assert not resumed((8, 10), seq_count=10, failing=frozenset({2})).state.error


def test_a_full_cache_asks_for_writeback_at_once() -> None:
    full = resumed((0, 1), (8, 1), (16, 1), (24, 1))
    assert full.effects == (QueueWork(Work.WRITEBACK), Returned(None))
    assert full.state.current_free is None
    quiet = resumed((0, 1), None, None, None)
    assert quiet.effects == (Returned(None),)


def test_a_cache_with_an_age_limit_starts_its_timer() -> None:
    after = resumed(None, None, options="max_age 16000")
    assert after.effects == (StartTimer(Timer.MAX_AGE, 100), Returned(None))


def test_a_running_cache_cannot_be_resumed() -> None:
    wc = cache()
    after = step(wc, Resume((superblock(8), on_disk(*[None] * 8)), 4096))
    assert after.state is wc


FOUND = st.lists(
    st.one_of(
        st.none(),
        st.tuples(
            st.sampled_from((0, 8, 16, 17, U64_MAX)),
            st.sampled_from((0, 1, 8, 9, 10, 11, U64_MAX - 1, U64_MAX)),
        ),
    ),
    min_size=1,
    max_size=9,
)


def committed_winners(found: list[Found], seq_count: int) -> dict[int, tuple[int, ...]]:
    """Which block holds a sector: the greatest committed count, then the last block."""
    committed = [(i, *pair) for i, pair in enumerate(found) if pair and pair[1] < seq_count]
    return {
        sector: (max((count, i) for i, other, count in committed if other == sector)[1],)
        for _, sector, _ in committed
    }


def metadata_of(wc: State) -> tuple[object, tuple[MemoryEntry, ...]]:
    return wc.superblock, tuple(MemoryEntry(*entry[:2]) for entry in wc.entries)


@given(FOUND, st.sampled_from((0, 1, 10, U64_MAX)))
def test_resume_rebuilds_any_metadata(found: list[Found], seq_count: int) -> None:
    wc = resumed(*found, seq_count=seq_count).state
    assert violated(wc) == ()
    assert tree(wc) == committed_winners(found, seq_count)
    assert wc.seq_count == wc.superblock.seq_count == seq_count


@given(FOUND)
def test_resume_is_idempotent(found: list[Found]) -> None:
    once = resumed(*found)
    again = step(
        formatted(n_blocks=len(found)),
        Resume(metadata_of(once.state), 4096, NOW),  # type: ignore[arg-type]
    )
    assert ios(again.effects) == []
    assert not again.state.error
    assert tree(again.state) == tree(once.state)
    assert metadata_of(again.state) == metadata_of(once.state)


@given(FOUND, st.sets(st.integers(0, 8)))
def test_a_crash_while_erasing_changes_nothing(found: list[Found], lost: set[int]) -> None:
    """Any subset of entries may have reached the device: sector-sized pieces of a region."""
    after = resumed(*found).state
    torn = [
        MemoryEntry(*entry[:2]) if index not in lost else on_disk(found[index])[0]
        for index, entry in enumerate(after.entries)
    ]
    event = Resume((superblock(len(found), 10), tuple(torn)), 4096, NOW)
    recovered = step(formatted(n_blocks=len(found)), event).state
    assert tree(recovered) == tree(after)


def test_an_error_survives_suspend_and_resume() -> None:
    wc = resumed((8, 4), (8, 4)).state
    suspended = wc._replace(suspended=True, poisoned=True)
    again = drive(suspended, Resume((superblock(2, 10), on_disk(None, (8, 4))), 4096))
    assert again.error

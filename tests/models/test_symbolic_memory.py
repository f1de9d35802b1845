"""Worlds of persistent memory: what crashes leave of it, and that a missing fence is seen."""

import pytest

from writecache_models.symbolic_memory import TORN, MemoryShape
from writecache_models.turns import turn
from writecache_models.walking import Bounds, Walker, events_of
from writecache_models.world import Setting, new_world, with_memory
from writecache_spec import commit, endio
from writecache_spec.effects import StoreEntry
from writecache_spec.profile import PROFILES
from writecache_spec.state import State
from writecache_spec.transcript import Transcript

LAZY = "4 high_watermark 100 low_watermark 100"
EAGER = "4 high_watermark 0 low_watermark 0"
COMMITTED = events_of("open; begin write 0 1; map 0; begin flush; map 1; io 0 False")
HOME = events_of(
    "open; begin write 0 1; map 0; begin flush; map 1; io 0 False; work None; work None; "
    "work None; copy 0 False; endio take None; endio None; begin write 1 1; map 2; "
    "begin flush; map 3; io 0 False"
)


def setting(options: str) -> Setting:
    return Setting(with_memory(PROFILES["1.6.0"]).repaired(), options, 3, 2, pmem_mode=True)


def walker(options: str) -> Walker:
    return Walker(setting(options), Bounds((), 9, 0))


@pytest.mark.parametrize(("options", "path"), [(LAZY, COMMITTED), (EAGER, HOME)])
def test_what_a_flush_promised_survives_every_subset_of_stores(
    options: str, path: tuple[tuple[object, ...], ...]
) -> None:
    assert walker(options).replay(path) is None


def test_a_commit_without_fences_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_fence(wc: State, transcript: Transcript, data_too: bool) -> State:
        return wc

    monkeypatch.setattr(commit, "commit_flushed", no_fence)
    wrong = walker(LAZY).replay(COMMITTED)
    assert wrong is not None
    assert wrong.what == "after a crash, what is read is not what was promised"


def test_blocks_freed_before_the_origin_has_them_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = setting(EAGER.replace("4", "5", 1) + " nofua")
    assert Walker(lazy, Bounds((), 9, 0)).replay(HOME) is None

    def no_flush(wc: State, transcript: Transcript, device: object) -> State:
        return wc

    monkeypatch.setattr(endio, "disk_flush", no_flush)
    wrong = Walker(lazy, Bounds((), 9, 0)).replay(HOME)
    assert wrong is not None
    assert wrong.what == "after a crash, what is read is not what was promised"


def test_data_before_its_fence_may_be_old_torn_or_new() -> None:
    here = setting(LAZY)
    world = new_world(here)
    for event in events_of("open; begin write 0 1; map 0"):
        after = turn(here, world, event)
        assert after is not None
        world = after.world
    place = here.shape.place(here.shape.data_start)
    assert after.moments[-1].remains.cache[place] == (0, TORN, 1)


def test_an_entry_is_two_words_and_reads_back_whole() -> None:
    shape = MemoryShape(2, 1)
    places: list[object] = [0] * shape.n_metadata
    for place, word in shape.stores(StoreEntry(1, 5, 7)):  # type: ignore[arg-type]
        places[place] = word
    assert shape.entries(places) == ((0, 0), (7, 5))  # type: ignore[arg-type]
    assert len(list(shape.stores(StoreEntry(1, 5)))) == 1  # type: ignore[arg-type]

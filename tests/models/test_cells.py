"""The matrix of crashes: every cell that can be reached is, and no other."""

import pytest

from writecache_models.candidates import candidates
from writecache_models.canonical import digest
from writecache_models.cells import IMPOSSIBLE, PMEM, SSD, STATES, WITHIN, Cell, cells, reachable
from writecache_models.clients import Op
from writecache_models.fuzzing import Task, work
from writecache_models.starts import MEMORY_STARTS, N_BLOCKS, N_ENTRIES, STARTS, Start
from writecache_models.stocked import Plan
from writecache_models.turns import turn
from writecache_models.walking import Bounds
from writecache_models.world import Setting, new_world, with_memory
from writecache_spec.profile import PROFILES

PROFILE = PROFILES["1.6.0"].repaired()
LAZY = "4 high_watermark 100 low_watermark 100"
WALKS = (
    3, 4, 12, 31, 35, 36, 44, 50, 52, 57, 71, 87, 90, 113, 127, 140, 159, 188, 199, 234, 241, 262,
    271, 280, 286, 291, 316, 363, 395,
)  # fmt: skip
"""Few walks, of the first that a seed names, that reach everything."""


def test_walks_reach_every_cell_that_can_be_reached_and_no_other() -> None:
    done = work(Task(PROFILES["1.6.0"], True, [f"cells-{number}" for number in WALKS]))
    assert done.finds == []
    assert set(done.cells) == set(reachable())
    assert set(done.cells).isdisjoint(IMPOSSIBLE)


@pytest.mark.parametrize("pmem_mode", [False, True], ids=[SSD, PMEM])
def test_an_exhaustive_search_reaches_no_impossible_cell(pmem_mode: bool) -> None:
    """Every event of every schedule of these operations, no I/O failing."""
    profile = with_memory(PROFILE) if pmem_mode else PROFILE
    small = Setting(profile, "4 high_watermark 0 low_watermark 0", 2, 1, pmem_mode=pmem_mode)
    ops: tuple[Op, ...] = (
        ("write", 0, 1), ("flush",), ("message", "flush"), ("suspend",), ("open",), ("load",),
    )  # fmt: skip
    found, n_events = explored(small, ops, n_ops=3, failures=0)
    assert n_events > 2000
    assert len(found) > 90
    assert found.isdisjoint(IMPOSSIBLE)


def explored(
    setting: Setting, ops: tuple[Op, ...], n_ops: int, failures: int
) -> tuple[set[Cell], int]:
    """The cells of all events within a bound, and how many events those were."""
    frontier, met = [new_world(setting)], set[int]()
    found, n_events = set[Cell](), 0
    while frontier:
        world = frontier.pop()
        may_begin = ops if world.n_begun < n_ops and len(world.clients) < 2 else ()
        for event in candidates(setting, world, may_begin, failures):
            after = turn(setting, world, event, reads=False)
            if after is None:
                continue
            n_events += 1
            found.update(cells(setting, world, event, len(after.moments)))
            if (number := digest(after.world)) not in met:
                met.add(number)
                frontier.append(after.world)
    return found, n_events


@pytest.mark.parametrize(
    ("start", "pmem_mode"),
    [(start, False) for start in STARTS] + [(start, True) for start in MEMORY_STARTS],
    ids=range(len(STARTS + MEMORY_STARTS)),
)
def test_a_start_goes_where_it_says_and_breaks_nothing(start: Start, pmem_mode: bool) -> None:
    profile = with_memory(PROFILE) if pmem_mode else PROFILE
    setting = Setting(profile, start.options, N_ENTRIES, N_BLOCKS, pmem_mode=pmem_mode)
    walker = Plan(setting, Bounds((), 9, 9)).walker()
    world, last = new_world(setting), set[Cell]()
    for event in start.events:
        happened = walker.happen(world, event)
        assert happened is not None, event
        assert happened[1] is None
        last = set(cells(setting, world, event, walker.n_moments))
        world = happened[0]
    rare = {"uncommitted", "uncommitted, 2nd", "committed, 2nd", "overwritten", "copied", "flushed"}
    assert {state for *_, state in last} & rare


def test_a_crash_counts_as_the_event_that_it_cuts_short() -> None:
    world = new_world(Setting(PROFILE, LAZY, 2, 1))
    setting = Setting(PROFILE, LAZY, 2, 1)
    whole = set(cells(setting, world, ("open",), 6))
    assert whole == set(cells(setting, world, ("crash", ("open",), 0, 0), 6))
    assert whole == {(SSD, "format", point, "free") for point in ("edges", WITHIN)}
    # With one I/O there is nothing between two.
    assert set(cells(setting, world, ("open",), 2)) == {(SSD, "format", "edges", "free")}


def test_an_impossible_cell_has_a_state_and_a_reason() -> None:
    assert all(cell[-1] in STATES and why for cell, why in IMPOSSIBLE.items())
    assert len(list(reachable())) > len(IMPOSSIBLE)

"""Fuzzing finds what a missing repair lets through, names it, and can be replayed."""

from random import Random

from writecache_models.cells import reachable
from writecache_models.fuzzing import Done, Task, as_found, draw, work
from writecache_spec.profile import PROFILES

PROFILE = PROFILES["1.6.0"]
SEEDS = tuple(f"test-{number}" for number in range(40))


def test_the_repaired_reference_passes_and_the_faithful_does_not() -> None:
    repaired = work(Task(PROFILE, True, SEEDS))
    assert repaired.finds == []
    assert (repaired.n_walks, repaired.n_events) > (39, 2000)
    faithful = work(Task(PROFILE, False, SEEDS))
    assert len({find.repair for find in faithful.finds}) >= 2
    for find in faithful.finds:
        # What is printed is enough to see it again.
        assert find.plan.walker().replay(find.wrong.path) == find.wrong
        assert draw(PROFILE, Random(find.seed), False) == (find.repair, find.plan)
        assert as_found(find, PROFILE) is not None
        assert as_found(find, PROFILE.repaired()) is None


def test_what_several_processes_found_is_added_up() -> None:
    done = Done()
    parts = [work(Task(PROFILE, False, SEEDS[at::2])) for at in (0, 1)]
    for part in parts:
        done.add(part)
    assert done.n_walks == len(SEEDS)
    assert done.n_events == sum(part.n_events for part in parts)
    kinds = [(find.repair, find.wrong.what) for find in done.finds]
    assert len(kinds) == len(set(kinds))
    assert set(done.cells) <= set(reachable())

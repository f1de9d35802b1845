"""The kit on toys: stories, strategies and the machine find what is planted, and nothing else."""

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.stateful import run_state_machine_as_test
from toy_target import BUGS, Toy

from writecache_models.conformance import (
    Devices,
    Facts,
    RefusedError,
    Renewed,
    Target,
    draw,
    judge_stories,
    play,
    smallest,
)
from writecache_models.conformance.machine import TargetMachine, ViolationError
from writecache_models.conformance.strategies import traces
from writecache_models.trace import Trace, op_problem

QUICK = settings(
    max_examples=60, stateful_step_count=30, deadline=None, derandomize=True,
    suppress_health_check=list(HealthCheck), print_blob=False,
)  # fmt: skip


def machine_of(kind: type[Toy]) -> type[TargetMachine]:
    class Machine(TargetMachine):
        @classmethod
        def new_target(cls) -> Target:
            return kind()

    return Machine


def test_stories_find_nothing_in_what_is_right() -> None:
    with Renewed(Toy) as renewed:
        judged = judge_stories(renewed, seed="right", seconds=20, max_steps=6000)
    assert judged.violated is None
    assert judged.steps >= 6000
    assert judged.crashes > 100
    assert judged.sectors > 10_000


@pytest.mark.parametrize("bug", BUGS)
def test_stories_find_a_planted_bug_and_shrink_it(bug: type[Toy]) -> None:
    with Renewed(bug) as renewed:
        judged = judge_stories(renewed, seed="wrong", seconds=60)
        assert judged.violated is not None
        least = smallest(renewed, judged.violated)
    assert least.violation is not None
    assert len(least.trace.steps) <= 7
    assert play(bug(), least.trace).violation == least.violation
    assert play(Toy(), least.trace).violation is None


class Unwilling(Toy):
    """Wrong: it never takes its devices."""

    def start(self, devices: Devices) -> None:
        raise RefusedError("ENOMEM")


def test_what_goes_wrong_at_the_opening_has_no_step_and_shrinks_to_an_open() -> None:
    with Renewed(Unwilling) as renewed:
        judged = judge_stories(renewed, seed="wrong", seconds=60)
        assert judged.violated is not None
        least = smallest(renewed, judged.violated)
    assert least.violation == (None, "it does not take its devices: ENOMEM", False)
    assert least.trace.ops == [["open"]]
    assert judged.as_json()["violation"]["step"] is None


def test_a_seed_decides_a_story() -> None:
    facts: Facts = Toy.facts
    assert draw("x", facts) == draw("x", facts) != draw("y", facts)
    assert all(op_problem(op) is None for op in draw("x", facts).ops)


@settings(QUICK, max_examples=100)
@given(traces(Toy.facts))
def test_drawn_traces_are_traces_and_find_nothing_in_what_is_right(trace: Trace) -> None:
    assert all(op_problem(op) is None for op in trace.ops)
    verdict = play(Toy(), trace)
    assert verdict.violation is None
    assert verdict.steps > 1


def test_the_machine_finds_nothing_in_what_is_right() -> None:
    run_state_machine_as_test(machine_of(Toy), settings=QUICK)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("bug", BUGS)
def test_the_machine_finds_a_planted_bug(bug: type[Toy]) -> None:
    with pytest.raises(ViolationError):
        run_state_machine_as_test(  # type: ignore[no-untyped-call]
            machine_of(bug), settings=settings(QUICK, max_examples=1500, phases=[Phase.generate])
        )

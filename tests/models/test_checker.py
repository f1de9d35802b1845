"""The checker accepts what the reference does, and nothing else."""

from typing import Any

import pytest
from machines import closed, line, machine, trace

from writecache_models.actions import PanicError
from writecache_models.checker import Checker
from writecache_models.observations import (
    UnusableStepError,
    agrees,
    new_machine,
    observe,
    perform,
    profile_of,
)
from writecache_models.vectors import Observation, Op, Trace
from writecache_models.workloads import generate
from writecache_spec.profile import PROFILES

PROFILE = PROFILES["1.6.0"]
CALM = line("high_watermark 100 low_watermark 100")
OPS: tuple[Op, ...] = (
    ["open"],
    ["write", 3, 4, 7],
    ["flush"],
    ["read", 2, 6],
    ["message", "nonsense"],
    ["open", "s ORIGIN"],
    ["discard", 4, 1],
    ["suspend"],
    ["resume"],
    ["read", 3, 2],
)


def recorded(of: Trace, choices: tuple[int, ...] = ()) -> list[tuple[Op, Observation]]:
    """What a perfect implementation shows; it ends where the kernel dies."""
    machine = new_machine(of, PROFILE)
    seen: list[tuple[Op, Observation]] = []
    for op in of.ops:
        machine.choices, machine.alternatives = choices, []
        try:
            outcome = perform(machine, op, of.table)
        except UnusableStepError:
            continue
        except PanicError:
            return [*seen, (op, {"panic": True})]
        seen.append((op, observe(machine, op, outcome)))
    return seen


def first_divergence(of: Trace, steps: list[tuple[Op, Observation]]) -> int | None:
    checker = Checker(of, PROFILE)
    for number, (op, seen) in enumerate(steps):
        if not checker.step(op, seen).explained:
            return number
    return None


def test_the_checker_accepts_what_the_machine_does() -> None:
    steps = panics = 0
    families = ("plain", "requests", "messages", "reloads", "tables", "crafted", "sleeps")
    for family in families:
        for seed in range(4):
            workload = generate(f"accept-{seed}", family)
            seen = recorded(workload)
            steps += len(seen)
            panics += sum("panic" in observation for _, observation in seen)
            assert first_divergence(workload, seen) is None, workload.name
    assert steps > 500
    of = trace(
        line("high_watermark 100 low_watermark 0"), *OPS[:1], ["write", 2, 4, 1], ["write", 1, 5, 2]
    )
    seen = recorded(of)
    assert seen[-1][1] == {"panic": True}
    assert first_divergence(of, seen) is None


ALTERED: dict[str, tuple[int, str, Any]] = {
    "wrong status": (1, "status", "0 8 4 0 0 0 4 0 0 0 3 0 0 0"),
    "status of an older target": (1, "status", "0 8 4 0"),
    "missing status": (1, "status", None),
    "wrong digest of the cache": (1, "cache", "0" * 16),
    "wrong digest of the origin": (6, "origin", "0" * 16),
    "wrong data": (3, "read", "0" * 16),
    "wrong errno": (4, "errno", "EIO"),
    "missing errno": (4, "errno", None),
    "errno where none is": (2, "errno", "EIO"),
    "wrong message": (5, "error", "Bad argument"),
    "missing message": (5, "error", None),
    "wrong table": (0, "table", CALM + " cleaner"),
    "missing table": (0, "table", None),
    "table where none is": (5, "table", CALM),
    "panic where none is": (6, "panic", True),
    "hang where none is": (6, "hang", True),
}


@pytest.mark.parametrize("name", ALTERED)
def test_the_checker_rejects_what_the_machine_does_not(name: str) -> None:
    number, key, value = ALTERED[name]
    of = trace(CALM, *OPS)
    steps = recorded(of)
    assert first_divergence(of, steps) is None
    op, seen = steps[number]
    assert seen.get(key) != value
    steps[number] = (op, {**seen, key: value})
    assert first_divergence(of, steps) == number


def test_a_missing_panic_is_a_divergence() -> None:
    of = trace(
        line("high_watermark 100 low_watermark 0"), ["open"], ["write", 2, 4, 1], ["write", 1, 5, 2]
    )
    *steps, (op, panic) = recorded(of)
    assert panic == {"panic": True}
    survived = {**steps[-1][1]}
    assert first_divergence(of, [*steps, (op, survived)]) == 2


def test_a_lost_write_shows_at_once_in_the_digests_and_at_last_in_a_read() -> None:
    of = trace(CALM, *OPS[:4])
    lossy = trace(CALM, OPS[0], ["write", 3, 3, 7], *OPS[2:4])
    steps, others = recorded(of), recorded(lossy)
    for digests in (True, False):
        false = [
            (op, {k: v for k, v in seen.items() if digests or k not in ("cache", "origin")})
            for (op, _), (_, seen) in zip(steps, others, strict=True)
        ]
        false[1] = (false[1][0], {**false[1][1], "status": steps[1][1]["status"]})
        false[2] = (false[2][0], {**false[2][1], "status": steps[2][1]["status"]})
        assert first_divergence(of, false) == (1 if digests else 3)


def test_what_is_not_observed_is_not_judged() -> None:
    of = trace(CALM, *OPS)
    steps = [
        (op, {key: value for key, value in seen.items() if key not in ("cache", "origin")})
        for op, seen in recorded(of)
    ]
    assert first_divergence(of, steps) is None
    assert agrees({"cache": "a", "status": "b"}, {"status": "b", "unknown": 1})
    assert not agrees({"cache": "a", "status": "b"}, {"status": "b", "cache": "c"})


def test_another_schedule_is_found_where_the_canonical_one_does_not_fit() -> None:
    options = "high_watermark 100 low_watermark 100 autocommit_blocks 1"
    of = trace(
        line(options),
        ["open"],
        ["write", 30, 7, 1],
        ["flush"],
        ["discard", 30, 1],
        ["write", 3, 2, 7],
        ["read", 3, 2],
    )
    canonical, other = recorded(of), recorded(of, choices=(1,))
    assert canonical != other
    checker = Checker(of, PROFILE)
    verdicts = [checker.step(op, seen) for op, seen in other]
    assert all(verdict.explained for verdict in verdicts)
    assert verdicts[4].schedules > 1
    assert checker.candidates[0].deviations
    # A mixture that no schedule yields is found out.
    mixed = [*other]
    mixed[4] = (other[4][0], {**other[4][1], "cache": "0" * 16})
    assert first_divergence(of, mixed) == 4


def test_operations_that_have_no_place_are_named() -> None:
    machine = closed(9)
    with pytest.raises(UnusableStepError, match="there is no device"):
        perform(machine, ["flush"], CALM)
    perform(machine, ["open"], CALM)
    for name in ("read", "write"):
        with pytest.raises(UnusableStepError, match="crosses the end"):
            perform(machine, [name, 62, 4, 1][: 3 if name == "read" else 4], CALM)
    perform(machine, ["suspend"], CALM)
    with pytest.raises(UnusableStepError, match="suspended"):
        perform(machine, ["read", 0, 1], CALM)


def test_a_trace_without_a_kernel_is_judged_as_the_newest_known_one() -> None:
    assert profile_of(trace(CALM)) is PROFILES["1.6.0"]


def test_a_write_is_searched_though_the_canonical_schedule_dies() -> None:
    """Linux 6.12.113 lived where the canonical schedule frees what it still writes back."""
    table = "s ORIGIN CACHE 1024 6 start_sector 64 autocommit_time 3600000 pause_writeback 0"
    of = trace(
        table,
        ["open"],
        ["write", 50, 2, 847024],
        ["write_dsync", 40, 16, 847025],
        cache_sectors=104,
        origin_sectors=128,
    )
    canonical = recorded(of)
    assert "panic" in canonical[-1][1]
    lived: Observation = {
        "status": "0 19 11 0 0 0 9 0 0 0 9 0 1 0",
        "cache": "bad8305c117b39f7",
        "origin": "de2f256064a0af79",
    }
    assert first_divergence(of, [*canonical[:-1], (of.ops[-1], lived)]) is None


@pytest.mark.parametrize("choice", [99, -1, -5, 2**70])
def test_a_schedule_that_chooses_what_there_is_not_explains_nothing(choice: int) -> None:
    table = line("high_watermark 0 low_watermark 0")
    made = machine("high_watermark 0 low_watermark 0")
    op = ["write", 0, 40, 1]
    seen = observe(made, op, perform(made, op, table))
    checker = Checker(trace(table, ["open"], op), PROFILES["1.6.0"])
    assert checker.step(
        ["open"], {"status": "0 8 8 0" + " 0" * 10, "table": made.table()}
    ).explained
    # The search finds the schedule that it was.
    assert checker.step(op, {**seen, "schedule": [choice]}).explained


@pytest.mark.parametrize("names", ["CACHE ORIGIN", "ORIGIN ORIGIN", "CACHE CACHE"])
def test_devices_have_places(names: str) -> None:
    with pytest.raises(UnusableStepError, match="devices have places"):
        perform(machine(), ["begin", "open", f"s {names} 512 0"], "")

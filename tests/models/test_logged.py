"""The order of I/O as an observation: logs that the reference explains, and those it does not."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from machines import line, trace

from writecache_models.actions import PanicError
from writecache_models.fixtures import shipped_vectors
from writecache_models.judge import Report, judge
from writecache_models.mutants import planted
from writecache_models.mutants.ordering import ORDERING
from writecache_models.observations import new_machine, observe, perform
from writecache_models.trace import LOGS, Op, Trace
from writecache_models.vectors import read_traces
from writecache_models.workloads import generate
from writecache_spec.profile import PROFILES

PROFILE = PROFILES["1.6.0"]
WORK: tuple[Op, ...] = (
    ["open"],
    ["write", 0, 3, 1],
    ["flush"],
    ["write", 1, 1, 2],
    ["flush"],
    ["write", 17, 1, 6],
    ["flush"],
    ["write", 16, 2, 7],
    ["flush"],
    ["write_dsync", 5, 1, 3],
    ["discard", 0, 1],
    ["write", 8, 4, 4],
    ["message", "flush"],
    ["write", 20, 30, 5],
    ["suspend"],
    ["resume"],
)


def recorded(asked: Trace, logs: str = "each") -> Trace:
    """A trace as a kernel would have recorded it, with logs, if it did what the reference does."""
    asked = replace(asked, extra={**asked.extra, "logs": logs})
    machine = new_machine(asked, PROFILE)
    steps = []
    for op in asked.ops:
        if machine.wc is None and op[0] != "open":
            continue
        machine.devices.expect(None)
        try:
            steps.append((op, observe(machine, op, perform(machine, op, asked.table))))
        except PanicError:
            steps.append((op, {"panic": True}))
            break
    return replace(asked, steps=tuple(steps))


def with_log(
    asked: Trace, change: Callable[[str, list[list[Any]]], list[list[Any]]]
) -> tuple[Trace, int]:
    """A trace whose first log that can be is changed, and the step where."""
    for number, (op, seen) in enumerate(asked.steps):
        for device, log in seen["log"].items():
            changed = change(device, log)
            if changed != log:
                logs = {**seen["log"], device: changed}
                steps = list(asked.steps)
                steps[number] = (op, {**seen, "log": logs})
                return replace(asked, steps=tuple(steps)), number
    raise AssertionError("nothing to change")


def without_logs(asked: Trace) -> Trace:
    steps = tuple(
        (op, {key: value for key, value in seen.items() if key != "log"})
        for op, seen in asked.steps
    )
    return replace(asked, steps=steps, extra={})


def judged(asked: Trace) -> Report:
    return judge(asked, PROFILE)


def work(logs: str = "each") -> Trace:
    return recorded(
        trace(line("high_watermark 60 low_watermark 60"), *WORK, cache_sectors=12), logs
    )


@pytest.mark.parametrize("logs", LOGS[1:])
def test_the_reference_explains_its_own_logs(logs: str) -> None:
    assert judged(work(logs)).divergence is None
    for seed in range(10):
        report = judged(recorded(generate(f"own-{seed}"), logs))
        assert (report.divergence, report.problem) == (None, None)


def test_logs_of_a_trace_say_everything_that_is_written() -> None:
    log = [(device, one) for _, seen in work().steps for device, log in seen["log"].items()
           for one in log]  # fmt: skip
    assert {device for device, _ in log} == {"cache", "origin"}
    assert {one[0] for _, one in log} == {0, 1, 2, 4}


def test_a_flush_that_is_missing_is_seen() -> None:
    def drop(device: str, log: list[list[Any]]) -> list[list[Any]]:
        flushes = [number for number, one in enumerate(log) if one[0] == 1]
        return [one for number, one in enumerate(log) if number not in flushes[:1]]

    for wanted in ("cache", "origin"):
        changed, number = with_log(
            work(), lambda device, log, w=wanted: drop(device, log) if device == w else log
        )
        assert (divergence := judged(changed).divergence) is not None
        assert divergence.step == number
        assert list(divergence.differences()) == ["log"]


def test_two_writes_on_the_wrong_sides_of_a_flush_are_seen() -> None:
    def swap(_: str, log: list[list[Any]]) -> list[list[Any]]:
        for number, pair in enumerate(pairwise(log)):
            if [one[0] for one in pair] == [0, 1]:
                return [*log[:number], pair[1], pair[0], *log[number + 2 :]]
        return log

    changed, number = with_log(work(), swap)
    divergence = judged(changed).divergence
    assert divergence is not None
    assert divergence.step == number


def test_data_that_differ_are_seen_and_the_order_between_flushes_is_not() -> None:
    def spoil(_: str, log: list[list[Any]]) -> list[list[Any]]:
        return [[*one[:3], "0" * 16] if len(one) > 3 else one for one in log]

    def turn(_: str, log: list[list[Any]]) -> list[list[Any]]:
        end = next((n for n, one in enumerate(log) if one[0] == 1), 0)
        return [*reversed(log[:end]), *log[end:]] if end > 1 else log

    assert judged(with_log(work(), spoil)[0]).divergence is not None
    turned = with_log(work(), turn)[0]
    assert judged(turned).divergence is None


ONLY_IN_THE_LOG = (
    "superblock-before-regions",
    "commit-does-not-flush",
    "superblock-without-fua",
    "freed-duplicates-not-flushed",
    "overwrites-not-flushed",
    "format-magic-first",
    "format-entries-not-flushed",
    "format-magic-not-flushed",
)


@pytest.mark.parametrize("name", ONLY_IN_THE_LOG)
def test_a_wrong_order_that_leaves_the_same_bytes_is_seen_in_the_log(name: str) -> None:
    mutant = next(one for one in ORDERING if one.name == name)
    with planted(mutant):
        wrong = work()
    assert judged(without_logs(wrong)).divergence is None
    divergence = judged(wrong).divergence
    assert divergence is not None
    assert list(divergence.differences()) == ["log"]


def test_blocks_freed_before_the_origin_is_flushed_are_seen_in_one_log_only() -> None:
    mutant = next(one for one in ORDERING if one.name == "freed-before-origin-flush")
    with planted(mutant):
        wrong = {logs: work(logs) for logs in LOGS[1:]}
    assert judged(without_logs(wrong["one"])).divergence is None
    assert judged(wrong["each"]).divergence is None
    assert (divergence := judged(wrong["one"]).divergence) is not None
    assert list(divergence.differences()) == ["log"]


def of_kernels() -> list[Trace]:
    """The beginnings of traces that a kernel has logged."""
    (file,) = (path for path in shipped_vectors() if path.name == "bookworm-logged.jsonl.xz")
    return [replace(one, steps=one.steps[:14]) for one in read_traces(file)]


@pytest.mark.parametrize("name", [*ONLY_IN_THE_LOG, "freed-before-origin-flush"])
def test_a_kernels_log_contradicts_a_reference_with_a_wrong_order(name: str) -> None:
    mutant = next(one for one in ORDERING if one.name == name)
    with planted(mutant):
        found = (judge(one).divergence for one in of_kernels())
        assert (divergence := next(filter(None, found), None)) is not None
    assert list(divergence.differences()) == ["log"]


def test_behind_a_log_there_is_no_persistent_memory() -> None:
    """The processor reaches no memory through a target: a table of mode p is death there."""
    on_memory = Trace(
        name="memory",
        kernel=None,
        target=None,
        table="p ORIGIN CACHE 4096 0",
        cache_sectors=128,
        origin_sectors=64,
    )
    profile = PROFILES["1.6.0-6.1-amd64"]
    assert perform(new_machine(on_memory, profile), ["open"], on_memory.table).errno is None
    logged = new_machine(replace(on_memory, extra={"logs": "one"}), profile)
    with pytest.raises(PanicError, match="no DAX"):
        perform(logged, ["open"], on_memory.table)

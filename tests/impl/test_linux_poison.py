"""Memory errors under a live kernel: loads from poisoned memory end in machine checks."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import SUITE

from writecache_impl.linux import KernelUnavailable, LinuxTarget
from writecache_impl.recording import record
from writecache_impl.reproducing import reproduce
from writecache_models.findings import finding_named
from writecache_models.judge import judge
from writecache_models.trace import Trace
from writecache_models.vectors import read_traces

RECORDED = Path(__file__).parents[1] / "vectors" / "bookworm-pmem-poison.jsonl.xz"
TRACES = list(read_traces(RECORDED))
HEADER: dict[str, Any] = {
    "table": "p ORIGIN CACHE 4096 2 autocommit_time 3600000",
    "cache_sectors": 128,
    "origin_sectors": 512,
}
POISON = ["fail", "cache", "poison", 8, 8]


@pytest.fixture(scope="module")
def target() -> Iterator[LinuxTarget]:
    with LinuxTarget("bookworm-pmem") as running:
        yield running


@pytest.mark.parametrize("trace", TRACES, ids=lambda trace: trace.name)
def test_a_kernel_meets_memory_errors_as_it_did(target: LinuxTarget, trace: Trace) -> None:
    recorded = record(target, trace)
    assert recorded.steps == trace.steps
    assert judge(recorded).divergence is None


def test_a_kernel_that_met_none_is_found_out(
    target: LinuxTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(LinuxTarget, "poison", lambda *_: None)
    recorded = record(target, TRACES[0])
    divergence = judge(recorded).divergence
    assert divergence is not None
    assert divergence.differences()["errno"] == (None, "EIO")


def test_nothing_fails_in_the_trace_after_it(target: LinuxTarget) -> None:
    ops: list[Any] = [["open"], ["write", 0, 8, 1], POISON, ["read", 0, 8]]
    poisoned = list(target.play({**HEADER, "poison": True}, ops))[-1]
    assert poisoned["errno"] == "EIO"
    healthy = list(target.play({**HEADER, "poison": True}, [*ops[:2], ops[3]]))[-1]
    assert "read" in healthy


def test_poison_is_announced_and_of_persistent_memory(target: LinuxTarget) -> None:
    with pytest.raises(ValueError, match="the trace's header does not say that it comes"):
        list(target.play(HEADER, [POISON]))
    for key, value in (("poison", 1), ("logs", "memory")):
        with pytest.raises(ValueError, match="poison is true or false"):
            list(target.play({**HEADER, "poison": True, key: value}, [["open"]]))
    with (
        LinuxTarget(SUITE) as other,
        pytest.raises(KernelUnavailable, match="no persistent memory"),
    ):
        list(other.play({**HEADER, "poison": True}, [POISON]))


def test_a_load_that_fails_for_good_is_reported_as_success(target: LinuxTarget) -> None:
    shown = reproduce(finding_named("unreadable-superblock-loads"), target)
    assert shown.shown
    assert "AND NOTHING IS LOADED: EIO is due" in shown.lines[-1]

"""A live kernel beside the reference: random traces, judged while the next are being played."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from writecache_impl.judging import Judges
from writecache_impl.linux import LinuxTarget
from writecache_impl.recording import HungError, record
from writecache_models.judge import Report, judge
from writecache_models.shrink import shrink
from writecache_models.vectors import Op, Trace
from writecache_models.workloads import generate
from writecache_spec.profile import Profile

MOST_WAITING = 8
"""Recorded traces that may wait to be judged."""


@dataclass(slots=True)
class LiveResult:
    """What became of a live kernel."""

    kernel: str
    """As it was named."""
    release: str
    target: str
    reports: list[Report] = field(default_factory=list)
    diverged: list[Trace] = field(default_factory=list)
    """As they were recorded."""
    hangs: int = 0
    """Traces that ended because the kernel did not come back from an operation."""
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """Judged and explained."""
        return sum(report.steps for report in self.reports)

    def as_json(self) -> dict[str, Any]:
        """The numbers."""
        return {
            "kernel": self.kernel,
            "release": self.release,
            "target": self.target,
            "traces": len(self.reports),
            "steps": self.steps,
            "non_canonical": sum(len(report.deviations) for report in self.reports),
            "panics": sum(report.panics for report in self.reports),
            "hangs": self.hangs,
            "divergences": len(self.diverged),
            "seconds": round(self.seconds, 1),
        }


def judge_kernel(
    kernel: str,
    *,
    modules: str | None,
    seconds: float,
    max_steps: int | None,
    seed: str,
    profile: Profile | None,
    progress: Callable[[float], None],
) -> LiveResult:
    """Play random traces for a time and judge them; ends early at a divergence.

    Raises KernelUnavailable, KernelDied or KernelHung where there is no kernel to be judged.
    """
    with LinuxTarget(kernel, modules=modules) as target, Judges() as judges:
        result = LiveResult(kernel, target.kernel_version, target.target_version)
        waiting: list[tuple[Trace, Future[Report]]] = []
        started = time.monotonic()
        number = played = 0
        while not result.diverged:
            elapsed = time.monotonic() - started
            progress(elapsed)
            if elapsed >= seconds or (max_steps is not None and played >= max_steps):
                break
            trace = generate(f"{seed}-{number}", target=result.target)
            number += 1
            try:
                trace = record(target, trace)
            except HungError as hang:
                trace = hang.trace
                result.hangs += 1
            if trace.steps:
                played += len(trace.steps)
                waiting.append((trace, judges.submit(trace, profile)))
            _collect(waiting, result, MOST_WAITING)
        _collect(waiting, result, 0)
        result.seconds = time.monotonic() - started
    return result


def _collect(waiting: list[tuple[Trace, Future[Report]]], result: LiveResult, allowed: int) -> None:
    """Take finished judgements, and wait until no more than so many are left."""
    while waiting and (len(waiting) > allowed or waiting[0][1].done()):
        trace, future = waiting.pop(0)
        report = future.result()
        result.reports.append(report)
        if report.divergence or report.problem:
            result.diverged.append(trace)


def smallest(
    result: LiveResult, modules: str | None, profile: Profile | None
) -> tuple[Trace, Report]:
    """The least part of the first divergence that still diverges on the live kernel."""
    trace = result.diverged[0]
    best = (trace, judge(trace, profile))
    # Nothing after the first step that diverges matters.
    first = best[1].divergence.step + 1 if best[1].divergence else len(trace.steps)

    with LinuxTarget(result.kernel, modules=modules) as target:

        def shows(ops: list[Op]) -> bool:
            nonlocal best
            try:
                recorded = record(target, replace(trace, steps=()), ops)
            except HungError:
                return False
            report = judge(recorded, profile)
            if report.divergence is None:
                return False
            best = (recorded, report)
            return True

        shrink(trace.ops[:first], shows)
    return best

"""A live kernel beside the reference: random traces, judged while the next are being played."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from writecache_impl.judging import Judges
from writecache_impl.linux import UNUSABLE, BootOptions, KernelUnavailable, LinuxTarget, one_line
from writecache_impl.logging_kernels import can_be_logged, kinds_of_logs
from writecache_impl.recording import HungError, record
from writecache_models.judge import Report, judge
from writecache_models.shrink import shrink
from writecache_models.trace import NO_LOGS
from writecache_models.vectors import Op, Trace
from writecache_models.workloads import generate
from writecache_spec.profile import Profile, profile_for_kernel

MOST_WAITING = 8
"""Recorded traces that may wait to be judged."""
LONGEST_OPERATION = 20.0
"""Seconds."""
AFTER_ERRORS = 6.0
"""The same where I/O fails: there an operation may never end, and that is met again and again."""
FAILING = "failing"
"""The family of workloads whose I/O fails."""
_Waiting = list[tuple[Trace, Future[Report]]]


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
    log_entries: int = 0
    """Of logs of what was written, in all traces."""
    hangs: int = 0
    """Traces that ended because the kernel did not come back from an operation."""
    problem: str | None = None
    """Why the kernel could not be used to the end, in a line."""
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
            "log_entries": self.log_entries,
            "panics": sum(report.panics for report in self.reports),
            "hangs": self.hangs,
            "divergences": len(self.diverged),
            "problem": self.problem,
            "seconds": round(self.seconds, 1),
        }


def judge_kernel(
    kernel: str,
    *,
    modules: str | None,
    seconds: float,
    max_steps: int | None,
    seed: str,
    family: str | None,
    io_order: bool = False,
    profile: Profile | None,
    progress: Callable[[float], None],
) -> LiveResult:
    """Play random traces for a time, of one family or all, and judge them; a divergence ends it.

    With `io_order` what is written is logged and judged, too, in one way after the other.

    Raises one of `linux.UNUSABLE` where there is no kernel to be judged.
    """
    op_seconds = AFTER_ERRORS if family == FAILING else LONGEST_OPERATION
    options = BootOptions(logs=io_order)
    with (
        LinuxTarget(kernel, modules=modules, op_seconds=op_seconds, options=options) as target,
        Judges() as judges,
    ):
        if profile is None:
            check_release(target)
        result = LiveResult(kernel, target.kernel_version, target.target_version)
        memory = target.has_memory
        logs = kinds_of_logs(target) if io_order else (NO_LOGS,)
        waiting: _Waiting = []
        started = time.monotonic()
        number = played = 0
        while not result.diverged and result.problem is None:
            elapsed = time.monotonic() - started
            progress(elapsed)
            if elapsed >= seconds or (max_steps is not None and played >= max_steps):
                break
            drawn = generate(f"{seed}-{number}", family, result.target, memory)
            kind = logs[number % len(logs)]
            number += 1
            if not can_be_logged(drawn, kind):
                continue
            trace = _played(target, drawn.with_logs(kind), result)
            result.log_entries += n_logged(trace)
            if trace.steps:
                played += len(trace.steps)
                waiting.append((trace, judges.submit(trace, profile)))
            _collect(waiting, result, MOST_WAITING)
        _collect(waiting, result, 0)
        result.seconds = time.monotonic() - started
    return result


def n_logged(trace: Trace) -> int:
    """How many entries of logs were seen in a trace."""
    logs = (seen.get("log", {}) for _, seen in trace.steps)
    return sum(len(entries) for log in logs for entries in log.values())


def check_release(target: LinuxTarget) -> None:
    """Raise KernelUnavailable for a kernel whose release does not say which profile is its own."""
    try:
        profile_for_kernel(target.kernel_version, target.target_version)
    except ValueError:
        release = target.kernel_version
        raise KernelUnavailable(
            f"its release {release!r} tells no version: name a profile"
        ) from None


def _played(target: LinuxTarget, trace: Trace, result: LiveResult) -> Trace:
    """Record a trace, as far as it goes."""
    try:
        return record(target, trace)
    except HungError as hang:
        result.hangs += 1
        return hang.trace
    except UNUSABLE as error:
        # What was played before is judged all the same.
        result.problem = one_line(error)
        return replace(trace, steps=())


def _collect(waiting: _Waiting, result: LiveResult, allowed: int) -> None:
    """Take finished judgements, and wait until no more than so many are left."""
    while waiting and (len(waiting) > allowed or waiting[0][1].done()):
        trace, future = waiting.pop(0)
        report = future.result()
        result.reports.append(report)
        if report.divergence or report.problem:
            result.diverged.append(trace)


def cut(trace: Trace, report: Report) -> Trace:
    """The trace up to its divergence: nothing after it matters."""
    if report.divergence is None:
        return trace
    return replace(trace, steps=trace.steps[: report.divergence.step + 1])


def smallest(
    result: LiveResult, modules: str | None, profile: Profile | None
) -> tuple[Trace, Report]:
    """The least part of the first divergence that still diverges on the live kernel.

    Where there is no kernel to go on with, the least part found until then.
    """
    trace = result.diverged[0]
    report = judge(trace, profile)
    best = (cut(trace, report), report)
    if report.divergence is None:
        return best

    def shows(ops: list[Op]) -> bool:
        nonlocal best
        try:
            recorded = record(target, replace(trace, steps=()), ops)
        except HungError as hang:
            recorded = hang.trace
        report = judge(recorded, profile)
        if report.divergence is None:
            return False
        best = (cut(recorded, report), report)
        return True

    with suppress(OSError, *UNUSABLE), LinuxTarget(result.kernel, modules=modules) as target:
        shrink(best[0].ops, shows)
    return best

"""Judging recorded traces: is each of their steps something that the reference does?"""

import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from writecache_models.checker import Checker
from writecache_models.kept import violated_target
from writecache_models.observations import UnusableStepError, profile_of
from writecache_models.trace import BEGIN, Observation, Op, Trace
from writecache_spec.profile import PROFILES, Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first step of a trace that no schedule of the reference explains."""

    step: int
    """Counted from 0."""
    op: Op
    seen: Observation
    expected: Observation
    """By the canonical schedule."""
    schedules: int
    """How many were tried in vain."""

    def differences(self) -> dict[str, tuple[Any, Any]]:
        """Keys that differ, with what was seen and what was expected."""
        keys = [*self.seen, *(key for key in self.expected if key not in self.seen)]
        return {
            key: (self.seen.get(key), self.expected.get(key))
            for key in keys
            if self.seen.get(key) != self.expected.get(key)
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of one trace."""

    name: str
    kernel: str | None
    profile: str
    steps: int
    """Judged and explained."""
    schedules: int
    """Tried in all."""
    panics: int
    operations: Counter[str] = field(default_factory=Counter)
    deviations: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """The choices of each step that needed another than the canonical schedule."""
    divergence: Divergence | None = None
    problem: str | None = None
    """Why the rest of the trace could not be judged: it is not a trace of this format."""


def judge(trace: Trace, profile: Profile | None = None) -> Report:
    """Judge a trace, by default as the kernel that its header names."""
    profile = profile or profile_of(trace)
    checker = Checker(trace, profile)
    operations: Counter[str] = Counter()
    deviations: Mapping[int, tuple[int, ...]] = {}
    schedules = panics = 0
    divergence = problem = None
    violated = violated_target(trace)
    if violated is not None:
        whose = shlex.quote(violated or "TARGET")
        problem = f"a kept violation, and no recorded trace: --target {whose} plays it again"
    for number, (op, seen) in enumerate(trace.steps if problem is None else ()):
        if not seen and op[0] != BEGIN:
            problem = f"step {number}: nothing was seen of it: the trace has not been recorded"
            break
        try:
            verdict = checker.step(op, seen)
        except UnusableStepError as error:
            problem = f"step {number}: {error}"
            break
        schedules += verdict.schedules
        if not verdict.explained:
            divergence = Divergence(
                step=number,
                op=op,
                seen=seen,
                expected=verdict.expected,
                schedules=verdict.schedules,
            )
            break
        operations[op[0]] += 1
        deviations = checker.candidates[0].deviations
        panics += bool(seen.get("panic"))
        if seen.get("panic") or seen.get("hang"):
            break
    return Report(
        name=trace.name,
        kernel=trace.kernel,
        profile=profile.name,
        steps=operations.total(),
        schedules=schedules,
        panics=panics,
        operations=operations,
        deviations=deviations,
        divergence=divergence,
        problem=problem,
    )


def with_schedules(trace: Trace, report: Report) -> Trace:
    """The trace, with the choices that its judging found written to its steps."""
    steps = tuple(
        (op, {**seen, "schedule": list(report.deviations[number])})
        if number in report.deviations
        else (op, {key: value for key, value in seen.items() if key != "schedule"})
        for number, (op, seen) in enumerate(trace.steps)
    )
    return replace(trace, steps=steps)


def profile_named(name: str) -> Profile:
    """A profile by its name; raises ValueError that lists the names."""
    if name not in PROFILES:
        raise ValueError(f"no profile {name!r}: there are {', '.join(PROFILES)}")
    return PROFILES[name]

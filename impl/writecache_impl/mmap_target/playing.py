"""The engine beside the repaired reference: random traces, and what kernels were recorded to do.

What the engine shows after each step (status, table, errno, messages, data, both devices' bytes)
has to be what some schedule of the repaired reference shows.  Of a kernel's vector that is asked,
too; and besides, how far the engine does what the kernel did, which ends where a repair acts.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Final

from writecache_impl.engine.construct import FASTEST
from writecache_impl.engine.entries import Entries
from writecache_impl.mmap_target.player import PROFILE, play
from writecache_models.actions import HangError, PanicError
from writecache_models.conformance.exact import logged_without_fua
from writecache_models.judge import Report, judge
from writecache_models.observations import new_machine, observe, perform, profile_of
from writecache_models.shrink import shrink
from writecache_models.trace import BEGIN, Observation, Op, Trace
from writecache_models.workloads import generate
from writecache_models.workloads.memory import in_memory
from writecache_spec.profile import PROFILES, Profile

_PMEM: Final = PROFILES["1.6.0-6.1-amd64"]
_FLAVOURS: Final = ("plain", "plain", "logged", "failing", "pmem")
"""Of traces, in turn: as they are drawn; with logs of what is written, whose order is compared;
with disks that fail; in persistent-memory mode."""


@dataclass(slots=True)
class Played:
    """What became of the engine."""

    reports: list[Report] = field(default_factory=list)
    diverged: list[tuple[Trace, Report]] = field(default_factory=list)
    """As they were played."""
    log_entries: int = 0
    """Of what was written, whose order has been compared."""
    seconds: float = 0.0

    @property
    def steps(self) -> int:
        """Judged and explained."""
        return sum(report.steps for report in self.reports)

    def take(self, trace: Trace, report: Report) -> None:
        """One more trace has been judged."""
        self.reports.append(report)
        logs = (seen.get("log", {}) for _, seen in trace.steps)
        self.log_entries += sum(len(log) for step in logs for log in step.values())
        if report.divergence or report.problem:
            self.diverged.append((trace, report))

    def as_json(self) -> dict[str, Any]:
        """The numbers."""
        return {
            "traces": len(self.reports),
            "steps": self.steps,
            "non_canonical": sum(len(report.deviations) for report in self.reports),
            "log_entries": self.log_entries,
            "divergences": len(self.diverged),
            "seconds": round(self.seconds, 1),
        }


@dataclass(slots=True)
class Replayed(Played):
    """What became of kernels' vectors."""

    as_recorded: int = 0
    """Steps at which the engine did what the kernel did, from each trace's beginning on."""
    left_out: int = 0
    """Steps behind the first one at which it did not."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Why, by trace."""

    def as_json(self) -> dict[str, Any]:
        """The numbers."""
        return {
            **Played.as_json(self),
            "as_recorded": self.as_recorded,
            "left_out": self.left_out,
            "reasons": self.reasons,
        }


def profile_for(trace: Trace) -> Profile:
    """The kernel whose tables a drawn trace is written in."""
    return _PMEM if trace.table.lower().startswith("p") else PROFILE


def draw(seed: str, number: int, family: str | None = None) -> Trace:
    """The trace of this number."""
    flavour = _FLAVOURS[number % len(_FLAVOURS)]
    if family is None and flavour == "failing":
        family = flavour
    trace = generate(f"{seed}-{number}", family)
    if family is not None or flavour == "plain":
        return trace
    if flavour == "logged":
        return logged_without_fua(trace)
    return in_memory(trace, ("", "fua", "nofua")[number % 3])


def kind_for(number: int) -> type[Entries]:
    """With numpy and without, in turn."""
    return FASTEST if number % 2 else Entries


def judge_engine(
    *,
    seed: str,
    seconds: float,
    max_steps: int | None = None,
    family: str | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Played:
    """Play and judge random traces for a time; a divergence ends it."""
    result = Played()
    started = time.monotonic()
    number = 0
    while not result.diverged:
        result.seconds = time.monotonic() - started
        progress(result.seconds)
        if result.seconds >= seconds or (max_steps is not None and result.steps >= max_steps):
            break
        drawn = draw(seed, number, family)
        profile = profile_for(drawn)
        trace = play(drawn, profile, kind_for(number))
        result.take(trace, judge(trace, profile.repaired()))
        number += 1
    return result


def smallest(trace: Trace) -> tuple[Trace, Report]:
    """The least part of a trace that still diverges."""
    profile = profile_for(trace)
    best = trace, judge(trace, profile.repaired())

    def shows(ops: list[Op]) -> bool:
        nonlocal best
        played = play(replace(trace, steps=tuple((op, {}) for op in ops)), profile)
        report = judge(played, profile.repaired())
        if report.divergence is None:
            return False
        best = played, report
        return True

    shrink(trace.ops, shows, tries=100)
    return best


def replay_vectors(
    traces: Iterable[Trace], progress: Callable[[float], None] = lambda _: None
) -> Replayed:
    """Play what kernels of version 1.6.0 were recorded to do.

    Traces that the engine does not play to their end as they were recorded are judged by the
    repaired reference: it has to do the same as the engine.
    """
    result = Replayed()
    started = time.monotonic()
    for recorded in traces:
        if recorded.target != "1.6.0":
            continue
        recorded = _without_logs(recorded)
        profile = profile_of(recorded)
        played = play(recorded, profile)
        n_same = _agreeing(recorded, played)
        result.as_recorded += n_same
        result.left_out += len(recorded.steps) - n_same
        progress(len(recorded.steps))
        if n_same < len(recorded.steps):
            result.take(played, judge(played, profile.repaired()))
            reason = _reason(recorded, n_same, profile)
            result.reasons[reason] = result.reasons.get(reason, 0) + 1
    result.seconds = time.monotonic() - started
    return result


def _without_logs(recorded: Trace) -> Trace:
    """A kernel's order of I/O has FUA in it, and that of its threads."""
    steps = tuple(
        (op, {key: value for key, value in seen.items() if key != "log"})
        for op, seen in recorded.steps
    )
    extra = {key: value for key, value in recorded.extra.items() if key != "logs"}
    return replace(recorded, steps=steps, extra=extra)


def _agreeing(recorded: Trace, played: Trace) -> int:
    """At how many steps, from the first on, the same was seen."""
    number = 0
    for (op, seen), (other_op, other) in zip(recorded.steps, played.steps, strict=False):
        expected = {key: value for key, value in seen.items() if key != "schedule"}
        if op != other_op or expected != other:
            break
        number += 1
    return number


def _reason(recorded: Trace, step: int, profile: Profile) -> str:
    """Why a kernel's step is not what the engine did."""
    op, seen = recorded.steps[step]
    if op[0] == BEGIN:
        return "an origin that is slow"
    if seen.get("panic") or seen.get("hang"):
        return "a repair acts: the kernel dies or hangs"
    lines = [_canonical(recorded, step, one) for one in (profile, profile.repaired())]
    return "another schedule" if lines[0] == lines[1] else "a repair acts"


def _canonical(recorded: Trace, step: int, profile: Profile) -> list[Observation]:
    """What the reference shows up to a step, by the canonical schedule."""
    machine = new_machine(recorded, profile)
    shown: list[Observation] = []
    for op, _ in recorded.steps[: step + 1]:
        try:
            shown.append(observe(machine, op, perform(machine, op, recorded.table)))
        except (PanicError, HangError) as death:
            return [*shown, {"panic": repr(death)}]
    return shown

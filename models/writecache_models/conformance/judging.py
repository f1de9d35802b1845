"""Judging a target for a time: stories, and the least part of the first that shows a violation."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from writecache_models.conformance.exact import draw_exact, play_exact
from writecache_models.conformance.needs import claims_problem
from writecache_models.conformance.playing import play
from writecache_models.conformance.stories import draw
from writecache_models.conformance.target import (
    Ability,
    Facts,
    Level,
    Target,
    UnavailableError,
)
from writecache_models.conformance.verdicts import Tally, Verdict
from writecache_models.shrink import shrink
from writecache_models.trace import TARGETS_OWN, Op, Trace


class Renewed:
    """A target that is made anew when it has been lost."""

    def __init__(self, make: Callable[[], Target]) -> None:
        """Make it; raises UnavailableError."""
        self._make = make
        self._target: Target | None = make()
        self.facts: Facts = self._target.facts
        if problem := claims_problem(self.facts):
            self._let_go()
            raise UnavailableError(f"{self.facts.name}: {problem}")

    def __enter__(self) -> "Renewed":
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()

    def _let_go(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target.close()

    @property
    def target(self) -> Target:
        """The target, alive; raises UnavailableError."""
        if self._target is None:
            self._target = self._make()
        return self._target

    def is_exact(self, trace: Trace) -> bool:
        """Whether a trace is judged step by step, by the reference; else by the contract."""
        own = any(op[0] in TARGETS_OWN for op in trace.ops)
        return self.facts.level >= Level.EXACT and not own

    def play(self, trace: Trace) -> Verdict:
        """Play a trace and judge it; raises UnavailableError."""
        verdict = (play_exact if self.is_exact(trace) else play)(self.target, trace)
        if verdict.violation is not None and verdict.violation.is_lost:
            self._let_go()
        return verdict

    def story(self, seed: str, number: int) -> Trace:
        """The trace of this number: a story, or at level 3 in turn what kernels are asked."""
        target, seed = self.target, f"{seed}-{number}"
        if self.facts.level >= Level.EXACT and number % 2:
            return draw_exact(seed, target)
        return draw(seed, self.facts, target.fixed_sectors, target.block_size)


@dataclass(slots=True, kw_only=True)
class Judged(Tally):
    """What became of a target."""

    facts: Facts
    traces: int = 0
    violated: Verdict | None = None
    """The first, as it came."""

    @property
    def own_ms_a_step(self) -> float:
        """What judging costs."""
        return 1000 * self.own_seconds / max(1, self.steps)

    @property
    def unused(self) -> list[Ability]:
        """What it says that it can do, and was never asked for."""
        return sorted(self.facts.abilities - self.used)

    def take(self, verdict: Verdict) -> None:
        """One more trace has been judged."""
        self.traces += 1
        self.add(verdict)
        if self.violated is None and verdict.violation is not None:
            self.violated = verdict

    def as_json(self) -> dict[str, Any]:
        """The numbers."""
        return {
            "name": self.facts.name,
            "level": int(self.facts.level),
            "can": sorted(self.facts.abilities),
            "traces": self.traces,
            "steps": self.steps,
            "sectors": self.sectors,
            "crashes": self.crashes,
            "images": self.images,
            "unused": [one.value for one in self.unused],
            "left_out": dict(sorted(self.left_out.items())),
            "target_seconds": round(self.target_seconds, 1),
            "own_ms_a_step": round(self.own_ms_a_step, 3),
            "violation": self.violated and _violation_json(self.violated),
        }


def _violation_json(verdict: Verdict) -> dict[str, Any]:
    assert verdict.violation is not None
    trace, (step, what, is_lost) = verdict.trace, verdict.violation
    op = None if step is None else trace.steps[step][0]
    return {"trace": trace.name, "step": step, "op": op, "what": what, "lost": is_lost}


def judge_stories(
    renewed: Renewed,
    *,
    seed: str,
    seconds: float,
    max_steps: int | None = None,
    progress: Callable[[float], None] = lambda _: None,
) -> Judged:
    """Play stories for a time; a violation ends it.  Raises UnavailableError."""
    judged = Judged(facts=renewed.facts)
    started = time.monotonic()
    while judged.violated is None:
        elapsed = time.monotonic() - started
        progress(elapsed)
        if elapsed >= seconds or (max_steps is not None and judged.steps >= max_steps):
            break
        judged.take(renewed.play(renewed.story(seed, judged.traces)))
    return judged


def smallest(renewed: Renewed, found: Verdict, seconds: float = 30.0) -> Verdict:
    """The least part of a violated trace that still shows a violation, as far as time goes."""
    best, begun = found, replace(found.trace, cache_image=b"", origin_image=b"")
    deadline = time.monotonic() + seconds

    def shows(ops: list[Op]) -> bool:
        nonlocal best
        if time.monotonic() > deadline:
            return False
        try:
            verdict = renewed.play(replace(begun, steps=tuple((op, {}) for op in ops)))
        except UnavailableError:
            return False
        if verdict.violation is None:
            return False
        best = verdict
        return True

    # First as if it had begun with new devices.
    if not shows(found.trace.ops):
        begun = found.trace
    if begun is not found.trace or shows(found.trace.ops):
        shrink(best.trace.ops, shows)
    return best

"""The checker: whether what was seen is something that the reference does.

It carries the *set* of machines that fit everything seen so far: nearly always one.  At each step
they do the operation by the canonical schedule (`kernel`), or by the one that the trace itself
names.  Where that does not fit, a choice was made otherwise: in this step, or in one before it
without showing.  So the last `MAXIMUM_CHECKPOINTS` steps that had a choice are taken up again, the
latest first; schedules that are nearly canonical come first (`schedules`); all machines that fit
are kept, and everything since is judged anew.

The search is bounded, in three rounds, by `EFFORTS`: states between the pieces of a write, or ways
in which another operation can settle.  What was tried is counted.  A step that nothing explains is
a *divergence*.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

from writecache_models.actions import ChoiceError
from writecache_models.machine import Machine
from writecache_models.observations import agrees, new_machine
from writecache_models.schedules import Recorded
from writecache_models.vectors import Observation, Op, Trace
from writecache_spec.profile import Profile

EFFORTS: Final = (64, 1024, 4096)
"""States of a write, or ways to settle, that are tried on one machine: first, then, at last."""
MAXIMUM_CHECKPOINTS: Final = 12
"""Earlier steps that can be taken up again."""
MAXIMUM_MACHINES: Final = 16
"""Machines that are carried from one step to the next."""
MAXIMUM_FITTING: Final = 128
"""Machines that fit a step that is taken up again, with which the later ones are judged anew."""


@dataclass(slots=True)
class Verdict:
    """What became of one step."""

    explained: bool = False
    schedules: int = 0
    """How many were tried."""
    expected: Observation = field(default_factory=dict)
    """What the canonical schedule would have shown."""


class Candidate(NamedTuple):
    """A machine that fits everything seen so far, and how it came to be so."""

    machine: Machine
    deviations: Mapping[int, tuple[int, ...]]
    """The choices made, by step, where the schedule was not the canonical one."""


class _Checkpoint(NamedTuple):
    """A step at which there was a choice that the canonical schedule made."""

    number: int
    candidates: list[Candidate]
    """As they were before it."""


class Checker:
    """Judges one trace's observations, step by step."""

    def __init__(self, trace: Trace, profile: Profile) -> None:
        self.trace = trace
        self.candidates = [Candidate(new_machine(trace, profile), {})]
        """Those with the fewest deviations first."""
        self._steps: list[Recorded] = []
        self._checkpoints: list[_Checkpoint] = []

    def step(self, op: Op, seen: Observation) -> Verdict:
        """Judge one observation; raises UnusableStepError."""
        number = len(self._steps)
        self._steps.append(Recorded(op, seen, self.trace.table))
        verdict = Verdict()
        pristine = [Candidate(one.machine.fork(), one.deviations) for one in self.candidates]
        if "schedule" in seen:
            kept, had_choice = self._as_recorded(number, verdict), True
        else:
            kept, had_choice = self._canonical(self.candidates, number, verdict)
        if had_choice:
            self._checkpoints = [
                *self._checkpoints[1 - MAXIMUM_CHECKPOINTS :],
                _Checkpoint(number, pristine),
            ]
        if not kept:
            kept = self._reconsider(number, verdict)
        verdict.explained = bool(kept)
        self.candidates = kept
        return verdict

    def _canonical(
        self, candidates: list[Candidate], number: int, verdict: Verdict
    ) -> tuple[list[Candidate], bool]:
        """Let every candidate do an operation canonically; also whether any met a choice."""
        step = self._steps[number]
        kept = []
        had_choice = False
        for candidate in candidates:
            expected = step.perform(candidate.machine, ())
            if not verdict.schedules:
                verdict.expected = expected
            verdict.schedules += 1
            had_choice |= bool(candidate.machine.alternatives)
            if agrees(expected, step.seen):
                kept.append(candidate)
        return kept, had_choice

    def _as_recorded(self, number: int, verdict: Verdict) -> list[Candidate]:
        """Try the schedule that the trace itself names."""
        step = self._steps[number]
        choices = tuple(step.seen["schedule"])
        kept = []
        for candidate in self.candidates:
            machine = candidate.machine.fork()
            verdict.schedules += 1
            try:
                expected = step.perform(machine, choices)
            except ChoiceError:
                continue
            if agrees(expected, step.seen):
                kept.append(Candidate(machine, {**candidate.deviations, number: choices}))
        return kept

    def _explore(
        self, candidates: list[Candidate], number: int, verdict: Verdict, effort: int
    ) -> list[Candidate]:
        """Try the schedules of one step on every candidate."""
        kept: list[Candidate] = []
        for candidate in candidates:
            fitting = self._explore_one(candidate, number, verdict, effort)
            kept += islice(fitting, MAXIMUM_FITTING)
        return _distinct(kept, MAXIMUM_FITTING)

    def _explore_one(
        self, candidate: Candidate, number: int, verdict: Verdict, effort: int
    ) -> Iterator[Candidate]:
        step = self._steps[number]
        fitting: set[int] = set()
        for choices, after, expected in step.schedules(candidate.machine, effort):
            verdict.schedules += 1
            if agrees(expected, step.seen):
                # Most that fit will do the same from now on: the first stands for them.
                if (does := after.fingerprint()) in fitting:
                    continue
                fitting.add(does)
                deviations = candidate.deviations
                if any(choices):
                    deviations = {**deviations, number: choices}
                yield Candidate(after, deviations)

    def _reconsider(self, number: int, verdict: Verdict) -> list[Candidate]:
        """Take up choices again, the latest first, and judge anew what came after each."""
        for effort in EFFORTS:
            for position in reversed(range(len(self._checkpoints))):
                taken_up, candidates = self._checkpoints[position]
                kept = self._explore(candidates, taken_up, verdict, effort)
                since: list[_Checkpoint] = []
                for again in range(taken_up + 1, number + 1):
                    kept, checkpoint = self._again(kept, again, verdict, effort)
                    since += [checkpoint] if checkpoint else []
                if kept:
                    self._checkpoints[position + 1 :] = since
                    return kept[:MAXIMUM_MACHINES]
        return []

    def _again(
        self, candidates: list[Candidate], number: int, verdict: Verdict, effort: int
    ) -> tuple[list[Candidate], _Checkpoint | None]:
        """Judge a later step anew: canonically, or if that does not fit by other schedules."""
        forks = [Candidate(one.machine.fork(), one.deviations) for one in candidates]
        kept, had_choice = self._canonical(forks, number, verdict)
        if not had_choice:
            return kept, None
        checkpoint = _Checkpoint(number, candidates)
        return kept or self._explore(candidates, number, verdict, effort), checkpoint


def _distinct(candidates: list[Candidate], limit: int) -> list[Candidate]:
    """Candidates without those that will do the same as one with fewer deviations."""
    distinct: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: len(one.deviations)):
        if len(distinct) == limit:
            break
        if not any(candidate.machine.same_as(other.machine) for other in distinct):
            distinct.append(candidate)
    return distinct

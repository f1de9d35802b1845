"""Judging theorems: one at a time, whatever comes of it.

What a theorem comes to is data that can be printed and sent between processes.  Nothing that goes
wrong is lost: a limit that was met, an operation that the executor does not know, or a disagreement
between the executor and Python is a *problem* of the theorem, and never counts as held.
"""

import time
from contextlib import nullcontext
from typing import Any, Literal, NamedTuple

from writecache_models.mutants import Edit, Mutant, PlantError, planted
from writecache_proofs.second_solver import Counts, SecondSolver
from writecache_proofs.symbolic import (
    DisagreementError,
    Limits,
    NotDecidedError,
    UnboundedError,
    UnsupportedError,
    Verdict,
    replay,
    verify,
)
from writecache_proofs.symbolic.engine import Recorder
from writecache_proofs.symbolic.run import UnmetError
from writecache_proofs.theorem import Check, Kind, Theorem, Twin


class Options(NamedTuple):
    """How theorems are judged."""

    seconds: float = 60.0
    """Of the processor, for each theorem and for each twin; more is a failure."""
    twins: bool = True
    second_solver: bool = False
    second_seconds: float = 10.0
    """For each question to the second solver."""


DEEP = 20
"""How many times as long a deep theorem may take."""


class TwinOutcome(NamedTuple):
    """What came of a twin."""

    words: str
    fine: bool
    """Whether it is as it must be."""
    what: str
    """The claim that failed; or why the twin is not as it must be."""
    values: dict[str, int]
    """The counterexample; or the witness of what holds."""
    finding: str | None = None
    verdict: Literal["refuted", "held"] = "refuted"
    """What it must be: a broken twin refuted; what ships, beside a theorem of necessity, held."""


class Outcome(NamedTuple):
    """What came of a theorem."""

    family: str
    name: str
    statement: str
    kind: Kind
    bound: str
    held: bool
    problem: str
    """Why it does not hold, or was not decided; empty where it holds."""
    undecided: bool
    """Whether that is for want of time or of means."""
    seconds: float
    n_paths: int = 0
    n_queries: int = 0
    witness: dict[str, int] = {}  # noqa: RUF012 - never changed
    counterexample: dict[str, int] = {}  # noqa: RUF012 - never changed
    twins: tuple[TwinOutcome, ...] = ()
    second: Counts | None = None

    @property
    def fine(self) -> bool:
        """Whether the theorem holds and all that was asked for beside."""
        return self.held and all(twin.fine for twin in self.twins)


_NO_VERDICT = (
    NotDecidedError,
    UnboundedError,
    UnsupportedError,
    DisagreementError,
    UnmetError,
    PlantError,
)


def judge_theorem(theorem: Theorem, options: Options) -> Outcome:
    """Judge one theorem, and its twins where that is asked for."""
    if theorem.deep:
        options = options._replace(seconds=options.seconds * DEEP)
    started = time.process_time()
    second = SecondSolver(options.second_seconds) if options.second_solver else None
    verdict, problem = _verdict(theorem.check, theorem.edits, options, second)
    # What asking again takes is not the theorem's time.
    seconds = time.process_time() - started - (second.spent if second else 0.0)
    undecided = verdict is None
    if verdict is not None:
        problem = _problem(theorem, verdict)
        if not problem and seconds > options.seconds:
            problem = f"took {seconds:.0f} s, more than {options.seconds:.0f} s"
    counterexample = verdict.counterexample if verdict else None
    twins = tuple(_judge_twin(theorem, twin, options) for twin in theorem.twins)
    return Outcome(
        theorem.family,
        theorem.name,
        theorem.statement,
        theorem.kind,
        theorem.bound,
        held=not problem,
        problem=problem,
        undecided=undecided,
        seconds=seconds,
        n_paths=verdict.n_paths if verdict else 0,
        n_queries=verdict.n_queries if verdict else 0,
        witness=dict(verdict.witness or {}) if verdict else {},
        counterexample=dict(counterexample.values) if counterexample else {},
        twins=twins if options.twins else (),
        second=second.counts if second else None,
    )


def _verdict(
    check: Check, edits: tuple[Edit, ...], options: Options, recorder: Recorder | None = None
) -> tuple[Verdict | None, str]:
    """What came of a property with edits in place; or why nothing did."""
    try:
        with _with_edits(edits):
            return verify(check, Limits(seconds=options.seconds), recorder), ""
    except _NO_VERDICT as error:
        return None, f"{type(error).__name__}: {error}"


def _with_edits(edits: tuple[Edit, ...]) -> Any:
    return planted(Mutant("twin", "a twin", edits)) if edits else nullcontext()


def _problem(theorem: Theorem, verdict: Verdict) -> str:
    """Why a theorem does not hold; empty where it does."""
    found = verdict.counterexample
    if theorem.kind is Kind.NECESSARY:
        if found is None:
            return "nothing fails without it"
        without = replay(theorem.check, found.values)
        return f"it fails with it, too: {without}" if without else ""
    if found is not None:
        return f"refuted: {found.what}"
    if verdict.witness is None:
        return "vacuous: no claim is ever met"
    return ""


def _judge_twin(theorem: Theorem, twin: Twin, options: Options) -> TwinOutcome:
    if not options.twins:
        return TwinOutcome(twin.words, False, "not judged", {}, twin.finding)
    check = twin.check or theorem.check
    verdict, problem = _verdict(check, twin.edits, options)
    if verdict is None:
        return TwinOutcome(twin.words, False, problem, {}, twin.finding)
    found = verdict.counterexample
    if theorem.kind is Kind.NECESSARY:
        # The other way round: as it ships, the property must hold.
        what = "holds" if found is None else f"fails as it ships: {found.what}"
        values = found.values if found else verdict.witness or {}
        return TwinOutcome(twin.words, found is None, what, dict(values), verdict="held")
    if found is None:
        return TwinOutcome(twin.words, False, "holds, and should not", {}, twin.finding)
    if twin.edits and (still := _fails_unplanted(check, found.values)):
        return TwinOutcome(twin.words, False, f"fails unplanted: {still}", found.values)
    return TwinOutcome(twin.words, True, found.what, found.values, twin.finding)


def _fails_unplanted(check: Check, values: dict[str, int]) -> str | None:
    """What fails without the mistake on the values that show it; nothing should."""
    try:
        return replay(check, values)
    except UnmetError:
        # The mistake leads to states that the shipped function never meets.
        return None

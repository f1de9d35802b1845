"""Paths: what a run decides, in which order all paths are met, and what the solver is asked.

A path is a list of decisions.  A run follows the decisions that it was given and from there on
takes, at each truth test, an answer that can be, remembering the other if that can be, too.  Paths
are met depth first.  The solver keeps what two paths have in common; that a repeated run asks the
same questions in the same order is checked, not trusted.

Every loop of the subject tests a truth in each turn, so that one which has no end on some input is
a path without end: more decisions than the limit are a failure, never a bound that is taken on
trust.  What the solver cannot decide in time is a failure, too.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import z3

from writecache_proofs.symbolic.numbers import FIT, HASHING
from writecache_proofs.symbolic.terms import TRUE, negated, settled
from writecache_proofs.symbolic.truth import DECIDER, UnsupportedError

Recorder = Callable[[Sequence[Any]], None]
"""Takes what the solver found to be contradictory."""


class Limits(NamedTuple):
    """Beyond which a proof has failed."""

    seconds: float = 60.0
    """Of the processor: what else the machine does is of no account."""
    paths: int = 200_000
    decisions: int = 4_000
    """On one path."""


class NoVerdictError(Exception):
    """The run cannot go on; nothing is said of the property."""


class UnboundedError(NoVerdictError):
    """A path, or the number of paths, has no end within the limits."""


class NotDecidedError(NoVerdictError):
    """The solver, or the time, did not suffice."""


class AbandonedError(NoVerdictError):
    """The path under way cannot be: its premises contradict each other."""


class Decision(NamedTuple):
    """One answer on a path."""

    outcome: bool
    open: bool
    """Whether the other answer is still to be looked at."""
    at: int
    """How long the trail was before."""


class Engine:
    """All paths of one property."""

    def __init__(self, limits: Limits, recorder: Recorder | None = None) -> None:
        self.limits = limits
        self.visits: Counter[tuple[str, int]] = Counter()
        """Of the path under way: how often each line of a function has tested a
        truth; lines are counted from the function's first."""
        self.n_paths = self.n_queries = self.n_decisions = 0
        self._recorder = recorder
        self._solver = z3.Solver()
        self._deadline = time.process_time() + limits.seconds
        self._trail: list[Any] = []
        """What holds on the path under way, each on a level of the solver."""
        self._length = 0
        """Up to where the run under way has come; what follows is of the path before."""
        self._decisions: list[Decision] = []
        self._taken = 0
        self._answers: list[tuple[int, bool]] = []
        """What was certain and what was not, each with the length of the trail that it rests on."""
        self._n_answers = 0
        self._model: Any = None
        """A model of the trail, where one is known."""

    def paths(self, run: Callable[[], None]) -> None:
        """Run on every path that can be."""
        while True:
            if self.n_paths >= self.limits.paths:
                raise UnboundedError(f"more than {self.limits.paths} paths")
            self._length = self._taken = self._n_answers = 0
            self._model = None
            self.visits.clear()
            previous = DECIDER.ask, FIT.ask, HASHING.allowed
            DECIDER.ask, FIT.ask = self.decide, self.is_certain
            try:
                run()
                self.n_paths += 1
            except AbandonedError:
                pass
            finally:
                DECIDER.ask, FIT.ask, HASHING.allowed = previous
            if not self._next_path():
                return

    def _next_path(self) -> bool:
        del self._decisions[self._taken :]
        while self._decisions and not self._decisions[-1].open:
            self._decisions.pop()
        if not self._decisions:
            return False
        last = self._decisions.pop()
        self._decisions.append(Decision(not last.outcome, False, last.at))
        self._forget(last.at)
        self._answers = [one for one in self._answers[: self._n_answers] if one[0] <= last.at]
        return True

    def _forget(self, length: int) -> None:
        self._solver.pop(len(self._trail) - length)
        del self._trail[length:]

    def decide(self, term: Any) -> bool:
        """Answer a truth test; both answers are looked at where both can be."""
        term, plain = settled(term)
        if plain is not None:
            return plain
        self._note_visit()
        if self._taken < len(self._decisions):
            outcome = self._decisions[self._taken].outcome
        else:
            outcome = self._decide_anew(term)
        self._taken += 1
        if self._taken > self.limits.decisions:
            raise UnboundedError(f"more than {self.limits.decisions} decisions on one path")
        self._hold(term if outcome else negated(term))
        return outcome

    def _decide_anew(self, term: Any) -> bool:
        self.n_decisions += 1
        outcome = bool(z3.is_true(self._known_model().eval(term, model_completion=True)))
        other = negated(term) if outcome else term
        self._decisions.append(Decision(outcome, self.can_be(other) is not None, self._length))
        return outcome

    def _known_model(self) -> Any:
        if self._model is None:
            self._model = self.can_be(TRUE)
            if self._model is None:
                raise AbandonedError
        return self._model

    def suppose(self, term: Any) -> None:
        """Go on only where a premise holds."""
        term, plain = settled(term)
        if plain is True:
            return
        if self._length < len(self._trail):
            self._hold(term)
            return
        model = self._model
        if model is None or not z3.is_true(model.eval(term, model_completion=True)):
            model = self.can_be(term)
            if model is None:
                raise AbandonedError
        self._hold(term)
        self._model = model

    def _hold(self, term: Any) -> None:
        if self._length < len(self._trail):
            known = self._trail[self._length]
            if known is not term and not known.eq(term):
                raise UnsupportedError("a run that was repeated asked another question")
        else:
            self._solver.push()
            self._solver.add(term)
            self._trail.append(term)
            if self._model is not None and not z3.is_true(
                self._model.eval(term, model_completion=True)
            ):
                self._model = None
        self._length += 1

    def is_certain(self, term: Any) -> bool:
        """Whether a condition holds on all that the path under way stands for."""
        contrary = negated(term)
        term, plain = settled(contrary)
        if plain is False:
            # Who asks another solver wants to hear of what the simplifier says, too.
            self._record([*self._trail, contrary])
            return True
        if plain is True:
            return False
        if self._n_answers == len(self._answers):
            self._answers.append((self._length, self.can_be(term) is None))
        self._n_answers += 1
        return self._answers[self._n_answers - 1][1]

    def can_be(self, term: Any) -> Any:
        """A model of the path and a condition; None where there is none."""
        left = self._deadline - time.process_time()
        if left <= 0:
            raise NotDecidedError(f"not decided within {self.limits.seconds:.0f} s")
        if self._length < len(self._trail):
            raise UnsupportedError("a run that was repeated asked another question")
        self.n_queries += 1
        # The solver counts by the clock, on a machine that others use as well.
        self._solver.set("timeout", int(left * 3000) + 1)
        self._solver.push()
        try:
            self._solver.add(term)
            answer = self._solver.check()
            if answer == z3.sat:
                return self._solver.model()
            if answer != z3.unsat:
                raise NotDecidedError(f"the solver gave up: {self._solver.reason_unknown()}")
            self._record([*self._trail, term])
            return None
        finally:
            self._solver.pop()

    def _record(self, terms: list[Any]) -> None:
        """Tell of a contradiction; the time that a listener takes is not the theorem's."""
        if self._recorder is not None:
            started = time.process_time()
            self._recorder(terms)
            self._deadline += time.process_time() - started

    def _note_visit(self) -> None:
        frame = sys._getframe(2)
        while "writecache_proofs/symbolic" in frame.f_code.co_filename and frame.f_back:
            frame = frame.f_back
        code = frame.f_code
        self.visits[code.co_name, frame.f_lineno - code.co_firstlineno] += 1

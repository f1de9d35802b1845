"""A second solver: cvc5 is asked again, through SMT-LIB, whatever Z3 found contradictory.

That is every path that was not taken, every wrap-around that was ruled out, and every claim.  An
answer `sat` is a difference, and a failure; a question that takes too long is counted.

What contradicts itself is mostly a few conditions of the many that hold on a path, and the same
few on thousands of paths.  So Z3 is asked which ones it needs, and cvc5 about these alone; where
cvc5 calls them contradictory, so is whatever contains them, and is not asked again.  Z3's word
counts for nothing in this: a part that it names wrongly is not contradictory to cvc5, which then is
asked about the whole.
"""

import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import z3


class Counts(NamedTuple):
    """What the second solver said."""

    asked: int = 0
    """Contradictions that Z3 has found."""
    confirmed: int = 0
    differences: int = 0
    undecided: int = 0
    """Time-outs, and what it does not understand."""
    questions: int = 0
    """Put to the second solver; what contains a part that it had confirmed needs none."""

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class SecondSolver:
    """Takes contradictions as they are found, and asks about each that is new."""

    def __init__(self, seconds: float) -> None:
        self.counts = Counts()
        self.spent = 0.0
        """Of the processor's time, in seconds."""
        self._seconds = seconds
        self._confirmed: dict[int, list[frozenset[int]]] = {}
        """Contradictions, as the numbers that Z3 gives to terms as long as they are kept; each
        under one of its numbers."""
        self._kept: list[Any] = []
        self._cvc5: Any = import_module("cvc5")

    def __call__(self, terms: Sequence[Any]) -> None:
        """Ask about one contradiction."""
        started = time.process_time()
        if self._contains_a_confirmed(terms):
            counts = Counts(asked=1, confirmed=1)
        else:
            counts = self._judge(terms)
        self.counts = self.counts.plus(counts)
        self.spent += time.process_time() - started

    def _contains_a_confirmed(self, terms: Sequence[Any]) -> bool:
        numbers = {term.get_id() for term in terms}
        return any(
            part <= numbers for number in numbers for part in self._confirmed.get(number, ())
        )

    def _judge(self, terms: Sequence[Any]) -> Counts:
        part, n_questions = needed(terms), 1
        answer = self._answer(part)
        if answer != "unsat" and len(part) < len(terms):
            part, n_questions = terms, 2
            answer = self._answer(part)
        if answer == "unsat":
            self._kept += part
            numbers = [term.get_id() for term in part]
            # The last condition is the rarest, and the first is everywhere.
            self._confirmed.setdefault(numbers[-1], []).append(frozenset(numbers))
        return Counts(
            1, answer == "unsat", answer == "sat", answer not in ("sat", "unsat"), n_questions
        )

    def _answer(self, terms: Sequence[Any]) -> str:
        solver = z3.Solver()
        solver.add(*terms)
        return self.ask(solver.to_smt2(), only_bits=_only_bits(terms))

    def ask(self, text: str, only_bits: bool = False) -> str:
        """Its answer to a script in SMT-LIB without a logic: `sat`, `unsat`, or anything else."""
        cvc5 = self._cvc5
        solver = cvc5.Solver(cvc5.TermManager())
        solver.setOption("tlimit-per", str(int(self._seconds * 1000)))
        if only_bits:  # at once: bit by bit as they are asked for takes it minutes
            solver.setOption("bitblast", "eager")
        text = f"(set-logic {'QF_BV' if only_bits else 'ALL'})\n{text}"
        parser = cvc5.InputParser(solver)
        parser.setStringInput(cvc5.InputLanguage.SMT_LIB_2_6, text, "question")
        symbols = parser.getSymbolManager()
        answer = "nothing"
        try:
            while not (command := parser.nextCommand()).isNull():
                said = str(command.invoke(solver, symbols)).strip()
                answer = said or answer
        except RuntimeError as error:
            return f"not understood: {error}"
        return answer


def _only_bits(terms: Sequence[Any]) -> bool:
    """Whether terms speak of bit-vectors, and of no integers."""
    goal = z3.Goal()
    goal.add(*terms)
    return bool(z3.Probe("is-qfbv")(goal))


def needed(terms: Sequence[Any]) -> Sequence[Any]:
    """Return those terms, in their order, that contradict each other to Z3; all, if it cannot say.

    >>> a, b = z3.Ints("a b")
    >>> needed([b > 3, a > 2, b < 9, a < 1])
    [a > 2, a < 1]
    """
    solver = z3.Solver()
    solver.set("core.minimize", True)
    names = [z3.Bool(f"condition!{number}") for number in range(len(terms))]
    for name, term in zip(names, terms, strict=True):
        solver.assert_and_track(term, name)
    if solver.check() != z3.unsat:
        return terms
    core = {str(name) for name in solver.unsat_core()}
    return [term for name, term in zip(names, terms, strict=True) if str(name) in core]

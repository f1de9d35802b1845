"""A second solver: cvc5 is asked again, through SMT-LIB, whatever Z3 found contradictory.

That is every path that was not taken, every wrap-around that was ruled out, and every claim.  An
answer `sat` is a difference, and a failure; a question that takes too long is counted.
"""

import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

import z3

_LONG: Final = 60
"""Parts of a term that are looked at."""


class Counts(NamedTuple):
    """What the second solver said."""

    asked: int = 0
    confirmed: int = 0
    differences: int = 0
    undecided: int = 0
    """Time-outs, and what it does not understand."""

    def plus(self, other: "Counts") -> "Counts":
        """Both together."""
        return Counts(*(a + b for a, b in zip(self, other, strict=True)))


class SecondSolver:
    """Takes contradictions as they are found, and asks about each.

    A part of what contradicts itself is enough: so first it asks about the contrary and those
    conditions that speak of nothing else, which many paths have in common and which is asked once,
    and only where that is not contradictory about everything.
    """

    def __init__(self, seconds: float) -> None:
        self.counts = Counts()
        self.spent = 0.0
        """Of the processor's time, in seconds."""
        self._seconds = seconds
        self._answers: dict[tuple[int, ...], str] = {}
        """By the numbers that Z3 gives to terms, as long as they are kept."""
        self._names: dict[int, frozenset[str] | None] = {}
        self._kept: list[Any] = []
        self._cvc5: Any = import_module("cvc5")

    def __call__(self, terms: Sequence[Any]) -> None:
        """Ask about one contradiction; the last term is the contrary of what was certain."""
        started = time.process_time()
        names = self._names_of(terms[-1])
        near = [] if names is None else [one for one in terms[:-1] if self._is_of(one, names)]
        answer = self._answer([*near, terms[-1]])
        if answer != "unsat":
            answer = self._answer(terms)
        self.counts = self.counts.plus(
            Counts(1, answer == "unsat", answer == "sat", answer not in ("sat", "unsat"))
        )
        self.spent += time.process_time() - started

    def _is_of(self, term: Any, names: frozenset[str]) -> bool:
        found = self._names_of(term)
        return found is not None and found <= names

    def _names_of(self, term: Any) -> frozenset[str] | None:
        """The unknowns of a term; None where it is long."""
        number = term.get_id()
        if number not in self._names:
            self._kept.append(term)
            self._names[number] = _unknowns(term)
        return self._names[number]

    def _answer(self, terms: Sequence[Any]) -> str:
        key = tuple(sorted({term.get_id() for term in terms}))
        if key not in self._answers:
            self._kept += terms
            solver = z3.Solver()
            solver.add(*terms)
            self._answers[key] = self.ask(f"(set-logic ALL)\n{solver.to_smt2()}")
        return self._answers[key]

    def ask(self, text: str) -> str:
        """Its answer to a script in SMT-LIB: `sat`, `unsat`, or anything else."""
        cvc5 = self._cvc5
        solver = cvc5.Solver(cvc5.TermManager())
        solver.setOption("tlimit-per", str(int(self._seconds * 1000)))
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


def _unknowns(term: Any) -> frozenset[str] | None:
    """Names of what is unknown in a term; None where it is long."""
    found: set[str] = set()
    waiting, met = [term], {term.get_id()}
    while waiting:
        one = waiting.pop()
        if z3.is_const(one) and one.decl().kind() == z3.Z3_OP_UNINTERPRETED:
            found.add(str(one.decl().name()))
        for child in one.children():
            if child.get_id() not in met:
                met.add(child.get_id())
                waiting.append(child)
        if len(met) > _LONG:
            return None
    return frozenset(found)

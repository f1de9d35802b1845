"""A second solver: cvc5 is asked again, through SMT-LIB, whatever Z3 found contradictory.

That is every path that was not taken, every wrap-around that was ruled out, and every claim.  An
answer `sat` is a difference, and a failure; a question that takes too long is counted.
"""

import hashlib
import time
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NamedTuple

import z3


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
    """Takes contradictions as they are found; asks each once."""

    def __init__(self, seconds: float) -> None:
        self.counts = Counts()
        self.spent = 0.0
        """Of the processor's time, in seconds."""
        self._seconds = seconds
        self._seen: set[bytes] = set()
        self._cvc5: Any = import_module("cvc5")

    def __call__(self, terms: Sequence[Any]) -> None:
        """Ask about one contradiction."""
        started = time.process_time()
        self._ask_once(terms)
        self.spent += time.process_time() - started

    def _ask_once(self, terms: Sequence[Any]) -> None:
        solver = z3.Solver()
        solver.add(*terms)
        text = f"(set-logic ALL)\n{solver.to_smt2()}"
        digest = hashlib.sha256(text.encode()).digest()
        if digest in self._seen:
            return
        self._seen.add(digest)
        answer = self.ask(text)
        self.counts = self.counts.plus(
            Counts(1, answer == "unsat", answer == "sat", answer not in ("sat", "unsat"))
        )

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

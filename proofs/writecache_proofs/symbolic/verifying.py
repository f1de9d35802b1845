"""Verifying: a property on symbolic values, path by path, with Python's own run beside each."""

from collections import Counter
from collections.abc import Callable
from functools import cache
from inspect import getsourcelines
from typing import Any, NamedTuple

import z3

from writecache_proofs.symbolic.bits import Bits, width_for
from writecache_proofs.symbolic.engine import Engine, Limits, NoVerdictError, Recorder
from writecache_proofs.symbolic.numbers import HASHING, Integer
from writecache_proofs.symbolic.run import (
    Counterexample,
    FailedError,
    Replay,
    Run,
    UnmetError,
    replay,
)
from writecache_proofs.symbolic.terms import TRUE, built, forget, negated, number, variable
from writecache_proofs.symbolic.truth import UnsupportedError, term_of


class Verdict(NamedTuple):
    """What came of a property."""

    counterexample: Counterexample | None
    witness: dict[str, int] | None
    """Values on which all premises hold, and a claim is met; None where there are none."""
    claims: Counter[str]
    """On how many paths each claim was met."""
    n_paths: int
    n_queries: int


class DisagreementError(Exception):
    """The symbolic run and Python's own do not say the same: the executor is wrong."""


class _Symbolic(Run):
    """A run on symbolic values."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._terms: dict[str, Any] = {}
        self._bounds: dict[str, tuple[int, int]] = {}
        self.claims: list[tuple[Any, str]] = []

    def integer(self, name: str, low: int, high: int) -> Any:
        """A fresh one; asked for again, the same."""
        if self._bounds.setdefault(name, (low, high)) != (low, high):
            raise UnsupportedError(f"{name} is asked for again with other bounds")
        if name not in self._terms:
            term = self._terms[name] = variable(name)
            self._engine.suppose(built(_between, term, number(low), number(high)))
        return Integer(self._terms[name], low, high)

    def bits(self, name: str, low: int, high: int) -> Any:
        """A fresh one."""
        term = self._terms[name] = z3.BitVec(name, width_for(low, high))
        self._engine.suppose(z3.And(term >= low, term <= high))
        return Bits(term, low, high)

    def suppose(self, condition: object) -> None:
        """A premise of the path from here on."""
        self._engine.suppose(term_of(condition))

    def claim(self, condition: object, words: str) -> None:
        """Kept until the path has ended."""
        self.claims.append((term_of(condition), words))

    def allow_keys(self) -> None:
        """From here to the end of the path."""
        HASHING.allowed = True

    def visits(self, function: Callable[..., Any], text: str) -> int | None:
        """Counted by the engine."""
        visits = self._engine.visits
        return sum(visits[function.__name__, line] for line in _lines_with(function, text))

    def values(self, model: Any) -> dict[str, int]:
        """What a model says of the values that were asked for."""
        found = {}
        for name, term in self._terms.items():
            value = model.eval(term, model_completion=True)
            signed = z3.is_bv(value)
            found[name] = value.as_signed_long() if signed else value.as_long()
        return found


@cache
def _lines_with(function: Callable[..., Any], text: str) -> tuple[int, ...]:
    """The lines of a function that have a text in them, counted from its first.

    Looked up once: a mistake that is planted later in a line does not move the lines.
    """
    lines, _ = getsourcelines(function)
    return tuple(number for number, line in enumerate(lines) if text in line)


def _between(term: Any, low: Any, high: Any) -> Any:
    return z3.And(term >= low, term <= high)


class _Refuted(Exception):  # noqa: N818 - an outcome, not an error
    def __init__(self, counterexample: Counterexample) -> None:
        super().__init__(counterexample.what)
        self.counterexample = counterexample


class _Verification:
    """A property on all its paths."""

    def __init__(
        self, check: Callable[[Run], None], limits: Limits, recorder: Recorder | None
    ) -> None:
        self.check = check
        self.engine = Engine(limits, recorder)
        self.claims: Counter[str] = Counter()
        self.witness: dict[str, int] | None = None

    def path(self) -> None:
        """One path, from its beginning to its claims."""
        run = _Symbolic(self.engine)
        raised: Exception | None = None
        try:
            self.check(run)
        except (UnsupportedError, NoVerdictError):
            raise
        except Exception as error:
            raised = error
        if raised is not None:
            self._refuted(run, self.engine.can_be(TRUE), raised)
            return
        if run.claims:
            right = built(z3.And, *[term for term, _ in run.claims])
            if not self.engine.is_certain(right):
                self._refuted(run, self.engine.can_be(negated(right)))
        self.claims.update(words for _, words in run.claims)
        self._confirm(run)

    def _refuted(self, run: _Symbolic, model: Any, raised: Exception | None = None) -> None:
        if model is None:
            return
        values = run.values(model)
        what = replay(self.check, values)
        if what is None:
            why = f" ({type(raised).__name__}: {raised})" if raised else ""
            raise DisagreementError(
                f"fails on symbolic values{why} and not on {values}"
            ) from raised
        raise _Refuted(Counterexample(what, values))

    def _confirm(self, run: _Symbolic) -> None:
        """Python agrees, on one model of the path."""
        model = self.engine.can_be(TRUE)
        if model is None:
            return
        values = run.values(model)
        played = Replay(values)
        try:
            self.check(played)
        except UnmetError as error:
            raise DisagreementError(f"a premise does not hold on {values}") from error
        except UnsupportedError:
            raise
        except Exception as error:
            # What is claimed, or raised, of Python's own values only refutes as well.
            words = str(error) if isinstance(error, FailedError) else repr(error)
            raise _Refuted(Counterexample(words, values)) from error
        if played.claimed != [words for _, words in run.claims]:
            raise DisagreementError(f"another path is taken on {values}")
        if run.claims and self.witness is None:
            self.witness = values


def verify(
    check: Callable[[Run], None],
    limits: Limits = Limits(),  # noqa: B008 - immutable
    recorder: Recorder | None = None,
) -> Verdict:
    """Run a property on everything it can be given.

    Raises NotDecidedError, UnboundedError, UnsupportedError and DisagreementError where there is no
    verdict.
    """
    made = _Verification(check, limits, recorder)
    found: Counterexample | None = None
    try:
        made.engine.paths(made.path)
    except _Refuted as refuted:
        found = refuted.counterexample
    finally:
        forget()
    return Verdict(found, made.witness, made.claims, made.engine.n_paths, made.engine.n_queries)

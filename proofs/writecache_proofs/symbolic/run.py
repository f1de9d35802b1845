"""Properties, run on symbolic values or on Python's own, and the counterexamples of one in the
other.

A property asks a `Run` for values by name, supposes premises, calls what it is about and states
claims.  `verify` takes all its paths; a path on which a claim can fail, or which raises, has a
model: its values are Python's, and the property is run again on them.  Only what fails there, too,
is a counterexample; if it does not, the executor is wrong, which is an error of its own.

So that this does not rest on paths that fail, every path that holds is run on one of its models as
well: all of its premises and claims must hold there.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from inspect import getsourcelines
from typing import Any, NamedTuple, TypeVar

import z3

from writecache_proofs.symbolic.bits import Bits, width_for
from writecache_proofs.symbolic.engine import Engine, Limits, NoVerdictError, Recorder
from writecache_proofs.symbolic.numbers import HASHING, Integer
from writecache_proofs.symbolic.truth import UnsupportedError, term_of

Values = Mapping[str, int]
T = TypeVar("T")


class Run:
    """What a property is given."""

    def integer(self, name: str, low: int, high: int) -> Any:
        """An integer between two bounds, inclusive."""
        raise NotImplementedError

    def bits(self, name: str, low: int, high: int) -> Any:
        """The same where its bits matter."""
        raise NotImplementedError

    def flag(self, name: str) -> Any:
        """True or false."""
        return self.integer(name, 0, 1) == 1

    def choose(self, name: str, options: Sequence[T]) -> T:
        """One of several things, a path for each."""
        number = self.integer(name, 0, len(options) - 1)
        for position, option in enumerate(options[:-1]):
            if number == position:
                return option
        return options[-1]

    def suppose(self, condition: object) -> None:
        """Go on only where a premise holds."""
        raise NotImplementedError

    def claim(self, condition: object, words: str) -> None:
        """State what must hold here."""
        raise NotImplementedError

    def allow_keys(self) -> None:
        """Let symbolic numbers be keys of dictionaries: none of them has plain numbers for keys."""

    def visits(self, function: Callable[..., Any], text: str) -> int | None:
        """How often a line of a function tested a truth; None where nobody counts."""
        return None


class FailedError(Exception):
    """A claim does not hold; the message is the claim."""


class UnmetError(Exception):
    """A premise does not hold."""


class Replay(Run):
    """A run on Python's own values."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.claimed: list[str] = []

    def integer(self, name: str, low: int, high: int) -> Any:
        """The value of that name; a value that was of no account is the least there is."""
        value = self.values.get(name, low)
        if not low <= value <= high:
            raise UnmetError(f"{name} is {value}, not between {low} and {high}")
        return value

    bits = integer

    def suppose(self, condition: object) -> None:
        """End the run where the premise does not hold."""
        if not condition:
            raise UnmetError("a premise does not hold")

    def claim(self, condition: object, words: str) -> None:
        """Fail where it does not hold."""
        self.claimed.append(words)
        if not condition:
            raise FailedError(words)


class Counterexample(NamedTuple):
    """Values on which a property fails; it was run on them."""

    what: str
    """The claim, or what was raised."""
    values: dict[str, int]


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


def replay(check: Callable[[Run], None], values: Values) -> str | None:
    """Run a property on Python's own values; what fails, or None.

    Raises UnmetError where a premise does not hold.
    """
    try:
        check(Replay(values))
    except FailedError as failed:
        return str(failed)
    except (UnmetError, UnsupportedError):
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


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
            term = self._terms[name] = z3.Int(name)
            self._engine.suppose(z3.And(term >= low, term <= high))
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
            self._refuted(run, self.engine.can_be(z3.BoolVal(True)), raised)
            return
        wrong = z3.Not(z3.And([term for term, _ in run.claims]))
        if not self.engine.is_certain(z3.Not(wrong)):
            self._refuted(run, self.engine.can_be(wrong))
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
        model = self.engine.can_be(z3.BoolVal(True))
        if model is None:
            return
        values = run.values(model)
        played = Replay(values)
        self.check(played)
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
    return Verdict(found, made.witness, made.claims, made.engine.n_paths, made.engine.n_queries)

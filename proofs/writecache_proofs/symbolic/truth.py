"""Conditions: what a comparison of symbolic values yields.

Python's `and`, `or`, `not` and `if` ask for the truth of a condition, and each asking can split the
path.  Claims are better built with `all_of`, `any_of`, `implies` and `either`, which do not; they
take Python's own values, too.
"""

from collections.abc import Callable, Iterable
from operator import eq, ne
from typing import Any, Final

import z3

from writecache_proofs.symbolic.terms import FALSE, TRUE, built, negated


class UnsupportedError(TypeError):
    """An operation that has no symbolic meaning here."""


class Decider:
    """Who answers when the truth of a condition is asked for."""

    ask: Callable[[Any], bool] | None = None
    """Of the run under way; None outside of one."""


DECIDER: Final = Decider()


class Truth:
    """A condition over symbolic values."""

    __slots__ = ("term",)

    def __init__(self, term: Any) -> None:
        self.term = term

    def __bool__(self) -> bool:
        if DECIDER.ask is None:
            raise UnsupportedError("the truth of a symbolic condition, outside of a run")
        return DECIDER.ask(self.term)

    def __invert__(self) -> "Truth":
        return Truth(negated(self.term))

    def __and__(self, other: "bool | Truth") -> "Truth":
        return Truth(built(z3.And, self.term, term_of(other)))

    __rand__ = __and__

    def __or__(self, other: "bool | Truth") -> "Truth":
        return Truth(built(z3.Or, self.term, term_of(other)))

    __ror__ = __or__

    def __eq__(self, other: object) -> Any:
        if isinstance(other, bool | Truth):
            return Truth(built(eq, self.term, term_of(other)))
        return NotImplemented

    def __ne__(self, other: object) -> Any:
        if isinstance(other, bool | Truth):
            return Truth(built(ne, self.term, term_of(other)))
        return NotImplemented

    def __add__(self, other: Any) -> Any:
        # A truth is a number in Python; which one, splits the path.
        return bool(self) + other

    __radd__ = __add__

    def __lt__(self, other: Any) -> Any:
        return bool(self) < other

    def __gt__(self, other: Any) -> Any:
        return bool(self) > other

    def __hash__(self) -> int:
        raise UnsupportedError("the hash of a symbolic condition")

    def __repr__(self) -> str:
        return f"Truth({self.term})"


def term_of(condition: object) -> Any:
    """The solver's term for a condition; whatever is not symbolic counts as Python has it."""
    if isinstance(condition, Truth):
        return condition.term
    return TRUE if condition else FALSE


def all_of(conditions: Iterable[object]) -> bool | Truth:
    """Whether all hold, without splitting the path.

    >>> all_of([True, 1 < 2]), all_of([]), all_of([False])
    (True, True, False)
    """
    listed = list(conditions)
    symbolic = [one for one in listed if isinstance(one, Truth)]
    if not all(one for one in listed if not isinstance(one, Truth)):
        return False
    return Truth(built(z3.And, *[one.term for one in symbolic])) if symbolic else True


def any_of(conditions: Iterable[object]) -> bool | Truth:
    """Whether one holds at least, without splitting the path.

    >>> any_of([False, 2 < 1]), any_of([]), any_of([True])
    (False, False, True)
    """
    listed = list(conditions)
    symbolic = [one for one in listed if isinstance(one, Truth)]
    if any(one for one in listed if not isinstance(one, Truth)):
        return True
    return Truth(built(z3.Or, *[one.term for one in symbolic])) if symbolic else False


def negation(condition: object) -> bool | Truth:
    """Whether a condition does not hold."""
    return ~condition if isinstance(condition, Truth) else not condition


def implies(premise: object, conclusion: object) -> bool | Truth:
    """Whether the conclusion holds where the premise does."""
    return any_of([negation(premise), conclusion])

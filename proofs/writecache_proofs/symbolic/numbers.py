"""Integers without a width, as Python's are, with what is known of their range.

The range is kept by interval arithmetic.  Where it shows that a remainder changes nothing (no
wrap-around), the remainder is dropped; where the range is not enough the solver is asked.  Anything
that would need a bit pattern is refused here: that is what `bits` is for.
"""

from collections.abc import Callable
from operator import add, mod, mul, neg, truediv
from typing import Any, Final

import z3

from writecache_proofs.symbolic.number import Number, positive
from writecache_proofs.symbolic.terms import built, number
from writecache_proofs.symbolic.truth import Truth, UnsupportedError, any_of


class Fit:
    """Who knows whether a value lies in a range, on the path under way."""

    ask: Callable[[Any], bool] | None = None


class Hashing:
    """Whether symbolic numbers may be keys: only where every key is one."""

    allowed = False


FIT: Final = Fit()
HASHING: Final = Hashing()
_HASH: Final = 1
_LONGEST_SHIFT: Final = 64


class Integer(Number):
    """An integer that the solver knows in part."""

    __slots__ = ("high", "low", "term")

    def __init__(self, term: Any, low: int | None, high: int | None) -> None:
        self.term = term
        self.low = low
        """None: no bound is known."""
        self.high = high

    @classmethod
    def of(cls, value: object) -> "Integer | None":
        """A value as one; None where it is no number."""
        if isinstance(value, Integer):
            return value
        if isinstance(value, int):
            return cls(number(value), int(value), int(value))
        return None

    @classmethod
    def chosen(cls, condition: Any, if_true: object, if_false: object) -> "Integer":
        """One of two values."""
        a, b = cls.of(if_true), cls.of(if_false)
        if a is None or b is None:
            raise UnsupportedError("a choice between a number and something else")
        low = None if a.low is None or b.low is None else min(a.low, b.low)
        high = None if a.high is None or b.high is None else max(a.high, b.high)
        return cls(built(z3.If, condition, a.term, b.term), low, high)

    def __add__(self, other: object) -> "Integer":
        b = Integer.of(other)
        if b is None:
            return NotImplemented
        low = None if self.low is None or b.low is None else self.low + b.low
        high = None if self.high is None or b.high is None else self.high + b.high
        return Integer(built(add, self.term, b.term), low, high)

    def __neg__(self) -> "Integer":
        low = None if self.high is None else -self.high
        return Integer(built(neg, self.term), low, None if self.low is None else -self.low)

    def __mul__(self, other: object) -> "Integer":
        b = Integer.of(other)
        if b is None:
            return NotImplemented
        bounds = (self.low, self.high, b.low, b.high)
        if any(bound is None for bound in bounds):
            return Integer(built(mul, self.term, b.term), None, None)
        corners = [x * y for x in bounds[:2] for y in bounds[2:]]  # type: ignore[operator]
        return Integer(built(mul, self.term, b.term), min(corners), max(corners))

    __rmul__ = __mul__

    def __floordiv__(self, other: object) -> "Integer":
        divisor = positive(other)
        low = None if self.low is None else self.low // divisor
        high = None if self.high is None else self.high // divisor
        # For a positive divisor the solver rounds down, as Python does.
        return Integer(built(truediv, self.term, number(divisor)), low, high)

    def __mod__(self, other: object) -> "Integer":
        modulus = positive(other)
        if self.low is not None and self.high is not None and 0 <= self.low <= self.high < modulus:
            return self
        if FIT.ask is not None and FIT.ask(built(_within, self.term, number(modulus))):
            return Integer(self.term, 0, modulus - 1)
        return Integer(built(mod, self.term, number(modulus)), 0, modulus - 1)

    def __lshift__(self, other: object) -> "Integer":
        return self * (1 << _shift(other))

    def __rshift__(self, other: object) -> "Integer":
        return self // (1 << _shift(other))

    def __and__(self, other: object) -> "Integer":
        if isinstance(other, int) and other >= 0 and not other & (other + 1):
            return self % (other + 1)
        raise UnsupportedError("bits of an integer other than its lowest")

    __rand__ = __and__

    def __or__(self, other: object) -> "Joined":
        return Joined(self, other)

    __ror__ = __or__

    def _compare(self, other: object, relation: Callable[[Any, Any], Any]) -> Any:
        b = Integer.of(other)
        return NotImplemented if b is None else Truth(built(relation, self.term, b.term))

    def __hash__(self) -> int:
        # All alike, so that a dictionary finds an equal key by comparing.  It would not find one
        # that is a plain number: so whoever lets symbolic values be hashed says that all keys are.
        if not HASHING.allowed:
            raise UnsupportedError("the hash of a symbolic number, where keys may be plain ones")
        return _HASH


class Joined:
    """Bits of two integers together: only whether some of the lowest are set can be asked."""

    def __init__(self, *values: object) -> None:
        self.values = values

    def __and__(self, mask: int) -> Any:
        lowest = [Integer.of(value) for value in self.values]
        if None in lowest:
            raise UnsupportedError("bits of what is no number")
        return any_of((value & mask) != 0 for value in lowest if value is not None)


def either(condition: object, if_true: Any, if_false: Any) -> Any:
    """One value or the other; numbers without a split, anything else with one."""
    if not isinstance(condition, Truth):
        return if_true if condition else if_false
    choose = getattr(if_true, "chosen", None) or getattr(if_false, "chosen", None)
    if choose is None:
        if if_true is if_false:
            return if_true
        if type(if_true) is int and type(if_false) is int:
            choose = Integer.chosen
        else:
            return if_true if condition else if_false
    return choose(condition.term, if_true, if_false)


def _within(term: Any, modulus: Any) -> Any:
    return z3.And(term >= 0, term < modulus)


def _shift(amount: object) -> int:
    if isinstance(amount, int) and 0 <= amount <= _LONGEST_SHIFT:
        return amount
    raise UnsupportedError("a shift by what is not a small number of Python's")

"""Integers as bit-vectors that are always wide enough: bit operations are exact, and so is the
rest.

A value carries its range, and its vector has as many bits (two's complement) as that range needs.
An operation first works out the range of its result, widens what it is given, and only then works:
so nothing ever wraps that would not wrap in Python.  `% 2**64` is what the specification writes
where the kernel's arithmetic wraps, and is a cut to 64 bits here.
"""

from collections.abc import Callable
from typing import Any

import z3

from writecache_proofs.symbolic.number import Number, positive
from writecache_proofs.symbolic.numbers import FIT
from writecache_proofs.symbolic.truth import Truth, UnsupportedError


def width_for(low: int, high: int) -> int:
    """How many bits of two's complement hold every number of a range.

    >>> width_for(0, 1), width_for(-1, 0), width_for(0, 255), width_for(-129, 0)
    (2, 1, 9, 9)
    """
    return max(low.bit_length() if low >= 0 else (~low).bit_length(), high.bit_length()) + 1


class Bits(Number):
    """An integer of a known range, as a bit-vector."""

    __slots__ = ("high", "low", "term")

    def __init__(self, term: Any, low: int, high: int) -> None:
        """`term` has at least `width_for(low, high)` bits."""
        self.term, self.low, self.high = term, low, high

    @classmethod
    def of(cls, value: object) -> "Bits | None":
        """A value as one; None where it is no number."""
        if isinstance(value, Bits):
            return value
        if isinstance(value, int):
            number = int(value)
            return cls(z3.BitVecVal(number, width_for(number, number)), number, number)
        return None

    @classmethod
    def chosen(cls, condition: Any, if_true: object, if_false: object) -> "Bits":
        """One of two values."""
        a, b = cls.of(if_true), cls.of(if_false)
        if a is None or b is None:
            raise UnsupportedError("a choice between a number and something else")
        low, high = min(a.low, b.low), max(a.high, b.high)
        width = width_for(low, high)
        return cls(z3.If(condition, a.resized(width), b.resized(width)), low, high)

    def resized(self, width: int) -> Any:
        """The vector with just so many bits; the value must fit."""
        missing = width - self.term.size()
        if missing >= 0:
            return z3.SignExt(missing, self.term) if missing else self.term
        return z3.Extract(width - 1, 0, self.term)

    def _made(self, low: int, high: int, *others: "Bits", by: Callable[..., Any]) -> "Bits":
        """An operation at the width that its operands and its result need."""
        operands = (self, *others)
        lowest = min(low, *(one.low for one in operands))
        highest = max(high, *(one.high for one in operands))
        width = width_for(lowest, highest)
        term = by(*(one.resized(width) for one in operands))
        return Bits(Bits(term, low, high).resized(width_for(low, high)), low, high)

    def __add__(self, other: object) -> "Bits":
        b = Bits.of(other)
        if b is None:
            return NotImplemented
        return self._made(self.low + b.low, self.high + b.high, b, by=lambda x, y: x + y)

    def __neg__(self) -> "Bits":
        return self._made(-self.high, -self.low, by=lambda x: -x)

    def __mul__(self, other: object) -> "Bits":
        b = Bits.of(other)
        if b is None:
            return NotImplemented
        corners = [x * y for x in (self.low, self.high) for y in (b.low, b.high)]
        return self._made(min(corners), max(corners), b, by=lambda x, y: x * y)

    __rmul__ = __mul__

    def __invert__(self) -> "Bits":
        return self._made(~self.high, ~self.low, by=lambda x: ~x)

    def __and__(self, other: object) -> "Bits":
        b = Bits.of(other)
        if b is None:
            return NotImplemented
        low, high = _range_of_bits(self, b)
        bounds = [one.high for one in (self, b) if one.low >= 0]
        if bounds:
            low, high = 0, min(bounds)
        return self._made(low, high, b, by=lambda x, y: x & y)

    __rand__ = __and__

    def __or__(self, other: object) -> "Bits":
        b = Bits.of(other)
        if b is None:
            return NotImplemented
        return self._made(*_range_of_bits(self, b), b, by=lambda x, y: x | y)

    __ror__ = __or__

    def __xor__(self, other: object) -> "Bits":
        b = Bits.of(other)
        if b is None:
            return NotImplemented
        return self._made(*_range_of_bits(self, b), b, by=lambda x, y: x ^ y)

    __rxor__ = __xor__

    def __lshift__(self, other: object) -> "Bits":
        amount = _amount(other)
        corners = [x << y for x in (self.low, self.high) for y in (amount.low, amount.high)]
        return self._made(min(corners), max(corners), amount, by=lambda x, y: x << y)

    def __rlshift__(self, other: object) -> "Bits":
        a = Bits.of(other)
        return NotImplemented if a is None else a << self

    def __rshift__(self, other: object) -> "Bits":
        amount = _amount(other)
        corners = [x >> y for x in (self.low, self.high) for y in (amount.low, amount.high)]
        return self._made(min(corners), max(corners), amount, by=lambda x, y: x >> y)

    def __floordiv__(self, other: object) -> "Bits":
        divisor = positive(other)
        if not divisor & (divisor - 1):
            return self >> (divisor.bit_length() - 1)
        if self.low < 0:
            raise UnsupportedError("a negative number divided by other than a power of two")
        b = Bits.of(divisor)
        assert b is not None
        return self._made(self.low // divisor, self.high // divisor, b, by=z3.UDiv)

    def __mod__(self, other: object) -> "Bits":
        modulus = positive(other)
        if self.low >= 0 and self.high < modulus:
            return self
        if modulus & (modulus - 1):
            raise UnsupportedError("a remainder of other than a power of two")
        return self & (modulus - 1)

    def bit_length(self) -> "Bits":
        """As Python's; of what is not negative."""
        if self.low < 0:
            raise UnsupportedError("the length of a number that may be negative")
        longest = self.high.bit_length()
        width = width_for(0, longest)
        term = z3.BitVecVal(0, width)
        for bit in range(longest):
            found = z3.Extract(bit, bit, self.term) == 1
            term = z3.If(found, z3.BitVecVal(bit + 1, width), term)
        return Bits(term, 0, longest)

    def _compare(self, other: object, relation: Callable[[Any, Any], Any]) -> Any:
        b = Bits.of(other)
        if b is None:
            return NotImplemented
        width = width_for(min(self.low, b.low), max(self.high, b.high))
        return Truth(relation(self.resized(width), b.resized(width)))


def _range_of_bits(a: Bits, b: Bits) -> tuple[int, int]:
    """What a bitwise operation on two ranges can yield."""
    width = width_for(min(a.low, b.low), max(a.high, b.high)) - 1
    return (0 if a.low >= 0 and b.low >= 0 else -(1 << width)), (1 << width) - 1


def _amount(value: object) -> Bits:
    amount = Bits.of(value)
    may_be = amount is not None and amount.low < 0 <= amount.high
    if may_be and FIT.ask is not None and FIT.ask(amount.term >= 0):  # type: ignore[union-attr]
        # Never negative on this path.
        amount = Bits(amount.term, 0, amount.high)  # type: ignore[union-attr]
    if amount is None or amount.low < 0 or amount.high > 256:
        raise UnsupportedError("a shift by what may be negative, or large")
    return amount

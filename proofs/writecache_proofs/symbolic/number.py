"""What both kinds of symbolic integers share: whatever follows from sums and comparisons."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from operator import eq, ge, gt, le, lt, ne
from typing import Any, Self

from writecache_proofs.symbolic.truth import UnsupportedError


class Number(ABC):
    """A symbolic integer."""

    __slots__ = ()
    term: Any

    @classmethod
    @abstractmethod
    def of(cls, value: object) -> Self | None:
        """A value as one; None where it is no number."""

    @abstractmethod
    def __add__(self, other: object) -> Self: ...

    @abstractmethod
    def __neg__(self) -> Self: ...

    @abstractmethod
    def _compare(self, other: object, relation: Callable[[Any, Any], Any]) -> Any:
        """A condition; NotImplemented beside what is no number."""

    def __radd__(self, other: object) -> Self:
        return self + other

    def __sub__(self, other: object) -> Self:
        b = self.of(other)
        return NotImplemented if b is None else self + -b

    def __rsub__(self, other: object) -> Self:
        a = self.of(other)
        return NotImplemented if a is None else a + -self

    def __lt__(self, other: object) -> Any:
        return self._compare(other, lt)

    def __le__(self, other: object) -> Any:
        return self._compare(other, le)

    def __gt__(self, other: object) -> Any:
        return self._compare(other, gt)

    def __ge__(self, other: object) -> Any:
        return self._compare(other, ge)

    def __eq__(self, other: object) -> Any:
        return self._compare(other, eq)

    def __ne__(self, other: object) -> Any:
        return self._compare(other, ne)

    def __hash__(self) -> int:
        raise UnsupportedError("the hash of a symbolic number")

    def __bool__(self) -> bool:
        return bool(self != 0)

    def __index__(self) -> int:
        raise UnsupportedError("a symbolic number where Python needs one of its own")

    def __format__(self, spec: str) -> str:
        return "<symbolic>"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.term})"


def positive(divisor: object) -> int:
    """A divisor, which must be one of Python's own; raises UnsupportedError."""
    if isinstance(divisor, int) and divisor > 0:
        return divisor
    raise UnsupportedError("a division by what is not a positive number of Python's")

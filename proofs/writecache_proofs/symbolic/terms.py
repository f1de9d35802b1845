"""Terms: what the solver is told, each built once.

A run is repeated for every path, and on the way to where the path is new it builds what the runs
before it have built.  So a term is known by what it was built of: building terms again took more
than half of the time of all proofs.

Nothing rests on a term being known: one that is built anew is equal to it.
"""

from collections.abc import Callable
from typing import Any, Final

import z3

_MOST: Final = 100_000
"""How many are kept; then all are forgotten, which costs the building of one path."""
TRUE: Final = z3.BoolVal(True)
FALSE: Final = z3.BoolVal(False)


class _Kept:
    """Terms by what they were built of."""

    def __init__(self) -> None:
        self.built: dict[tuple[Any, ...], tuple[Any, tuple[Any, ...]]] = {}
        self.numbers: dict[int, Any] = {}
        self.variables: dict[str, Any] = {}

    def forget(self) -> None:
        """Let go of all of them."""
        self.built.clear()
        self.numbers.clear()
        self.variables.clear()


_KEPT: Final = _Kept()


def built(build: Callable[..., Any], *parts: Any) -> Any:
    """What a function makes of terms, and of nothing else.

    >>> x, y = z3.Ints("x y")
    >>> built(z3.And, x < y, y < 3)
    And(x < y, y < 3)
    >>> built(z3.Sum, x, y) is built(z3.Sum, x, y)
    True
    """
    key = (build, *map(id, parts))
    known = _KEPT.built.get(key)
    if known is None:
        if len(_KEPT.built) >= _MOST:
            _KEPT.forget()
        # The parts are kept as well: what is alive shares its `id` with nothing.
        known = _KEPT.built[key] = build(*parts), parts
    return known[0]


def number(value: int) -> Any:
    """The term for a number of Python's.

    >>> number(3) is number(3), number(True)
    (True, 1)
    """
    known = _KEPT.numbers.get(value)
    if known is None:
        known = _KEPT.numbers[value] = z3.IntVal(int(value))
    return known


def variable(name: str) -> Any:
    """An integer that the solver is to find."""
    known = _KEPT.variables.get(name)
    if known is None:
        known = _KEPT.variables[name] = z3.Int(name)
    return known


def settled(term: Any) -> tuple[Any, bool | None]:
    """A condition as the simplifier has it, and whether that is plainly true, or plainly false.

    >>> x = z3.Int("x")
    >>> settled(x < x + 1), settled(x + 1 < 3)
    ((True, True), (Not(2 <= x), None))
    """
    known: tuple[Any, bool | None] = built(_settled, term)
    return known


def negated(term: Any) -> Any:
    """The contrary."""
    return built(z3.Not, term)


def forget() -> None:
    """Let go of all of them."""
    _KEPT.forget()


def _settled(term: Any) -> tuple[Any, bool | None]:
    simple = z3.simplify(term)
    if z3.is_true(simple):
        return simple, True
    return simple, False if z3.is_false(simple) else None

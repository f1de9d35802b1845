"""A persistent vector of fixed length: a radix tree of tuples with fan-out 32.

Holds the cache's entries by index.  Setting one returns a new vector that shares all but one path
with the old one.  The leaves are open to readers: whoever encodes entries can tell by a leaf's
identity that nothing in it has changed.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

FAN_OUT_BITS: Final = 5
FAN_OUT: Final = 1 << FAN_OUT_BITS
"""Items in a leaf."""
_MASK: Final = FAN_OUT - 1


class Vector(Generic[T]):
    """An immutable sequence of fixed length."""

    __slots__ = ("_length", "_root", "_shift")

    _root: tuple[Any, ...]
    _length: int
    _shift: int

    def __init__(self, items: Iterable[T] = ()) -> None:
        """Build from items; O(n)."""
        stream = iter(items)
        level: list[tuple[Any, ...]] = []
        length = 0
        while chunk := tuple(islice(stream, FAN_OUT)):
            level.append(chunk)
            length += len(chunk)
        self._shift = 0
        while len(level) > 1:
            level = [tuple(level[i : i + FAN_OUT]) for i in range(0, len(level), FAN_OUT)]
            self._shift += FAN_OUT_BITS
        self._root = level[0] if level else ()
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> T:
        if not 0 <= index < self._length:
            raise IndexError(index)
        node = self._root
        shift = self._shift
        while shift:
            node = node[index >> shift & _MASK]
            shift -= FAN_OUT_BITS
        item: T = node[index & _MASK]
        return item

    def __iter__(self) -> Iterator[T]:
        for leaf in self.leaves():
            yield from leaf

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Vector):
            return NotImplemented
        return self._root is other._root or self._root == other._root

    def __hash__(self) -> int:
        return hash(self._root)

    def __repr__(self) -> str:
        shown = ", ".join(repr(item) for item in islice(self, 8))
        return f"Vector([{shown}{', …' if self._length > 8 else ''}])"

    def set(self, index: int, item: T) -> "Vector[T]":
        """A vector in which `index` holds `item`."""
        if not 0 <= index < self._length:
            raise IndexError(index)
        made = Vector.__new__(Vector)
        made._root = _set(self._root, self._shift, index, item)
        made._length = self._length
        made._shift = self._shift
        return made

    def changed_leaves(
        self, other: "Vector[T] | None", first: int, last: int
    ) -> Iterator[tuple[int, tuple[T, ...]]]:
        """Leaves from number `first` up to `last` that another vector of this length may not have.

        A leaf holds 32 items.  What the two share is passed over without being looked at.
        """
        theirs = None if other is None else other._root
        return _changed(self._root, theirs, self._shift, 0, (first, last))

    def leaves(self) -> Iterator[tuple[T, ...]]:
        """All leaves in order."""
        return _leaves(self._root, self._shift)


def _leaves(node: tuple[Any, ...], shift: int) -> Iterator[tuple[Any, ...]]:
    if not shift:
        yield node
        return
    for child in node:
        yield from _leaves(child, shift - FAN_OUT_BITS)


def _changed(
    mine: tuple[Any, ...],
    theirs: tuple[Any, ...] | None,
    shift: int,
    number: int,
    bounds: tuple[int, int],
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Changed leaves below a node whose first leaf has this number."""
    if mine is theirs:
        return
    if not shift:
        yield number, mine
        return
    width = 1 << (shift - FAN_OUT_BITS)
    for position, child in enumerate(mine):
        begin = number + position * width
        if begin >= bounds[1] or begin + width <= bounds[0]:
            continue
        other = None if theirs is None else theirs[position]
        if child is not other:
            yield from _changed(child, other, shift - FAN_OUT_BITS, begin, bounds)


def _set(node: tuple[Any, ...], shift: int, index: int, item: Any) -> tuple[Any, ...]:
    position = index >> shift & _MASK
    if shift:
        item = _set(node[position], shift - FAN_OUT_BITS, index, item)
    return (*node[:position], item, *node[position + 1 :])

"""A persistent ordered map with integer keys: a B+ tree of tuples with fixed fan-out.

Serves the three orders of the cache: entries by original sector, the LRU by insertion, and the free
list by index.  A change returns a new map and shares all but one path with the old one, so a
transition that touches k entries of n costs O(k log n) and an old state stays whole.

A node is a pair of tuples of equal length.  In a leaf they are keys and values; above, they are the
least key below each child, and the children.  The height tells which.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import Any, Final, Generic, TypeVar

V = TypeVar("V")

FAN_OUT: Final = 32
"""The most keys a node has."""
_THIN: Final = FAN_OUT // 4
"""A node with fewer is joined with its neighbour."""

_Node = tuple[tuple[int, ...], tuple[Any, ...]]


class OrderedMap(Generic[V]):
    """An immutable map from integers to values, in the order of its keys."""

    __slots__ = ("_height", "_root", "_size")

    _root: _Node
    _height: int
    _size: int

    def __init__(self, items: Iterable[tuple[int, V]] = ()) -> None:
        """Build from items in strictly increasing order of keys; O(n)."""
        stream = iter(items)
        level: list[_Node] = []
        size = 0
        while chunk := list(islice(stream, FAN_OUT * 3 // 4)):
            keys, values = zip(*chunk, strict=True)
            if any(a >= b for a, b in pairwise(keys)) or (level and level[-1][0][-1] >= keys[0]):
                raise ValueError("keys must be strictly increasing")
            level.append((keys, values))
            size += len(keys)
        self._height = 0
        while len(level) > 1:
            groups = [
                level[i : i + FAN_OUT * 3 // 4] for i in range(0, len(level), FAN_OUT * 3 // 4)
            ]
            level = [(tuple(node[0][0] for node in group), tuple(group)) for group in groups]
            self._height += 1
        self._root = level[0] if level else ((), ())
        self._size = size

    @classmethod
    def _of(cls, root: _Node, height: int, size: int) -> "OrderedMap[V]":
        made = cls.__new__(cls)
        made._root = root
        made._height = height
        made._size = size
        return made

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[int]:
        return (key for key, _ in self.items())

    def __contains__(self, key: int) -> bool:
        found = self.at_or_after(key)
        return found is not None and found[0] == key

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OrderedMap):
            return NotImplemented
        if self._root is other._root:
            return True
        return self._size == other._size and all(
            a == b for a, b in zip(self.items(), other.items(), strict=True)
        )

    def __hash__(self) -> int:
        # Of its ends only: who hashes states at every step hashes the entries as well.
        return hash((self._size, self.first(), self.last()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{key}: {value!r}" for key, value in islice(self.items(), 8))
        return f"OrderedMap({{{shown}{', …' if self._size > 8 else ''}}})"

    def items(self) -> Iterator[tuple[int, V]]:
        """Items in increasing order of keys."""
        return _walk(self._root, self._height, False)

    def reversed_items(self) -> Iterator[tuple[int, V]]:
        """Items in decreasing order of keys."""
        return _walk(self._root, self._height, True)

    def get(self, key: int) -> V | None:
        """The value of a key, None where it is not in the map."""
        node = self._root
        for _ in range(self._height):
            node = node[1][(bisect_right(node[0], key) or 1) - 1]
        keys = node[0]
        position = bisect_left(keys, key)
        if position < len(keys) and keys[position] == key:
            value: V = node[1][position]
            return value
        return None

    def at_or_after(self, key: int) -> tuple[int, V] | None:
        """The item with the least key that is not below `key`."""
        node = self._root
        following: _Node | None = None
        depth_of_following = 0
        for depth in range(self._height):
            position = (bisect_right(node[0], key) or 1) - 1
            if position + 1 < len(node[0]):
                following, depth_of_following = node[1][position + 1], depth + 1
            node = node[1][position]
        position = bisect_left(node[0], key)
        if position < len(node[0]):
            return node[0][position], node[1][position]
        if following is None:
            return None
        for _ in range(depth_of_following, self._height):
            following = following[1][0]
        return following[0][0], following[1][0]

    def before(self, key: int) -> tuple[int, V] | None:
        """The item with the greatest key below `key`."""
        node = self._root
        if not node[0] or node[0][0] >= key:
            return None
        for _ in range(self._height):
            node = node[1][bisect_left(node[0], key) - 1]
        position = bisect_left(node[0], key) - 1
        return node[0][position], node[1][position]

    def first(self) -> tuple[int, V] | None:
        """The item with the least key, None where the map is empty."""
        node = self._root
        if not node[0]:
            return None
        for _ in range(self._height):
            node = node[1][0]
        return node[0][0], node[1][0]

    def last(self) -> tuple[int, V] | None:
        """The item with the greatest key, None where the map is empty."""
        node = self._root
        if not node[0]:
            return None
        for _ in range(self._height):
            node = node[1][-1]
        return node[0][-1], node[1][-1]

    def set(self, key: int, value: V) -> "OrderedMap[V]":
        """A map in which `key` has `value`."""
        made, grown = _set(self._root, self._height, key, value)
        if len(made) == 1:
            return self._of(made[0], self._height, self._size + grown)
        root = (tuple(node[0][0] for node in made), made)
        return self._of(root, self._height + 1, self._size + grown)

    def remove(self, key: int) -> "OrderedMap[V]":
        """A map without `key`; raises KeyError where it is not in this one."""
        root = _remove(self._root, self._height, key)
        height = self._height
        while height and len(root[0]) == 1:
            root = root[1][0]
            height -= 1
        return self._of(root, height, self._size - 1)

    def check(self) -> None:
        """Assert what holds of every map: sorted, balanced, no node too full, separators right."""
        assert sum(1 for _ in self.items()) == self._size
        _check(self._root, self._height, None)


def _walk(node: _Node, height: int, backwards: bool) -> Iterator[tuple[int, Any]]:
    order = range(len(node[0]))
    for position in reversed(order) if backwards else order:
        if height:
            yield from _walk(node[1][position], height - 1, backwards)
        else:
            yield node[0][position], node[1][position]


def _set(node: _Node, height: int, key: int, value: Any) -> tuple[tuple[_Node, ...], bool]:
    """Set below a node: the one or two nodes that replace it, and whether a key was added."""
    keys, values = node
    if height:
        position = (bisect_right(keys, key) or 1) - 1
        made, grown = _set(values[position], height - 1, key, value)
        values = values[:position] + made + values[position + 1 :]
        # The least key changes only where the new key is below all others of the tree.
        if len(made) == 2 or key < keys[position]:
            keys = keys[:position] + tuple(child[0][0] for child in made) + keys[position + 1 :]
    else:
        position = bisect_left(keys, key)
        grown = position == len(keys) or keys[position] != key
        skipped = position if grown else position + 1
        values = (*values[:position], value, *values[skipped:])
        if grown:
            keys = (*keys[:position], key, *keys[position:])
    if len(keys) <= FAN_OUT:
        return ((keys, values),), grown
    half = len(keys) // 2
    return ((keys[:half], values[:half]), (keys[half:], values[half:])), grown


def _remove(node: _Node, height: int, key: int) -> _Node:
    keys, values = node
    if not height:
        position = bisect_left(keys, key)
        if position == len(keys) or keys[position] != key:
            raise KeyError(key)
        return keys[:position] + keys[position + 1 :], values[:position] + values[position + 1 :]
    position = (bisect_right(keys, key) or 1) - 1
    child = _remove(values[position], height - 1, key)
    if len(child[0]) >= _THIN or len(keys) == 1:
        least = child[0][0] if child[0] else keys[position]
        if least != keys[position]:
            keys = (*keys[:position], least, *keys[position + 1 :])
        return keys, (*values[:position], child, *values[position + 1 :])
    left = position - 1 if position else 0
    pair = (values[left], child) if position else (child, values[1])
    joined = (pair[0][0] + pair[1][0], pair[0][1] + pair[1][1])
    half = len(joined[0]) if len(joined[0]) <= FAN_OUT else len(joined[0]) // 2
    made = [(joined[0][:half], joined[1][:half]), (joined[0][half:], joined[1][half:])]
    kept = tuple(part for part in made if part[0])
    return (
        keys[:left] + tuple(part[0][0] for part in kept) + keys[left + 2 :],
        values[:left] + kept + values[left + 2 :],
    )


def _check(node: _Node, height: int, least: int | None) -> None:
    keys, values = node
    assert len(keys) == len(values) <= FAN_OUT
    assert all(a < b for a, b in pairwise(keys))
    assert least is None or keys[0] == least
    if height:
        assert keys
        for key, child in zip(keys, values, strict=True):
            _check(child, height - 1, key)

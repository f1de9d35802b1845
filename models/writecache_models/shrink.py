"""Shrinking: the smallest part of a trace that still shows what is wrong with it.

Delta debugging over the operations: drop halves, quarters, ... down to single operations, until no
single operation can be dropped, or the tries are used up.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def shrink(items: Sequence[T], shows: Callable[[list[T]], bool], tries: int = 400) -> list[T]:
    """The least list found for which `shows` is true; it must be true of `items`.

    >>> shrink(list(range(20)), lambda part: 3 in part and 17 in part)
    [3, 17]
    """
    current = list(items)
    chunk = max(1, len(current) // 2)
    while tries > 0:
        position = 0
        dropped = False
        while position < len(current) and tries > 0:
            candidate = current[:position] + current[position + chunk :]
            tries -= 1
            if candidate and shows(candidate):
                current = candidate
                dropped = True
            else:
                position += chunk
        if chunk == 1 and not dropped:
            break
        chunk = max(1, chunk // 2)
    return current

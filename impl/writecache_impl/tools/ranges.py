"""Ranges of numbers that were seen."""

from bisect import bisect_left, bisect_right


class Ranges:
    """A set of numbers, as ranges that are ascending and apart.

    >>> seen = Ranges()
    >>> seen.add(10, 20), seen.add(15, 30), seen.add(0, 40), seen.add(5, 35)
    ([(10, 20)], [(20, 30)], [(0, 10), (30, 40)], [])
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, start: int, end: int) -> list[tuple[int, int]]:
        """Add [start, end); what of it was not there."""
        if start >= end:
            return []
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        fresh, at = [], start
        for begin, stop in zip(self._starts[first:last], self._ends[first:last], strict=True):
            if at < begin:
                fresh.append((at, begin))
            at = max(at, stop)
        if at < end:
            fresh.append((at, end))
        if first < last:
            start, end = min(start, self._starts[first]), max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]
        return fresh

"""What is in a log of what is written to a device (dm-log-writes), and how a step has it."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

FLUSH: Final = 1
FUA: Final = 2
DISCARD: Final = 4
"""Flags of an entry, the kernel's."""
LARGEST_COPY: Final = 1024
"""Sectors that kcopyd copies at once: a larger copy is several, and ends after the last of them."""
Line = tuple[Any, ...]
"""An entry as a step has it: flags, sector, length, and the data's digest where there are some."""


class Entry(NamedTuple):
    """Something written to a device."""

    flags: int
    sector: int = 0
    n_sectors: int = 0
    content: bytes = b""
    """None in a flush or a discard."""


class Stored(NamedTuple):
    """A word of persistent memory."""

    place: int
    """Of its first byte on the cache device; a multiple of 8."""
    word: bytes


class Fenced(NamedTuple):
    """What was stored is durable."""


Render = Callable[[Entry], Line]
"""What a step would say of an entry: bytes that nobody defines are known only there."""


class Point(NamedTuple):
    """A flush with the writes before it, or a write with FUA, of a log that was seen."""

    line: Line
    """Empty behind the last flush."""
    writes: Counter[Line]


def points_of(log: Iterable[Sequence[Any]]) -> tuple[Point, ...]:
    """The points of a log that was seen.

    >>> [point.line for point in points_of([[0, 8, 1, "ab"], [1, 0, 0], [2, 0, 1, "cd"]])]
    [(1, 0, 0), (2, 0, 1, 'cd')]
    """
    points: list[Point] = []
    writes: Counter[Line] = Counter()
    for line in map(tuple, log):
        if line[0] & FLUSH:
            points.append(Point(line, writes))
            writes = Counter()
        elif line[0] & FUA:
            points.append(Point(line, Counter()))
        else:
            writes[line] += 1
    return (*points, Point((), writes)) if writes else tuple(points)

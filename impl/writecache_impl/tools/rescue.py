"""Map files of GNU ddrescue: which parts of an image were read from the failing device, which not.

A line is `POSITION SIZE STATUS`, in bytes; a status of `+` is data that was rescued, anything else
is not there: what the image holds in its place means nothing.  The first line that is no comment is
the state of the rescue, not a part.
"""

from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from writecache_impl.tools.errors import ToolError

STATUSES = frozenset("?*/-+")


class Holes:
    """Byte ranges that are unreadable, sorted and apart."""

    def __init__(self, ranges: list[tuple[int, int]] | None = None) -> None:
        merged: list[tuple[int, int]] = []
        for start, end in sorted(ranges or []):
            if merged and start <= merged[-1][1]:
                merged[-1] = merged[-1][0], max(merged[-1][1], end)
            elif end > start:
                merged.append((start, end))
        self._starts = [start for start, _ in merged]
        self._ends = [end for _, end in merged]

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return zip(self._starts, self._ends, strict=True)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(end - start for start, end in self)

    def within(self, start: int, end: int) -> list[tuple[int, int]]:
        """The holes in [start, end), cut to it.

        >>> Holes([(10, 20), (30, 40), (20, 22)]).within(15, 35)
        [(15, 22), (30, 35)]
        """
        found = []
        number = max(bisect_right(self._starts, start) - 1, 0)
        while number < len(self._starts) and self._starts[number] < end:
            if self._ends[number] > start:
                found.append((max(self._starts[number], start), min(self._ends[number], end)))
            number += 1
        return found


def read_map(path: Path, size: int) -> Holes:
    """The holes of an image of `size` bytes that a map file tells of.

    What the map says nothing about was not rescued either.  Raises ToolError for what is no map.
    """
    try:
        text = path.read_text(encoding="ascii")
    except UnicodeDecodeError:
        raise ToolError(f"{path}: not a map file of ddrescue") from None
    lines = [
        (number, line.split())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if not lines:
        raise ToolError(f"{path}: not a map file of ddrescue: there is nothing in it")
    holes: list[tuple[int, int]] = []
    reached = 0
    for number, words in lines[1:]:
        try:
            start, length = int(words[0], 0), int(words[1], 0)
            status = words[2]
            if start < reached or length < 0 or status not in STATUSES:
                raise ValueError
        except (ValueError, IndexError):
            raise ToolError(
                f"{path}: line {number} is no part of a map of ddrescue (position, size, status)"
            ) from None
        holes.append((reached, start))
        if status != "+":
            holes.append((start, start + length))
        reached = start + length
    holes.append((reached, max(size, reached)))
    return Holes([(start, min(end, size)) for start, end in holes if start < size])

"""Map files of GNU ddrescue: which parts of an image were read from the failing device, which not.

A line is `POSITION SIZE STATUS`, in bytes, and begins where the one before ends; a status of `+` is
data that was rescued, anything else is not there: what the image holds in its place means nothing.
The first line that is no comment is the state of the rescue, not a part.  A file that is no map is
refused: it would be read as saying that nothing was rescued.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from writecache_impl.tools.errors import ToolError

STATUSES: Final = frozenset("?*/-+")
STATES: Final = STATUSES | frozenset("FG")
"""Of a rescue: also filling, and generating a map."""
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}|0[0-7]{0,22}|[1-9][0-9]{0,19}")


class _Part(NamedTuple):
    """A line of a map."""

    start: int
    end: int
    status: str


class _LineError(ValueError):
    """A line, by its number, that no map has, and why."""


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
        raise ToolError(f"{path} is not a map file of ddrescue: it is no text") from None
    lines = [
        (number, line.partition("#")[0].split())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if len(lines) < 2 and (not lines or _is_state(lines[0][1])):
        missing = "parts" if lines else "lines"
        raise ToolError(f"{path} is not a map file of ddrescue: there are no {missing} in it")
    try:
        parts = _parts(lines)
    except _LineError as error:
        raise ToolError(f"{path} is not a map file of ddrescue: line {error}") from None
    holes = [(0, parts[0].start)]
    holes += [(part.start, part.end) for part in parts if part.status != "+"]
    holes.append((parts[-1].end, max(size, parts[-1].end)))
    return Holes([(start, min(end, size)) for start, end in holes if start < size])


def _parts(lines: list[tuple[int, list[str]]]) -> list[_Part]:
    """The parts that numbered lines tell of, the first of which is the rescue's state."""
    number, words = lines[0]
    if not _is_state(words):
        raise _LineError(f"{number} is not its state (position, status, pass)")
    parts: list[_Part] = []
    for number, words in lines[1:]:
        try:
            start, length, status = words
            part = _Part(_number(start), _number(start) + _number(length), status)
        except ValueError:
            part = None
        if part is None or part.status not in STATUSES:
            raise _LineError(f"{number} is no part (position, size, status)")
        if parts and part.start != parts[-1].end:
            raise _LineError(f"{number} does not begin where the part before it ends")
        parts.append(part)
    return parts


def _is_state(words: list[str]) -> bool:
    """Whether a line tells where the rescue is, what it does, and, in newer maps, in which pass."""
    numbers = words[:1] + words[2:]
    return (
        len(words) in (2, 3)
        and all(_NUMBER.fullmatch(word) for word in numbers)
        and words[1] in STATES
    )


def _number(word: str) -> int:
    """A number as C reads it: decimal, hexadecimal, or octal.  Raises ValueError.

    >>> _number("0x1F"), _number("31"), _number("037"), _number("0")
    (31, 31, 31, 0)
    """
    if _NUMBER.fullmatch(word) is None:
        raise ValueError(word)
    return int(word, 8 if len(word) > 1 and word.isdigit() and word[0] == "0" else 0)

"""What an undo log consists of: records, where they lie in it, and what it says of itself."""

import json
from array import array
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, Self

from writecache_spec.layout import SUPERBLOCK_SIZE


class Kind(IntEnum):
    """What a record is about."""

    CACHE = 0
    ORIGIN = 1
    BARRIER = 2
    """Everything before it was durable before anything behind it was begun."""
    DONE = 3
    """The change is complete."""
    UNDOING = 4
    """It is being taken back."""
    UNDONE = 5
    """It has been."""


class Place(NamedTuple):
    """Where a record lies in the log, and what it is about."""

    kind: Kind
    offset: int
    length: int
    data_at: int
    """Of the old bytes in the log; 0 where they were zeros."""
    new_checksum: int | None
    """Of what was written; None where something was written over it later."""


class Places:
    """Places by the million."""

    def __init__(self) -> None:
        self._kinds = array("B")
        self._columns = [array("Q") for _ in range(3)]
        self._checksums = array("q")

    def append(self, place: Place) -> None:
        """One more."""
        self._kinds.append(place.kind)
        for column, value in zip(self._columns, place[1:4], strict=True):
            column.append(value)
        self._checksums.append(-1 if place.new_checksum is None else place.new_checksum)

    def __len__(self) -> int:
        return len(self._kinds)

    def __getitem__(self, number: int) -> Place:
        offset, length, data_at = (column[number] for column in self._columns)
        checksum = self._checksums[number]
        new = None if checksum < 0 else checksum
        return Place(Kind(self._kinds[number]), offset, length, data_at, new)

    def __iter__(self) -> Iterator[Place]:
        return (self[number] for number in range(len(self)))

    def __reversed__(self) -> Iterator[Place]:
        return (self[number] for number in reversed(range(len(self))))


class Described(NamedTuple):
    """What a log says of itself."""

    command: str
    cache: str
    origin: str
    offset: int
    superblock: str
    """The cache's, in hexadecimal: it does not change."""
    cache_size: int
    """Bytes."""
    origin_size: int
    """Bytes; 0 without an origin."""
    entries: str
    """A digest of the cache's entries before the change: see `before`."""

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Read the line.  Raises ValueError."""
        value = json.loads(line)
        if not isinstance(value, dict) or set(value) != set(cls._fields):
            raise ValueError("other keys")
        for name, kind in cls.__annotations__.items():
            if not isinstance(value[name], kind):
                raise ValueError(name)
        described = cls(**value)
        if len(bytes.fromhex(described.superblock)) != SUPERBLOCK_SIZE or described.offset < 0:
            raise ValueError("superblock")
        return described

    def is_same(self, other: "Described") -> bool:
        """Whether two may be about the same change, by whatever path the devices were named.

        The entries are not compared: half-way through a change they are not what they were.
        """
        mine, its = (one._replace(cache="", origin="", entries="") for one in (self, other))
        return mine == its

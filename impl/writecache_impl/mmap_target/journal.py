"""Devices in memory that keep every moment: what is durable, what pending, what is promised.

The unit is what a loss of power keeps or loses whole: a sector of 512 bytes, or a word of 8 bytes
of persistent memory.
"""

import threading
from typing import NamedTuple

from writecache_impl.engine.memory import MemoryDevice
from writecache_models.contract import Contract
from writecache_models.volatile import Volatile
from writecache_spec.units import SECTOR_SIZE

WORD_SIZE = 8


class Moment(NamedTuple):
    """Between two things that devices or clients do."""

    disks: tuple[Volatile, Volatile]
    """Cache and origin."""
    contract: Contract
    where: str
    """What came just before it."""


class Journal:
    """The moments of one run, which may have several threads."""

    def __init__(
        self, sizes: tuple[int, int], disks: tuple[Volatile, Volatile], contract: Contract,
        units: tuple[int, int] = (SECTOR_SIZE, SECTOR_SIZE),
    ) -> None:  # fmt: skip
        self.lock = threading.RLock()
        self.disks = disks
        self.contract = contract
        self.units = units
        self.moments = [Moment(disks, contract.fork(), "the beginning")]
        self.devices = tuple(
            JournaledDevice(self, number, content_of(disks[number], sizes[number], units[number]))
            for number in range(2)
        )

    def note(self, where: str) -> None:
        """Remember this moment; with the lock held where others may write."""
        self.moments.append(Moment(self.disks, self.contract.fork(), where))

    def become(self, number: int, disk: Volatile, where: str) -> None:
        """A device has changed."""
        cache, origin = self.disks
        self.disks = (disk, origin) if number == 0 else (cache, disk)
        self.note(where)


class JournaledDevice(MemoryDevice):
    """One of a journal's devices: 0 is the cache, 1 the origin."""

    def __init__(self, journal: Journal, number: int, content: bytes) -> None:
        super().__init__(len(content), content, ("cache", "origin")[number])
        self._journal = journal
        self._number = number

    def write(self, offset: int, data: bytes | memoryview, fua: bool = False) -> None:
        """Write, in whole units."""
        journal, unit = self._journal, self._journal.units[self._number]
        assert offset % unit == len(data) % unit == 0, "a piece of a unit is written"
        with journal.lock:
            super().write(offset, data, fua)
            raw = bytes(data)
            contents = [raw[at : at + unit] for at in range(0, len(raw), unit)]
            disk = journal.disks[self._number].write(offset // unit, contents, fua)
            journal.become(self._number, disk, f"a write of the {self.name} at {offset}")

    def flush(self) -> None:
        """Flush."""
        with self._journal.lock:
            super().flush()
            disk = self._journal.disks[self._number].flush()
            self._journal.become(self._number, disk, f"a flush of the {self.name}")


def content_of(disk: Volatile, size: int, unit: int) -> bytes:
    """What reads of a disk return."""
    content = bytearray(size)
    for place in {*disk.durable, *disk.pending}:
        held = disk.read(place)
        if isinstance(held, bytes):
            content[place * unit : (place + 1) * unit] = held
    return bytes(content)


def disk_of(content: bytes, unit: int) -> Volatile:
    """A disk that holds this durably."""
    zeros = bytes(unit)
    pieces = (content[at : at + unit] for at in range(0, len(content), unit))
    return Volatile({place: piece for place, piece in enumerate(pieces) if piece != zeros})

"""A device in memory with a volatile write cache, whose pending writes a test can drop.

What is written is pending until a flush, unless it says FUA.  A loss of power keeps any subset of
what is pending, sector by sector; `lose_power` lets the caller choose.
"""

from collections.abc import Callable
from typing import NamedTuple

from writecache_impl.engine.devices import Device

_SECTOR = 512


class Pending(NamedTuple):
    """A write of one sector that is not durable."""

    sector: int
    content: bytes


class MemoryDevice(Device):
    """Bytes, of which `durable` survive, and what is pending, the oldest first."""

    def __init__(self, size: int, content: bytes = b"", name: str = "memory") -> None:
        self.name = name
        self.size = size
        self.content = bytearray(content.ljust(size, b"\0"))
        """What a read returns."""
        self.durable = bytearray(self.content)
        self.pending: list[Pending] = []

    def read(self, offset: int, size: int) -> bytes:
        """The bytes as they were written last."""
        if offset < 0 or offset + size > self.size:
            raise OSError(5, f"{self.name} ends at byte {self.size}")
        return bytes(self.content[offset : offset + size])

    def write(self, offset: int, data: bytes | memoryview, fua: bool = False) -> None:
        """Write; pending unless `fua`."""
        end = offset + len(data)
        if offset < 0 or end > self.size:
            raise OSError(5, f"{self.name} ends at byte {self.size}")
        self.content[offset:end] = data
        first, last = offset // _SECTOR, -(-end // _SECTOR)
        if fua:
            self._keep(first, last)
            return
        self.pending += [Pending(sector, self._sector(sector)) for sector in range(first, last)]

    def flush(self) -> None:
        """Make everything durable."""
        self.durable[:] = self.content
        self.pending.clear()

    def discard(self, offset: int, size: int) -> None:
        """Zero it."""
        self.write(offset, bytes(size))

    def close(self) -> None:
        """Let go of it: it stays as it is."""

    def lose_power(self, keeps: Callable[[Pending], bool]) -> bytes:
        """What is left if of the pending writes those are kept that `keeps` says."""
        left = bytearray(self.durable)
        for write in self.pending:
            if keeps(write):
                left[write.sector * _SECTOR : (write.sector + 1) * _SECTOR] = write.content
        return bytes(left)

    def _sector(self, sector: int) -> bytes:
        return bytes(self.content[sector * _SECTOR : (sector + 1) * _SECTOR])

    def _keep(self, first: int, last: int) -> None:
        """These sectors are durable, and what was pending of them is out of date."""
        begin, end = first * _SECTOR, last * _SECTOR
        self.durable[begin:end] = self.content[begin:end]
        self.pending = [write for write in self.pending if not first <= write.sector < last]

"""A log of what is written to a device (dm-log-writes), read while it grows.

One sector for the superblock, whose count of entries lags behind; then for each entry a sector with
its place, length and flags, and what was written, unless it is a discard or a mark.  The log's disk
held zeros before: a header of zeros is the end of what there is so far.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .content import HEX_DIGITS, SECTOR_BYTES, Content, masked

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
ENTRY = struct.Struct("<QQQQ")
MAGIC = 0x6A736677736872


class LogError(Exception):
    """A log is not one, or does not say what the device holds."""


class Entry(NamedTuple):
    """One write, flush, discard or mark."""

    flags: int
    sector: int
    n_sectors: int
    data: bytes
    """Of a mark: its text."""

    def described(self, undefined: Iterable[tuple[int, int]]) -> list[Any]:
        """Return what a step says of it: flags, place, length, and the data's hash, masked."""
        if not self.data:
            return [self.flags, self.sector, self.n_sectors]
        content = masked(self.data, self.sector * SECTOR_BYTES, undefined)
        digest = hashlib.sha256(content).hexdigest()[:HEX_DIGITS]
        return [self.flags, self.sector, self.n_sectors, digest]


class WriteLog:
    """The log on one disk of `size` bytes."""

    def __init__(self, disk: Content, size: int) -> None:
        self.disk, self.size = disk, size
        self.at = SECTOR_BYTES

    def news(self) -> Iterator[Entry]:
        """Yield the entries that came since the last call, in the order of the log."""
        while self.at + SECTOR_BYTES <= self.size:
            header = self.disk[self.at : self.at + SECTOR_BYTES]
            sector, n_sectors, flags, mark_bytes = ENTRY.unpack_from(header)
            if not (flags or n_sectors):
                return
            self.at += SECTOR_BYTES
            if flags & MARK:
                yield Entry(flags, 0, 0, header[ENTRY.size : ENTRY.size + mark_bytes])
                continue
            size = 0 if flags & DISCARD else n_sectors * SECTOR_BYTES
            if self.at + size > self.size:
                break
            yield Entry(flags, sector, n_sectors, self.disk[self.at : self.at + size])
            self.at += size
        raise LogError("the log is full")


def replay(entries: Iterable[Entry], content: bytearray) -> None:
    """Do to a device's content what a log says; what is discarded becomes zeros."""
    for entry in entries:
        if not entry.flags & MARK:
            data = entry.data or bytes(entry.n_sectors * SECTOR_BYTES)
            at = entry.sector * SECTOR_BYTES
            content[at : at + len(data)] = data

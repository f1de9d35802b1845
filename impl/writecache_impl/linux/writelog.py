"""A log of what is written to a device (dm-log-writes), read while it grows.

One sector for the superblock, whose count of entries lags behind; then for each entry a sector with
its place, length and flags, and what was written, unless it is a discard or a mark.  The log's disk
held zeros before: a header of zeros is the end of what there is so far.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from .content import HEX_DIGITS, SECTOR_BYTES, Content, masked
from .errors import HarnessError

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
ENTRY = struct.Struct("<QQQQ")
MAGIC = 0x6A736677736872


class LogError(HarnessError):
    """A log is not one, or does not say what the device holds: it judges nothing."""


class Entry(NamedTuple):
    """One write, flush, discard or mark."""

    flags: int
    sector: int
    n_sectors: int
    data: bytes
    """Of a mark: its text."""

    @property
    def content(self) -> bytes:
        """What its sectors hold when it is done: of a discard zeros."""
        return self.data or bytes(self.n_sectors * SECTOR_BYTES)

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


def in_order(entries: Iterable[Entry], disk: Content) -> list[Entry]:
    """Return entries with what the device was told before a write with FUA before that.

    Such a write is logged at once, and what was complete before it at the next flush, behind it.
    Where both wrote a place the device tells which came last.
    """
    ordered: list[Entry] = []
    since_flush: list[Entry] = []
    for entry in entries:
        later = next((one for one in since_flush if _came_last(one, entry, disk)), None)
        ordered.insert(len(ordered) if later is None else ordered.index(later), entry)
        if entry.flags & FLUSH:
            since_flush = []
        elif entry.flags & FUA:
            since_flush.append(entry)
    return ordered


def _came_last(one: Entry, other: Entry, disk: Content) -> bool:
    """Tell whether both wrote a place that holds what the first wrote, and not the other's."""
    first = max(one.sector, other.sector) * SECTOR_BYTES
    last = min(one.sector + one.n_sectors, other.sector + other.n_sectors) * SECTOR_BYTES
    if first >= last:
        return False
    mine, others = (
        entry.content[first - entry.sector * SECTOR_BYTES : last - entry.sector * SECTOR_BYTES]
        for entry in (one, other)
    )
    return mine != others and disk[first:last] == mine


def replay(entries: Iterable[Entry], content: bytearray) -> None:
    """Do to a device's content what a log says; what is discarded becomes zeros."""
    for entry in entries:
        if not entry.flags & MARK:
            at = entry.sector * SECTOR_BYTES
            content[at : at + entry.n_sectors * SECTOR_BYTES] = entry.content


class TraceLogs:
    """The logs of one trace, each with what its device holds if the log is right."""

    def __init__(self, logs: Mapping[str, WriteLog], images: Mapping[str, bytes]) -> None:
        self.logs = logs
        """By what is logged: `cache`, `origin`, or `both` as one device, the origin first."""
        self.seen: dict[str, list[Entry]] = {name: [] for name in logs}
        """What came with the last look, in the order of the log."""
        self.entries = dict(self.seen)
        """The same in the order in which it was done, as far as that counts."""
        both = {"both": images["origin"] + images["cache"]}
        self.contents = {name: bytearray({**images, **both}[name]) for name in logs}
        self._origin_bytes = len(images["origin"])

    def look(self, disks: Mapping[str, Content]) -> None:
        """Take what was logged since the last look; the disks are quiet."""
        self.seen = {name: list(log.news()) for name, log in self.logs.items()}
        held = {**disks, "both": b""}
        if "both" in self.logs:
            held["both"] = disks["origin"][: self._origin_bytes] + disks["cache"][:]
        for name, entries in self.seen.items():
            self.entries[name] = in_order(entries, held[name])
            replay(self.entries[name], self.contents[name])

    def described(self, undefined: Iterable[tuple[int, int]]) -> dict[str, list[Any]]:
        """Return what came as a step says it; `undefined` are bytes of the cache device."""
        shift = self._origin_bytes
        masks = {
            "cache": list(undefined),
            "both": [(first + shift, last + shift) for first, last in undefined],
        }
        return {
            name: [entry.described(masks.get(name, ())) for entry in entries]
            for name, entries in self.seen.items()
        }

    def check(self, disks: Mapping[str, bytes]) -> None:
        """Raise LogError unless the logs, which have ended, say what the devices hold."""
        found = {**disks, "both": disks["origin"] + disks["cache"]}
        for name, content in self.contents.items():
            if content != found[name]:
                raise LogError(f"the log of {name}, replayed, is not what the device holds")

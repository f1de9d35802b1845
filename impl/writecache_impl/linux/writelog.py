"""A log of what is written to a device (dm-log-writes), read while it grows.

One sector for the superblock, whose count of entries lags behind; then for each entry a sector with
its place, length and flags, and what was written, unless it is a discard or a mark.  The log's disk
held zeros before: a header of zeros is the end of what there is so far.
"""

import hashlib
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from .content import HEX_DIGITS, SECTOR_BYTES, Content, masked
from .errors import HarnessError

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
ENTRY = struct.Struct("<QQQQ")
MAGIC = 0x6A736677736872
RETURNED = b"returned"
"""The text of a mark: an operation that was begun has returned (`guest.player`)."""


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
            data = self.disk[self.at : self.at + size]
            self.at += size
            yield Entry(flags, sector, n_sectors, data)
        raise LogError("the log is full")


def in_order(entries: Iterable[Entry], disk: Content, before: list[Entry]) -> list[Entry]:
    """Return entries in the order in which they were done, as far as that shows.

    A write with FUA is logged at once, and what was complete before it at the next flush, behind
    it: where both wrote a place the device tells which came last. `before` are the writes with FUA
    since the last flush, and is kept up to date; what such an earlier one has overwritten is left
    out.
    """
    ordered: list[Entry] = []
    for entry in entries:
        later = [one for one in before if _came_last(one, entry, disk)]
        if later and later[0] in ordered:
            at = ordered.index(later[0])
            durable = [one for one in ordered[at:] if one.flags & FUA]
            ordered[at:] = [one for one in ordered[at:] if not one.flags & FUA]
            ordered += [entry, *durable]
        else:
            ordered += _without(entry, later)
        if entry.flags & FLUSH:
            before.clear()
        elif entry.flags & FUA:
            before.append(entry)
    return ordered


def _without(entry: Entry, others: Sequence[Entry]) -> Iterator[Entry]:
    """Yield what is left of an entry where others do not lie over it."""
    gone = {sector for one in others for sector in range(one.sector, one.sector + one.n_sectors)}
    if not gone:
        yield entry
        return
    for sector in range(entry.sector, entry.sector + entry.n_sectors):
        if sector not in gone:
            at = (sector - entry.sector) * SECTOR_BYTES
            yield Entry(entry.flags, sector, 1, entry.data[at : at + SECTOR_BYTES])


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


class _Joined:
    """Two contents, one behind the other; no slice lies in both."""

    def __init__(self, first: Content, size: int, second: Content) -> None:
        self.first, self.size, self.second = first, size, second

    def __getitem__(self, index: slice, /) -> bytes:
        if index.start < self.size:
            return self.first[index]
        return self.second[index.start - self.size : index.stop - self.size]


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
        self._before: dict[str, list[Entry]] = {name: [] for name in logs}
        self._origin_bytes = len(images["origin"])

    def look(self, disks: Mapping[str, Content]) -> None:
        """Take what was logged since the last look; the disks are quiet."""
        self.seen = {name: list(log.news()) for name, log in self.logs.items()}
        both = _Joined(disks["origin"], self._origin_bytes, disks["cache"])
        held = {**disks, "both": both}
        for name, entries in self.seen.items():
            self.entries[name] = in_order(entries, held[name], self._before[name])
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

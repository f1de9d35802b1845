"""A log of an emulated kernel's stores to persistent memory, its fences, and its origin's disk.

The emulator's plugin (``memory_log.c``, built here with the host's compiler) sees each store of the
kernel to the memory, each fence and each flush of a line of the processor's cache, in one order,
and what the origin's disk has done by then: that is in a second log, the emulator's own
(blklogwrites, in the format of dm-log-writes).

What is durable when (x86, and dm-writecache's own source): metadata is stored with ``movnti``,
which a fence (``sfence``) makes durable. A block of 1 KiB or more is copied with plain stores, each
line of 64 bytes followed by ``clflushopt``: such a store is durable at a fence behind that; without
it no fence makes it so. Only fences of dm-writecache's own code count: those of others come by
chance.

Kernel facts: ``/proc/modules`` says where a module's code is. The plugin's interface does not tell
the address of a line that is flushed; the source flushes the line that it has just filled, and a
log in which that line is not whole is refused.
"""

import mmap
import struct
import time
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from .compiled import shared_object
from .content import SECTOR_BYTES
from .memory_lines import WORD_BYTES, Event, Fence, Store, described
from .private import HERE, Place
from .writelog import Entry, LogError, WriteLog

SOURCE = HERE / "memory_log.c"
MEMORY, DISK = "memory-log", "disk-log"
HEADER_BYTES = 4096
RECORD = struct.Struct("<QQQ")
LOG_BYTES = 2 << 30
"""Of each log; files with holes, of which what was read becomes one again."""
NEARLY_FULL = 0.9
PLACES = {
    MEMORY: Place(file=MEMORY, size=LOG_BYTES),
    DISK: Place(file=DISK, size=LOG_BYTES),
}
LINE_BYTES = 64
ASKED, WATCHING = 1, 3
START_SECONDS = 30.0
_PLACE_MASK: Final = (1 << 56) - 1


class Kind(IntEnum):
    """What a record is; the plugin's numbers."""

    PLAIN = 1
    NON_TEMPORAL = 2
    FENCE = 3
    FULL_FENCE = 4
    FLUSH_LINE = 5
    DISK_ENTRY = 6


def plugin() -> Path:
    """Return the plugin, built if this source was not yet; KernelUnavailable says why not."""
    return shared_object(SOURCE, "the emulator's plugin")


class MemoryLog:
    """The log of one machine, read while it grows.

    `code` is where dm-writecache's instructions are.
    """

    def __init__(self, log: mmap.mmap, disk: mmap.mmap, code: range) -> None:
        self.log, self.code = log, code
        self.disk_map = disk
        self.disk = WriteLog(disk, len(disk))
        self.at = 0
        self._most = (len(log) - HEADER_BYTES) // RECORD.size
        self._kept: dict[int, bytes] = {}
        """Words that plain stores have left in the processor's cache, by place."""
        self._line: list[int] = []
        """Places of the plain stores since a line was flushed last."""
        self._freed = [HEADER_BYTES, 0]
        self._start()

    def _start(self) -> None:
        """Have the guest watched; it waits for us."""
        struct.pack_into("<Q", self.log, 8, ASKED)
        bound = time.monotonic() + START_SECONDS
        while struct.unpack_from("<Q", self.log, 8) != (WATCHING,):
            if time.monotonic() > bound:
                raise LogError("the emulator's plugin does not answer")
            time.sleep(0.001)

    @property
    def nearly_full(self) -> bool:
        """Whether a machine should not go on with this log."""
        used = max(self.at / self._most, self.disk.at / self.disk.size)
        return used > NEARLY_FULL

    def skip(self) -> None:
        """Forget what there is so far; nothing runs in the guest that uses the disks."""
        self.at = self._count()
        for _ in self.disk.news():
            pass
        self._kept.clear()
        self._line.clear()
        self._free(0, self.log, HEADER_BYTES + self.at * RECORD.size)
        self._free(1, self.disk_map, self.disk.at)

    def _free(self, which: int, log: mmap.mmap, end: int) -> None:
        """Give back the memory of what was read."""
        first, end = self._freed[which], end // mmap.PAGESIZE * mmap.PAGESIZE
        if end > first:
            log.madvise(mmap.MADV_REMOVE, first, end - first)
            self._freed[which] = end

    def _count(self) -> int:
        (count,) = struct.unpack_from("<Q", self.log)
        if count > self._most:
            raise LogError("the log of persistent memory is full")
        return int(count)

    def news(self) -> Iterator[Event]:
        """Yield what came since the last call, in its order.

        A word comes where it may first become durable by a fence: a plain store with the flush of
        its line.  The disk is quiet: what it did after the last record comes at the end.
        """
        end = self._count()
        first, last = (HEADER_BYTES + n * RECORD.size for n in (self.at, end))
        self.at = end
        entries = self.disk.news()
        for pc, what, value in RECORD.iter_unpack(self.log[first:last]):
            kind, place = what >> 56, what & _PLACE_MASK
            if kind == Kind.NON_TEMPORAL:
                yield Store(place, value.to_bytes(WORD_BYTES, "little"))
            elif kind == Kind.PLAIN:
                self._kept[place] = value.to_bytes(WORD_BYTES, "little")
                self._line.append(place)
            elif kind == Kind.FLUSH_LINE:
                yield from self._flush_line(pc)
            elif kind == Kind.DISK_ENTRY:
                if value * SECTOR_BYTES >= self.disk.at:  # else it was taken before it was noted
                    yield self._entry(entries, value)
            elif pc in self.code:
                yield Fence()
        yield from entries

    def _entry(self, entries: Iterator[Entry], sector: int) -> Entry:
        """Return the disk's next entry, which begins at this sector of its log."""
        if self.disk.at != sector * SECTOR_BYTES:
            raise LogError("the two logs do not fit each other")
        entry = next(entries, None)
        if entry is None:
            raise LogError("the disk's log has less than was seen of it")
        return entry

    def _flush_line(self, pc: int) -> Iterator[Store]:
        """The line that was filled just now leaves the processor's cache."""
        if pc not in self.code and not self._line:
            return
        line = {place // LINE_BYTES for place in self._line}
        if len(line) != 1 or len(set(self._line)) != LINE_BYTES // WORD_BYTES:
            raise LogError("a line of the processor's cache is flushed that was not just filled")
        for place in sorted(set(self._line)):
            yield Store(place, self._kept.pop(place))
        self._line.clear()

    @property
    def unflushed(self) -> dict[int, bytes]:
        """Words by place that stay in the processor's cache: no fence makes them durable."""
        return dict(self._kept)


class TraceMemoryLog:
    """The log of one trace, with what both devices hold if it is right."""

    def __init__(self, log: MemoryLog, cache: bytes, origin: bytes) -> None:
        self.log, self.cache, self.origin = log, bytearray(cache), bytearray(origin)
        self.events: list[Event] = []
        """What came with the last look."""
        log.skip()

    def look(self) -> None:
        """Take what was logged since the last look; the devices are quiet."""
        self.events = list(self.log.news())
        for event in self.events:
            if isinstance(event, Store):
                if event.place + WORD_BYTES > len(self.cache):
                    raise LogError("a store beyond the cache device")
                self.cache[event.place : event.place + WORD_BYTES] = event.word
            elif isinstance(event, Entry):
                at = event.sector * SECTOR_BYTES
                self.origin[at : at + event.n_sectors * SECTOR_BYTES] = event.content

    def described(self) -> list[list[Any]]:
        """Return what came as a step says it (`described`)."""
        return described(self.events)

    def check(self, cache: bytes, origin: bytes) -> None:
        """Raise LogError unless the log says what the devices hold."""
        if self.log.unflushed:
            n_words = len(self.log.unflushed)
            raise LogError(f"{n_words} words stay in the processor's cache: no fence is for them")
        for name, logged, held in (("cache", self.cache, cache), ("origin", self.origin, origin)):
            if logged != held:
                raise LogError(f"the log of {name}, replayed, is not what the device holds")

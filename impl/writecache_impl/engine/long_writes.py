"""Long writes to a mapped file: stored, or by system call, whichever waits less for the kernel.

A store into a page that the kernel does not count as dirty waits for it, page by page, many times
as long as the copying takes; a system call does not.  A store into pages that are dirty is only
copying.  So the first long write to a place goes by system call, which gives the file pages.  What
comes later is stored, unless a flush cleans the pages, as on disks: then every long write goes by
system call.  A file system in memory cleans nothing.  Which it is, the first store after a flush
tells, by its page faults.
"""

import mmap
from resource import RUSAGE_THREAD, getrusage
from typing import Final

from writecache_impl.engine.files import write_all

LONG: Final = 2**16
"""Bytes of the shortest write that counts as long, and of which is noted together how."""
_NEW, _HAS_PAGES, _STORED = range(3)


class LongWrites:
    """What has been learned of one mapped file."""

    def __init__(self, fd: int, name: str, mapping: mmap.mmap) -> None:
        self._fd, self._name, self._map = fd, name, mapping
        self._chunks = bytearray(len(mapping) // LONG + 1)
        self._has_stored = self._was_flushed = False
        self._is_cleaned: bool | None = None
        """Whether a flush cleans pages; None: not known yet."""

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write; a file that takes no more is an OSError."""
        end = offset + len(data)
        chunks = slice(offset // LONG, (end - 1) // LONG + 1)
        states = self._chunks[chunks]
        if self._is_cleaned or _NEW in states:
            write_all(self._fd, self._name, data, offset)
            state = _HAS_PAGES
        else:
            before = getrusage(RUSAGE_THREAD).ru_minflt
            self._map[offset:end] = data
            if self._is_cleaned is None and self._was_flushed and _HAS_PAGES not in states:
                faults = getrusage(RUSAGE_THREAD).ru_minflt - before
                self._is_cleaned = faults > len(data) // mmap.PAGESIZE // 2
            state, self._has_stored = _STORED, True
        self._chunks[chunks] = bytes([state]) * len(states)

    def flushed(self) -> None:
        """The file has been flushed, and stored into before."""
        self._was_flushed = self._has_stored

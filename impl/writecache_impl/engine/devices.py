"""Devices: what the engine stands on.  Reading, writing, flushing, discarding, and nothing else.

A write is not durable before a `flush` that begins after it, unless it says `fua`.  Until then a
loss of power keeps any of its sectors of 512 bytes, whatever the others do: whoever implements a
device promises no more, and the engine asks for no more.

Two kinds stand on files or block devices: `MappedDevice`, whose content is mapped into memory (a
cache), and `FileDevice`, which is read and written by system calls (an origin).  Both keep a lock
for as long as they are open, so that nobody else opens them through this module.

Offsets and sizes are bytes and whole sectors, but for the words of 8 bytes that persistent-memory
mode stores.  Every method raises OSError where the device fails.
"""

import errno
import mmap
import os
import stat
from abc import ABC, abstractmethod
from typing import Final

from writecache_impl.engine.errors import UnusableDeviceError
from writecache_impl.engine.files import open_exclusively, read_all, write_all
from writecache_impl.engine.holes import punch
from writecache_impl.engine.long_writes import LONG, LongWrites

_PAGE: Final = mmap.PAGESIZE


class Device(ABC):
    """A string of bytes of fixed size."""

    name: str
    """As messages call it."""
    size: int
    """In bytes, a multiple of 512."""

    @abstractmethod
    def read(self, offset: int, size: int) -> bytes:
        """The bytes as they were written last."""

    @abstractmethod
    def write(self, offset: int, data: bytes | memoryview, fua: bool = False) -> None:
        """Write, and with `fua` make durable.  A write that fails may have written any sector."""

    @abstractmethod
    def flush(self) -> None:
        """Make every write durable that ended before this began."""

    @abstractmethod
    def discard(self, offset: int, size: int) -> None:
        """The bytes are not needed: they become zero, or stay."""

    def prepare(self) -> None:  # noqa: B027 - most have nothing to prepare
        """Get ready to be written.  Before this is called nothing of the device may change."""

    @abstractmethod
    def close(self) -> None:
        """Let go of it.  Nothing is flushed."""


class _OpenFile(Device):
    """A file or block device that is open and locked."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self._flush_error: int | None = None
        self.fd = open_exclusively(self.name)
        try:
            self.regular = stat.S_ISREG(os.fstat(self.fd).st_mode)
            self.size = os.lseek(self.fd, 0, os.SEEK_END) // 512 * 512
        except OSError:
            os.close(self.fd)
            raise

    def check_size(self) -> None:
        """Raise OSError where the file has been cut since it was opened."""
        if self.regular and os.lseek(self.fd, 0, os.SEEK_END) < self.size:
            raise OSError(errno.EIO, f"{self.name} has been truncated")

    def flush(self) -> None:
        """Flush what the kernel has of it, what was stored through a mapping too.

        A flush that failed may have given up what it could not write, and the kernel tells that
        once only: every later one fails, too.
        """
        if self._flush_error is not None:
            raise OSError(self._flush_error, f"{self.name} has failed a flush before")
        self.check_size()
        try:
            os.fdatasync(self.fd)
        except OSError as error:
            self._flush_error = error.errno
            raise

    def discard(self, offset: int, size: int) -> None:
        """Punch a hole where the file system or the device can; else leave it as it is."""
        punch(self.fd, offset, size, self.regular)

    def close(self) -> None:
        """Close it, and with that unlock it."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class FileDevice(_OpenFile):
    """Read and written by system calls."""

    def read(self, offset: int, size: int) -> bytes:
        """Read, as often as it takes; an end of the file before the end is an error."""
        return read_all(self.fd, self.name, size, offset)

    def write(self, offset: int, data: bytes | memoryview, fua: bool = False) -> None:
        """Write, as often as it takes."""
        if offset + len(data) > self.size:
            raise OSError(errno.EIO, f"{self.name} has no byte {offset + len(data) - 1}")
        write_all(self.fd, self.name, data, offset, os.RWF_DSYNC if fua else 0)


class MappedDevice(_OpenFile):
    """Mapped into memory; a store is a write, a load a read.

    A regular file gets all its blocks before anything is stored: a store into a hole that finds no
    room would end the process.  Not when it is opened: whoever refuses it leaves its times alone.
    How long writes get there is `long_writes`' matter.

    Whether a file was cut under it is looked at before each store and each load, and reported.  A
    file that is cut within one, and a load that the disk fails, end the process, as by a crash, and
    what was durable stays (`FileDevice` reports these, too; how they can end in a line:
    `bus_errors`).

    A store may be on its way to the disk while the next one changes the same sector.  The engine
    therefore changes no more of a sector that recovery reads than one word of 8 bytes at a time.
    """

    def __init__(self, path: str | os.PathLike[str], preallocate: bool = True) -> None:
        super().__init__(path)
        try:
            if self.size == 0:
                raise UnusableDeviceError(errno.EINVAL, f"{self.name} is empty")
            self._has_holes = self.regular and preallocate
            self.map = mmap.mmap(self.fd, self.size)
            self._long = LongWrites(self.fd, self.name, self.map)
        except BaseException:
            super().close()
            raise

    def read(self, offset: int, size: int) -> bytes:
        """Load; by system call as long as there may be holes, in which a load can take room."""
        self.check_size()
        if self._has_holes:
            return read_all(self.fd, self.name, size, offset)
        return self.map[offset : offset + size]

    def write(self, offset: int, data: bytes | memoryview, fua: bool = False) -> None:
        """Store; with `fua` wait until the pages are on the disk."""
        self.check_size()
        self.prepare()
        end = offset + len(data)
        if len(data) < LONG:
            self.map[offset:end] = data
        else:
            self._long.write(offset, data)
        if fua:
            self.check_size()
            first = offset // _PAGE * _PAGE
            self.map.flush(first, end - first)

    def flush(self) -> None:
        """Flush what the kernel has of it, what was stored through the mapping too."""
        super().flush()
        self._long.flushed()

    def prepare(self) -> None:
        """Give a regular file all its blocks."""
        if self._has_holes:
            self.check_size()  # one that has been cut would grow again
            try:
                os.posix_fallocate(self.fd, 0, self.size)
            except OSError as error:
                error.filename = self.name
                raise
            self._has_holes = False

    def close(self) -> None:
        """Unmap and close it."""
        if not self.map.closed:
            self.map.close()
        super().close()

"""Images: a file or a block device, opened to be read or to be written, and locked.

What is opened to be read cannot be written: the descriptor does not allow it.  What somebody else
holds is refused: a block device that is mounted or under another device, a file that is locked
(user-mode Linux and QEMU lock their disks) or behind a loop device.
"""

import errno
import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from writecache_impl.tools.errors import InUseError, ToolError, TruncatedError, UnreadableError
from writecache_impl.tools.rescue import Holes

CHUNK: Final = 1 << 20
"""Bytes that are copied at once."""
_LOCK: Final = struct.Struct("hh4xqqi4x")
MEDIUM_ERRORS: Final = frozenset({errno.EIO, errno.ENODATA, errno.EILSEQ})
"""What a device says of sectors that it cannot read."""


class Image:
    """An open image."""

    def __init__(self, path: Path, writable: bool = False, share: bool = False) -> None:
        """Open it.  `share` leaves locks alone: for a file that this program holds already.

        Raises ToolError for what is neither a file nor a block device, and where it is in use.
        """
        self.path, self.writable = path, writable
        self.holes = Holes()
        """Set by whoever has a map of a rescue."""
        kind = os.stat(path).st_mode
        self.is_device = stat.S_ISBLK(kind)
        if not self.is_device and not stat.S_ISREG(kind):
            raise ToolError(f"{path}: neither a file nor a block device")
        flags = (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC
        try:
            self.fd = os.open(path, flags | (os.O_EXCL if self.is_device else 0))
        except OSError as error:
            if error.errno == errno.EBUSY:
                raise InUseError(f"{path}: in use: mounted, or under another device") from None
            raise
        try:
            self.size = os.lseek(self.fd, 0, os.SEEK_END)
            found = os.fstat(self.fd)
            self.identity = found.st_dev, found.st_ino
            self.mode = stat.S_IMODE(found.st_mode)
            """Its permission bits."""
            if not share:
                self._lock()
        except BaseException:
            os.close(self.fd)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close it; the lock ends."""
        os.close(self.fd)

    def _lock(self) -> None:
        shared = not self.writable
        try:
            fcntl.flock(self.fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
            fcntl.fcntl(self.fd, fcntl.F_OFD_SETLK, _LOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                return  # a filesystem without locks
            raise InUseError(f"{self.path}: in use: another program has it locked") from None
        real = os.path.realpath(self.path)
        for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
            with suppress(OSError):
                if backing.read_text().rstrip("\n") == real:
                    raise InUseError(f"{self.path}: in use: behind /dev/{backing.parts[3]}")

    def read(self, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length).

        Raises TruncatedError past the end, UnreadableError for what cannot be had.
        """
        if holes := self.holes.within(offset, offset + length):
            start, end = holes[0]
            raise UnreadableError(f"{self.path}: bytes {start} to {end - 1} were not rescued")
        buffer = bytearray(length)
        self.read_into(memoryview(buffer), offset)
        return bytes(buffer)

    def read_into(self, view: memoryview, offset: int) -> None:
        """Fill a buffer, whatever the map says."""
        done = 0
        while done < len(view):
            try:
                got = os.preadv(self.fd, [view[done:]], offset + done)
            except OSError as error:
                if error.errno in MEDIUM_ERRORS:
                    raise UnreadableError(
                        f"{self.path}: at byte {offset + done}: {error.strerror}"
                    ) from None
                self.name(error)
                raise
            if not got:
                raise TruncatedError(
                    f"{self.path}: ends at byte {offset + done}, "
                    f"{len(view) - done} bytes before what it must hold"
                )
            done += got

    def write(self, offset: int, data: bytes | memoryview) -> None:
        """Write all of it, in place."""
        view = memoryview(data)
        try:
            while view:
                done = os.pwrite(self.fd, view, offset)
                offset += done
                view = view[done:]
        except OSError as error:
            self.name(error)
            raise

    def sync(self) -> None:
        """Make what was written durable."""
        try:
            os.fsync(self.fd)
        except OSError as error:
            self.name(error)
            raise

    def name(self, error: OSError) -> None:
        """Give an error of a call that knows only the descriptor the image's name."""
        if error.filename is None:
            error.filename = str(self.path)

    def data_ranges(self, start: int = 0, end: int | None = None) -> Iterator[tuple[int, int]]:
        """Where the image has data: all of [start, end) but the holes of a sparse file."""
        end = self.size if end is None else min(end, self.size)
        while start < end:
            try:
                begin = os.lseek(self.fd, start, os.SEEK_DATA)
                stop = os.lseek(self.fd, begin, os.SEEK_HOLE)
            except OSError as error:
                if error.errno == errno.ENXIO:
                    return
                begin, stop = start, end
            if begin >= end:
                return
            yield begin, min(stop, end)
            start = stop


def same_file(first: Image, path: Path) -> bool:
    """Whether a path names what is open."""
    with suppress(OSError):
        found = os.stat(path)
        return (found.st_dev, found.st_ino) == first.identity
    return False

"""Files and block devices: opened so that nobody else can, read and written whole."""

import errno
import fcntl
import os
import stat
from pathlib import Path

from writecache_impl.engine.errors import UnusableDeviceError


def open_exclusively(name: str) -> int:
    """Open a file or a block device for reading and writing, so that nobody else can.

    Two that ask for the same exclusion are kept apart: for a block device that is O_EXCL, which
    file systems and device-mapper hold too; for a file it is `flock`.
    """
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        if stat.S_ISBLK(os.stat(name).st_mode):
            flags |= os.O_EXCL
        fd = os.open(name, flags)
    except OSError as error:
        busy = error.errno == errno.EBUSY
        reason = "is in use" if busy else f"cannot be opened: {error.strerror}"
        raise UnusableDeviceError(error.errno or errno.EIO, f"{name} {reason}") from error
    try:
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            raise UnusableDeviceError(errno.ENOTBLK, f"{name} is no file and no block device")
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise UnusableDeviceError(errno.EBUSY, f"{name} is in use") from error
    except BaseException:
        os.close(fd)
        raise
    return fd


def same_file(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> bool:
    """Whether two paths name one file; False where one does not exist."""
    try:
        return Path(first).samefile(second)
    except OSError:
        return False


def read_all(fd: int, name: str, size: int, offset: int) -> bytes:
    """Read, as often as it takes; an end of the file before the end is an error."""
    data = os.pread(fd, size, offset)
    while len(data) < size:
        more = os.pread(fd, size - len(data), offset + len(data))
        if not more:
            raise OSError(errno.EIO, f"{name} ends at byte {offset + len(data)}")
        data += more
    return data


def write_all(fd: int, name: str, data: bytes | memoryview, offset: int, flags: int = 0) -> None:
    """Write, as often as it takes."""
    written = _write_some(fd, data, offset, flags)
    while written < len(data):
        more = _write_some(fd, data[written:], offset + written, flags)
        if not more:
            raise OSError(errno.EIO, f"{name} takes no more at byte {offset + written}")
        written += more


def _write_some(fd: int, data: bytes | memoryview, offset: int, flags: int) -> int:
    if not flags:
        return os.pwrite(fd, data, offset)
    try:
        return os.pwritev(fd, [data], offset, flags)
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
            raise
    written = os.pwrite(fd, data, offset)
    os.fdatasync(fd)
    return written

"""Discarding on Linux: a hole in a file, or a discard of a block device's sectors."""

import ctypes
import errno
import fcntl
import os
import struct
from typing import Final

_KEEP_SIZE: Final = 1
_PUNCH_HOLE: Final = 2
_BLKDISCARD: Final = 0x1277
_UNSUPPORTED: Final = (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EINVAL)


def punch(fd: int, offset: int, size: int, regular: bool) -> None:
    """Discard bytes of an open file or block device; nothing happens where it cannot.

    Raises OSError where it can, and fails.
    """
    try:
        if regular:
            _punch_hole(fd, offset, size)
        else:
            fcntl.ioctl(fd, _BLKDISCARD, struct.pack("QQ", offset, size))
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _punch_hole(fd: int, offset: int, size: int) -> None:
    fallocate = ctypes.CDLL(None, use_errno=True).fallocate64
    fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    if fallocate(fd, _KEEP_SIZE | _PUNCH_HOLE, offset, size):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))

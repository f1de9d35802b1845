"""Reads many pieces of a file, one behind the other, into a buffer.

By few system calls where that is possible (`many`), else by one for each.  A file that is not in
memory, as its slowness tells, is asked for ahead, all pieces at once: a disk that is given one
small read at a time stands idle most of the time.
"""

import os
from array import array
from contextlib import suppress
from time import perf_counter
from typing import Final

from writecache_impl.tools.arithmetic import Reads

FEW: Final = 64
"""Pieces for which it is not worth while to read them together."""
COLD_SECONDS: Final = 30e-6
"""What a piece takes, at least, that comes from a disk."""


class Fetching:
    """Reads pieces of one file."""

    def __init__(self, fd: int, reads: Reads | None) -> None:
        self._fd, self._reads = fd, reads
        self.is_cold = False
        """Whether pieces are asked for ahead; once they are, they always are."""

    def read(self, offsets: "array[int]", lengths: "array[int]", buffer: bytearray) -> bool:
        """Read them; False where not all of them came whole, the buffer then means nothing."""
        if self.is_cold:
            with suppress(OSError):
                for offset, length in zip(offsets, lengths, strict=True):
                    os.posix_fadvise(self._fd, offset, length, os.POSIX_FADV_WILLNEED)
        began = perf_counter()
        if self._reads is not None and len(offsets) > FEW:
            good = self._reads.read(self._fd, offsets, lengths, buffer)
        else:
            good = self._one_by_one(offsets, lengths, buffer)
        taken = perf_counter() - began
        self.is_cold = self.is_cold or taken > COLD_SECONDS * max(len(offsets), FEW)
        return good

    def _one_by_one(self, offsets: "array[int]", lengths: "array[int]", buffer: bytearray) -> bool:
        at = 0
        with memoryview(buffer) as view:
            for offset, length in zip(offsets, lengths, strict=True):
                try:
                    if os.preadv(self._fd, [view[at : at + length]], offset) != length:
                        return False
                except OSError:
                    return False
                at += length
        return True

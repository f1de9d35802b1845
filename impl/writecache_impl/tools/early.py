"""Begins to make durable what was written, so that the sync at the end has less to wait for.

A hint, nothing is promised by it: the disk works while the next batch is being read.
"""

import ctypes
from queue import SimpleQueue
from threading import Thread
from types import TracebackType
from typing import Self

_WRITE = 2
"""SYNC_FILE_RANGE_WRITE: begin, do not wait."""


class EarlyWrites:
    """Asks the kernel, in a thread of its own, to begin writing ranges of a file."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._ranges: SimpleQueue[tuple[int, int] | None] = SimpleQueue()
        self._call = getattr(ctypes.CDLL(None), "sync_file_range", None)
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ranges.put(None)
        self._thread.join()

    def begin(self, start: int, end: int) -> None:
        """Begin to write what is dirty of [start, end)."""
        self._ranges.put((start, end))

    def _run(self) -> None:
        while (piece := self._ranges.get()) is not None:
            if self._call is not None:
                start, end = piece
                offset, length = ctypes.c_int64(start), ctypes.c_int64(end - start)
                self._call(self._fd, offset, length, _WRITE)

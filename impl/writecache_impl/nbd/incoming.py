"""What a client sends, as it comes.

Whatever has come is taken at once, so that of many short requests most cost no system call; their
data is not copied, but looked at where it was received.

A client that sends its next request as soon as it has a reply is polled for a moment before it is
waited for: a thread that sleeps is woken late, and on a processor that has slept, too, and forgot
what it was about.  Not where there is but one processor, nor two clients at once.
"""

import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Final

_BUFFER: Final = 2**17
"""Bytes: longer data is received into a place of its own."""
_KEPT: Final = 2**20
"""Bytes of longer data for which the place is kept."""
_POLL_NS: Final = 100_000
"""How long a client is polled."""
_LIVELY_NS: Final = 1_000_000
"""Who has kept the server waiting for longer is not polled the next time."""
_POLLING: Final = threading.Lock()


class Incoming:
    """A socket's input; not for several threads at once."""

    def __init__(
        self, sock: socket.socket, before_waiting: Callable[[], bool], polls: bool
    ) -> None:
        """`before_waiting` is called whenever nothing is left that has come; it says whether the
        client is all that is waited for, and may be polled.
        """
        self._socket, self._before_waiting = sock, before_waiting
        self._buffer = memoryview(bytearray(_BUFFER))
        self._begin = self._end = 0
        self._long = memoryview(b"")
        self._polls = polls and len(os.sched_getaffinity(0)) > 1
        self._is_lively = False

    def close(self) -> None:
        """Let go of the memory."""
        self._long = self._buffer = memoryview(b"")
        self._begin = self._end = 0

    def take(self, size: int) -> memoryview:
        """The next bytes, which stay there until the next call; raises EOFError or OSError."""
        if len(self._long) > _KEPT:
            self._long = memoryview(b"")
        begin = self._begin
        if self._end - begin < size:
            if size > _BUFFER:
                return self._take_long(size)
            self._receive(size)
            begin = self._begin
        self._begin = begin + size
        return self._buffer[begin : begin + size]

    def _receive(self, size: int) -> None:
        """Let so much come into the buffer."""
        buffer = self._buffer
        if self._begin + size > _BUFFER or self._begin == self._end:
            rest = self._end - self._begin
            buffer[:rest] = bytes(buffer[self._begin : self._end])
            self._begin, self._end = 0, rest
        while self._end - self._begin < size:
            self._end += self._some(buffer[self._end :])

    def _take_long(self, size: int) -> memoryview:
        if len(self._long) < size:
            self._long = memoryview(bytearray(size))
        taken = self._end - self._begin
        self._long[:taken] = self._buffer[self._begin : self._end]
        self._begin = self._end = 0
        while taken < size:
            taken += self._some(self._long[taken:size])
        return self._long[:size]

    def _some(self, place: memoryview) -> int:
        """Receive what has come, or comes next."""
        may_poll = self._before_waiting() and self._is_lively and self._polls
        began = time.perf_counter_ns()
        n_bytes = self._polled(place, began + _POLL_NS) if may_poll else None
        if n_bytes is None:
            n_bytes = self._socket.recv_into(place)
        self._is_lively = time.perf_counter_ns() - began < _LIVELY_NS
        if not n_bytes:
            raise EOFError
        return n_bytes

    def _polled(self, place: memoryview, ends: int) -> int | None:
        """Receive what comes within a moment; None where nothing does."""
        if not _POLLING.acquire(blocking=False):
            return None
        receive = self._socket.recv_into
        try:
            while True:
                try:
                    return receive(place, 0, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    if time.perf_counter_ns() > ends:
                        return None
        finally:
            _POLLING.release()

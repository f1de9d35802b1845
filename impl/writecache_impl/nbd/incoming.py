"""What a client sends, as it comes.

Whatever has come is taken at once, so that of many short requests most cost no system call; their
data is not copied, but looked at where it was received.
"""

import socket
from collections.abc import Callable
from typing import Final

_BUFFER: Final = 2**17
"""Bytes: longer data is received into a place of its own."""


class Incoming:
    """A socket's input; not for several threads at once."""

    def __init__(self, sock: socket.socket, before_waiting: Callable[[], None]) -> None:
        """`before_waiting` is called whenever nothing is left that has come."""
        self._socket, self._before_waiting = sock, before_waiting
        self._buffer = memoryview(bytearray(_BUFFER))
        self._begin = self._end = 0
        self._long = memoryview(b"")

    def take(self, size: int) -> memoryview:
        """The next bytes, which stay there until the next call; raises EOFError or OSError."""
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
        self._before_waiting()
        n_bytes = self._socket.recv_into(place)
        if not n_bytes:
            raise EOFError
        return n_bytes

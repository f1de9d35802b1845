"""A connection: one client, from the greeting to the end.

Several threads serve it, and take turns at reading: whoever has read a request lets the next one
read, does what was asked, and replies. So who waits for a disk, or for room in the cache, keeps
others waiting only while it has locked the engine, as a commit does; and no more requests are held
in memory than there are threads. Threads are started as they are needed. Short writes for which
there is room, and reads of what is in the cache, are done before anybody reads on: a change of
threads takes longer. Of those that have come together the replies go together, before more is
waited for.

The connection ends when the client says so, goes away, or sends what is no NBD.  What it had asked
for by then, completely, is done; a write whose data has not come whole never began.
"""

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from writecache_impl.nbd.incoming import Incoming
from writecache_impl.nbd.negotiation import Agreement, negotiate
from writecache_impl.nbd.protocol import (
    CMD_DISC,
    CMD_WRITE,
    MAXIMUM_PAYLOAD,
    REQUEST_SIZE,
    ProtocolError,
    Request,
    decode_request,
)
from writecache_impl.nbd.requests import Export, at_once, perform

MOST_THREADS: Final = 4
_JOINED: Final = 2**16
"""Bytes of data that are sent together with the reply's head."""
_HELD: Final = 2**20
"""Bytes of replies that may wait for the client to have sent all that has come."""


class Connection:
    """A client's socket, and the threads that serve it."""

    def __init__(
        self,
        sock: socket.socket,
        export: Export,
        ended: Callable[["Connection"], None],
        polls: bool = False,
    ) -> None:
        """`ended` is called when the last thread has let go of it."""
        self._socket, self._export, self._ended = sock, export, ended
        self._incoming = Incoming(sock, self._before_waiting, polls)
        self._replies: list[bytes] = []
        self._n_held = 0
        # To what was done while more had come already; its reader's.
        self._agreement: Agreement | None = None
        self._reading, self._sending = threading.Lock(), threading.Lock()
        self._is_over = False
        self._counting = threading.Lock()
        self._n_threads = 1
        self._n_idle = 0
        self.began = time.monotonic()
        self._first = threading.Thread(target=self._run, name="nbd", daemon=True)

    def start(self) -> None:
        """Serve it, or end it where there are too many threads."""
        try:
            self._first.start()
        except RuntimeError:
            self._leave()

    @property
    def is_negotiating(self) -> bool:
        """Whether it has not come to requests yet."""
        return self._agreement is None

    def finish(self) -> None:
        """Take no more requests; those under way are done and replied to."""
        self._is_over = True
        self._shut(socket.SHUT_RD)

    def cut(self) -> None:
        """Send nothing more either."""
        self._is_over = True
        self._shut(socket.SHUT_RDWR)

    def _shut(self, how: int) -> None:
        # Not when it is closed: its number may be another socket's by then.
        with self._counting, suppress(OSError):
            if self._n_threads:
                self._socket.shutdown(how)

    def _run(self) -> None:
        """The first thread: negotiate, then work as the others do."""
        try:
            self._agreement = negotiate(self._export, self._read, self._send)
        except (ProtocolError, EOFError, OSError):
            pass
        finally:
            if self._agreement is None:
                self._is_over = True
            self._work()

    def _work(self) -> None:
        """Serve requests until it is over; the last thread closes."""
        try:
            while self._serve_some():
                pass
        finally:
            self._is_over = True
            # The others may be waiting for what will not come.
            self._shut(socket.SHUT_RD)
            self._leave()

    def _leave(self) -> None:
        with self._counting:
            self._n_threads -= 1
            if self._n_threads:
                return
        self._socket.close()
        self._incoming.close()
        self._ended(self)

    def _serve_some(self) -> bool:
        """Read requests up to one that may take long, do them and reply; False: it is over."""
        with self._counting:
            self._n_idle += 1
        with self._reading:
            with self._counting:
                self._n_idle -= 1
            taken = self._read_on()
            try:
                self._send_replies()
            except OSError:
                self.cut()
                return False
        if taken is None:
            self._is_over = True
            return False
        self._let_another_read()
        try:
            self._reply(perform(self._export, *taken, self._is_structured))
        except OSError:
            self.cut()
            return False
        return True

    def _read_on(self) -> tuple[Request, bytes] | None:
        """Do what is quickly done, up to a request that may take long; None: it is over."""
        while not self._is_over:
            try:
                request, payload = self._next()
            except (ProtocolError, EOFError, OSError):
                return None
            if request.command == CMD_DISC:
                return None
            reply = at_once(self._export, request, payload, self._is_structured)
            if reply is None:
                # Where it was received the next request will be.
                return request, bytes(payload)
            self._replies += reply
            self._n_held += sum(map(len, reply))
            if self._n_held > _HELD:
                try:
                    self._send_replies()
                except OSError:
                    return None
        return None

    @property
    def _is_structured(self) -> bool:
        """Whether structured replies were agreed on."""
        return self._agreement is not None and self._agreement.structured

    def _let_another_read(self) -> None:
        with self._counting:
            if self._n_idle or self._n_threads == MOST_THREADS or self._is_over:
                return
            self._n_threads += 1
        try:
            threading.Thread(target=self._work, name="nbd", daemon=True).start()
        except RuntimeError:
            # No more threads are to be had: those there are go on.
            with self._counting:
                self._n_threads -= 1

    def _next(self) -> tuple[Request, bytes | memoryview]:
        request = decode_request(self._incoming.take(REQUEST_SIZE))
        if request.command != CMD_WRITE:
            return request, b""
        if request.length > MAXIMUM_PAYLOAD:
            raise ProtocolError(f"a write of {request.length} bytes")
        # Read whatever becomes of the request: the next one stands behind it.
        return request, self._incoming.take(request.length)

    def _read(self, size: int) -> bytes:
        return bytes(self._incoming.take(size))

    def _send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def _before_waiting(self) -> bool:
        """Reply, for the client may wait for that before it sends more; whether nothing is under
        way that a thread which polls would hinder."""
        self._send_replies()
        return self._n_threads - self._n_idle == 1

    def _send_replies(self) -> None:
        """Reply to what was done."""
        if self._replies:
            replies, self._replies, self._n_held = self._replies, [], 0
            self._reply(replies)

    def _reply(self, pieces: list[bytes]) -> None:
        if sum(map(len, pieces)) <= _JOINED:
            pieces = [b"".join(pieces)]
        with self._sending:
            for piece in pieces:
                self._socket.sendall(piece)

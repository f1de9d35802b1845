"""The server: it takes connections, looks after them, and ends in good order.

    server = Server(Export.of(engine), [listen_unix(path)])
    server.run()     # until somebody calls stop()

Nothing that one client does ends the server or another's connection.  A connection that does not
get through its negotiation in `NEGOTIATION_S` is cut, one too many is closed at once.

When it ends, nobody new is taken, requests under way are done and replied to, and a client that
does not take its replies is cut after `GRACE_S`.  The engine is left to whoever opened it.
"""

import os
import selectors
import socket
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from writecache_impl.nbd.connection import Connection
from writecache_impl.nbd.requests import Export
from writecache_impl.nbd.sockets import inode_of, unlink_own

NEGOTIATION_S: Final = 30.0
GRACE_S: Final = 5.0
MOST_CONNECTIONS: Final = 64
_LOOK_S: Final = 1.0


class Server:
    """One export at one or several sockets, which become the server's."""

    def __init__(
        self,
        export: Export,
        listening: Sequence[socket.socket],
        *,
        negotiation_s: float = NEGOTIATION_S,
        grace_s: float = GRACE_S,
        polls: bool = False,
    ) -> None:
        """`polls`: clients are polled for a moment before they are waited for, which is quicker
        where the process has nothing else to do.
        """
        self.export = export
        self._listening = [(sock, inode_of(sock)) for sock in listening]
        self._negotiation_s, self._grace_s, self._polls = negotiation_s, grace_s, polls
        self._connections: set[Connection] = set()
        self._change = threading.Condition()
        self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def stop(self) -> None:
        """Let `run` come to its end; from any thread, or from a signal handler."""
        with suppress(BlockingIOError):
            os.write(self._waker, b"x")

    def run(self) -> None:
        """Serve until `stop` is called; returns when every connection has ended."""
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self._woken, selectors.EVENT_READ)
                for sock, _ in self._listening:
                    sock.setblocking(False)
                    selector.register(sock, selectors.EVENT_READ)
                while self._turn(selector):
                    pass
        finally:
            self._end()

    @property
    def n_connections(self) -> int:
        """How many are open."""
        with self._change:
            return len(self._connections)

    def _turn(self, selector: selectors.BaseSelector) -> bool:
        """Take who has come, and cut who takes too long; False: it is to end."""
        for key, _ in selector.select(_LOOK_S):
            if key.fd == self._woken:
                return False
            if isinstance(key.fileobj, socket.socket):
                self._accept(key.fileobj)
        latest = time.monotonic() - self._negotiation_s
        with self._change:
            slow = [one for one in self._connections if one.is_negotiating and one.began < latest]
        for one in slow:
            one.cut()
        return True

    def _accept(self, listening: socket.socket) -> None:
        try:
            sock, _ = listening.accept()
        except OSError:
            # Gone again, or no descriptors left: it is asked for again, but not at once.
            time.sleep(0.01)
            return
        sock.setblocking(True)
        with suppress(OSError):
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        with self._change:
            if len(self._connections) >= MOST_CONNECTIONS:
                sock.close()
                return
            connection = Connection(sock, self.export, self._ended, self._polls)
            self._connections.add(connection)
        connection.start()

    def _ended(self, connection: Connection) -> None:
        with self._change:
            self._connections.discard(connection)
            self._change.notify_all()

    def _end(self) -> None:
        for sock, inode in self._listening:
            unlink_own(sock, inode)
            sock.close()
        for how in (Connection.finish, Connection.cut):
            with self._change:
                rest = list(self._connections)
            for connection in rest:
                how(connection)
            with self._change:
                self._change.wait_for(lambda: not self._connections, self._grace_s)

    def __del__(self) -> None:
        # Not before: `stop` may come at any time, and must not write into somebody else's file.
        os.close(self._woken)
        os.close(self._waker)

"""Sockets to listen on: a path that only its owner may use, or an address.

NBD knows no passwords: who can connect can read and write.
"""

import errno
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

_BACKLOG: Final = 64
LOOPBACK: Final = "127.0.0.1"


def listen_unix(path: Path) -> socket.socket:
    """Listen at a path, as its owner only; what a dead server has left there is replaced.

    Raises OSError with EADDRINUSE where somebody listens, or where it is no socket.
    """
    _remove_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        sock.bind(os.fspath(path))
        sock.listen(_BACKLOG)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error
    finally:
        os.umask(before)
    return sock


def _remove_stale(path: Path) -> None:
    try:
        is_socket = stat.S_ISSOCK(path.lstat().st_mode)
    except FileNotFoundError:
        return
    if not is_socket:
        raise OSError(errno.EADDRINUSE, "there is a file that is no socket", os.fspath(path))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # One that listens, but has no room for more, is alive too.
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass
    raise OSError(errno.EADDRINUSE, "a server listens there", os.fspath(path))


def listen_tcp(host: str, port: int) -> socket.socket:
    """Listen at an address; port 0 is any that is free.  Raises OSError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except socket.gaierror as error:
        raise OSError(errno.EADDRNOTAVAIL, error.strerror, host) from error
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def parse_address(text: str) -> tuple[str, int]:
    """HOST:PORT, or a port of the loopback address; raises ValueError.

    >>> parse_address("10809"), parse_address(":10809"), parse_address("[::]:1")
    (('127.0.0.1', 10809), ('127.0.0.1', 10809), ('::', 1))
    """
    host, _, digits = text.rpartition(":")
    if not (digits.isascii() and digits.isdigit() and int(digits) < 65536):
        raise ValueError(f"{text} does not end with a port")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    return host or LOOPBACK, int(digits)


def unlink_own(sock: socket.socket, inode: int) -> None:
    """Remove the path of a Unix socket, if it is still the one with this inode number."""
    if sock.family == socket.AF_UNIX and sock.fileno() >= 0:
        path = sock.getsockname()
        with suppress(OSError):
            if os.lstat(path).st_ino == inode:
                os.unlink(path)


def inode_of(sock: socket.socket) -> int:
    """The inode number of a Unix socket's path; 0 for others."""
    return os.lstat(sock.getsockname()).st_ino if sock.family == socket.AF_UNIX else 0


def uri(sock: socket.socket, export: str = "") -> str:
    """What clients call it: an NBD URI."""
    export = quote(export, safe="")
    if sock.family == socket.AF_UNIX:
        return f"nbd+unix:///{export}?socket={quote(os.path.abspath(sock.getsockname()))}"
    host, port = sock.getsockname()[:2]
    return f"nbd://{f'[{host}]' if ':' in host else host}:{port}/{export}"

"""A small client of network block devices: fixed newstyle, simple replies, requests in a row.

Source of the protocol: "The NBD protocol", doc/proto.md of the NetworkBlockDevice project.
"""

import socket
import struct
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from writecache_impl.nbd import protocol as nbd
from writecache_models.conformance.target import (
    LostError,
    MalformedNameError,
    RefusedError,
    UnavailableError,
)

DEFAULT_PORT: Final = 10809
LONGEST_OPTION_REPLY: Final = 2**16
_ERRNOS: Final = {
    1: "EPERM",
    5: "EIO",
    12: "ENOMEM",
    22: "EINVAL",
    28: "ENOSPC",
    75: "EOVERFLOW",
    95: "ENOTSUP",
    108: "ESHUTDOWN",
}
_OPTION: Final = struct.Struct(">QII")
_OPTION_REPLY: Final = struct.Struct(">QIII")
_REQUEST: Final = struct.Struct(">IHHQQI")
_SIMPLE: Final = struct.Struct(">IIQ")


class Address(NamedTuple):
    """Where a server listens, and which of its exports is meant."""

    family: socket.AddressFamily
    where: str | tuple[str, int]
    export: str

    @classmethod
    def of(cls, uri: str) -> "Address":
        """From `nbd://HOST:PORT/EXPORT` or `nbd+unix:///EXPORT?socket=PATH`; MalformedNameError."""
        try:
            parts = urlsplit(uri)
            export = unquote(parts.path.removeprefix("/"))
            if parts.scheme == "nbd+unix":
                (path,) = parse_qs(parts.query)["socket"]
                return cls(socket.AF_UNIX, path, export)
            if parts.scheme != "nbd" or not uri.startswith("nbd://"):
                raise ValueError("another form")
            host, port = parts.hostname or "localhost", parts.port or DEFAULT_PORT
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return cls(family, (host, port), export)
        except (ValueError, KeyError):
            forms = "nbd://HOST:PORT/EXPORT nor nbd+unix:///EXPORT?socket=PATH"
            raise MalformedNameError(f"{uri} is neither {forms}") from None


class Request(NamedTuple):
    """What is asked."""

    command: int
    offset: int = 0
    """Bytes."""
    length: int = 0
    flags: int = 0
    data: bytes = b""


class Connection:
    """A connection to an export; not for several threads at once."""

    def __init__(self, address: Address, seconds: float) -> None:
        """Connect and negotiate; `seconds` is how long anything may take.  UnavailableError."""
        self.size = 0
        self.flags = 0
        self.block_size = 1
        """The least that may be asked."""
        self._cookie = 0
        self._socket = socket.socket(address.family, socket.SOCK_STREAM)
        self._socket.settimeout(seconds)
        try:
            self._socket.connect(address.where)
            self._negotiate(address.export)
        except (OSError, LostError, UnavailableError) as error:
            self._socket.close()
            reason = getattr(error, "strerror", None) or error
            raise UnavailableError(f"{address.where}: {reason}") from None

    def _negotiate(self, export: str) -> None:
        magic, option_magic, flags = struct.unpack(">QQH", self._take(18))
        if (magic, option_magic) != (nbd.GREETING_MAGIC, nbd.OPTION_MAGIC):
            raise UnavailableError("no server of network block devices in the newstyle listens")
        agreed = flags & (nbd.FIXED_NEWSTYLE | nbd.NO_ZEROES)
        if not agreed & nbd.FIXED_NEWSTYLE:
            raise UnavailableError("the server does not know the fixed newstyle")
        name = export.encode()
        wanted = struct.pack(">I", len(name)) + name + struct.pack(">HH", 1, nbd.INFO_BLOCK_SIZE)
        option = _OPTION.pack(nbd.OPTION_MAGIC, nbd.OPT_GO, len(wanted))
        self._send(struct.pack(">I", agreed) + option + wanted)
        while True:
            magic, _, kind, length = _OPTION_REPLY.unpack(self._take(_OPTION_REPLY.size))
            if magic != nbd.OPTION_REPLY_MAGIC or length > LONGEST_OPTION_REPLY:
                raise UnavailableError("the server's reply to GO is no reply to an option")
            data = self._take(length)
            if kind == nbd.REP_ACK:
                break
            if kind != nbd.REP_INFO or length < 2:
                said = data.decode(errors="replace") or f"reply {kind:#x}"
                raise UnavailableError(f"the server refuses the export {export!r}: {said}")
            self._learn(data)
        if not self.size:
            raise UnavailableError("the server tells no size, or one of 0")

    def _learn(self, data: bytes) -> None:
        (what,) = struct.unpack_from(">H", data)
        if what == nbd.INFO_EXPORT and len(data) == 12:
            self.size, self.flags = struct.unpack_from(">QH", data, 2)
        elif what == nbd.INFO_BLOCK_SIZE and len(data) == 14:
            (self.block_size,) = struct.unpack_from(">I", data, 2)

    def ask(self, request: Request) -> bytes:
        """Ask and wait; the data of a read.  Raises RefusedError or LostError."""
        (result,) = self.exchange([request])
        if isinstance(result, RefusedError):
            raise result
        return result

    def exchange(self, requests: Sequence[Request]) -> list[bytes | RefusedError]:
        """Ask for several things before any is replied to; what each returned.  LostError."""
        first = self._cookie + 1
        self._cookie += len(requests)
        frames = b"".join(
            _REQUEST.pack(nbd.REQUEST_MAGIC, one.flags, one.command, cookie, one.offset, one.length)
            + one.data
            for cookie, one in enumerate(requests, first)
        )
        # Who sends much without reading can wait for a server that waits to send.
        problems: list[LostError] = []
        sender = threading.Thread(target=self._send_all, args=(frames, problems))
        if len(requests) > 1:
            sender.start()
        else:
            self._send(frames)
        results: dict[int, bytes | RefusedError] = {}
        try:
            while len(results) < len(requests):
                self._reply(requests, first, results)
        finally:
            if len(requests) > 1:
                if len(results) < len(requests):
                    self.close()
                sender.join()
        if problems:
            raise problems[0]
        return [results[number] for number in range(len(requests))]

    def _reply(
        self, requests: Sequence[Request], first: int, results: dict[int, bytes | RefusedError]
    ) -> None:
        magic, error, cookie = _SIMPLE.unpack(self._take(_SIMPLE.size))
        number = cookie - first
        if magic != nbd.SIMPLE_REPLY_MAGIC:
            raise LostError(f"a reply begins with {magic:#x}")
        if not 0 <= number < len(requests) or number in results:
            raise LostError(f"a reply to request {cookie}, which nobody waits for")
        if error:
            results[number] = RefusedError(_ERRNOS.get(error, "EINVAL"), f"NBD's error {error}")
            return
        is_read = requests[number].command == nbd.CMD_READ
        results[number] = self._take(requests[number].length) if is_read else b""

    def _send_all(self, data: bytes, problems: list[LostError]) -> None:
        try:
            self._send(data)
        except LostError as error:
            problems.append(error)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise LostError(f"a request cannot be sent: {_why(error)}") from None

    def _take(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            try:
                part = self._socket.recv(min(size - len(data), 2**20))
            except OSError as error:
                came = f"{len(data):,} of {size:,} bytes of a reply" if data else "no reply"
                raise LostError(f"{came}: {_why(error)}") from None
            if not part:
                raise LostError("the server has ended the connection")
            data += part
        return bytes(data)

    def close(self, politely: bool = False) -> None:
        """Leave."""
        if politely:
            with suppress(LostError):
                self._send(_REQUEST.pack(nbd.REQUEST_MAGIC, 0, nbd.CMD_DISC, 0, 0, 0))
        self._socket.close()


def _why(error: OSError) -> str:
    return "it takes too long" if isinstance(error, TimeoutError) else error.strerror or str(error)

"""Requests: what each asks of the engine, and what is replied.

A request is looked at first, and one that is refused changes nothing:

  * unknown commands and flags, nothing to do, what is no whole blocks: EINVAL;
  * behind the end: ENOSPC for what writes, else EINVAL;
  * what writes to an export that is only read: EPERM.

Then the engine does it, and what it promises is the client's: a reply to a write is not a promise
before a flush, a reply to a flush covers every write that was replied to, on any connection.
Trimming and zeroing with FUA end with a flush, which promises more than was asked.
"""

import errno
from typing import Final, NamedTuple, Protocol

from writecache_impl.nbd.protocol import (
    CAN_MULTI_CONN,
    CMD_FLUSH,
    CMD_READ,
    CMD_TRIM,
    CMD_WRITE,
    CMD_WRITE_ZEROES,
    FLAG_DF,
    FLAG_FUA,
    FLAG_NO_HOLE,
    HAS_FLAGS,
    MAXIMUM_PAYLOAD,
    READ_ONLY,
    SEND_DF,
    SEND_FLUSH,
    SEND_FUA,
    SEND_TRIM,
    SEND_WRITE_ZEROES,
    Request,
    data_chunk,
    error_chunk,
    simple_reply,
)

BEHIND_END: Final = "behind the end"
ONLY_READ: Final = "it is only read"
SHORT: Final = 2**20
"""Bytes of the longest write that is no matter for another thread."""
_PIECE: Final = 2**20
_ZEROS: Final = bytes(_PIECE)
_RANGED: Final = (CMD_READ, CMD_WRITE, CMD_TRIM, CMD_WRITE_ZEROES)
_FLAGS_OF: Final = {
    CMD_READ: FLAG_FUA,
    CMD_WRITE: FLAG_FUA,
    CMD_FLUSH: FLAG_FUA,
    CMD_TRIM: FLAG_FUA,
    CMD_WRITE_ZEROES: FLAG_FUA | FLAG_NO_HOLE,
}
_ERRORS: Final = {
    errno.EPERM: 1,
    errno.EIO: 5,
    errno.ENOMEM: 12,
    errno.EINVAL: 22,
    errno.ENOSPC: 28,
    errno.ENODEV: 108,
}
"""Errno to the protocol's number; a closed engine is a server that shuts down."""


class Device(Protocol):
    """What is served: the engine, or what is like it to a client.  Any thread may call."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def block_size(self) -> int:
        """Bytes."""

    def read(self, offset: int, size: int) -> bytes:
        """Read whole blocks; raises OSError, as all of them."""

    def peek(self, offset: int, size: int) -> bytes | None:
        """Read what can be had without waiting for a disk; None: it takes a `read`."""

    def has_room(self, size: int) -> bool:
        """Whether a write of so many bytes waits for no disk, as far as can be seen."""

    def write(self, offset: int, data: bytes | memoryview, *, fua: bool = False) -> None:
        """Write whole blocks."""

    def discard(self, offset: int, size: int) -> None:
        """Forget whole blocks."""

    def flush(self) -> None:
        """Make all that was written durable."""


class Export(NamedTuple):
    """What clients see."""

    device: Device
    name: str
    size: int
    """Bytes."""
    block_size: int
    """Bytes: requests are whole blocks."""
    read_only: bool = False

    @classmethod
    def of(cls, device: Device, name: str = "", read_only: bool = False) -> "Export":
        """A device under a name."""
        return cls(device, name, device.size, device.block_size, read_only)

    def flags(self, structured: bool) -> int:
        """The transmission flags; `structured`: these replies have been agreed on."""
        flags = HAS_FLAGS | SEND_FLUSH | CAN_MULTI_CONN
        flags |= READ_ONLY if self.read_only else SEND_FUA | SEND_TRIM | SEND_WRITE_ZEROES
        return flags | SEND_DF if structured else flags


def refusal(export: Export, request: Request, structured: bool) -> str:
    """Why a request is refused without the engine; empty if it is not."""
    flags = _FLAGS_OF.get(request.command)
    if flags is None:
        return "no such command"
    if structured and request.command == CMD_READ:
        flags |= FLAG_DF
    if request.flags & ~flags:
        return "no such flags"
    offset, length = request.offset, request.length
    if request.command not in _RANGED:
        return "a flush has no range" if offset or length else ""
    if not length:
        return "nothing to do"
    if export.read_only and request.command != CMD_READ:
        return ONLY_READ
    if (offset | length) % export.block_size:
        return f"no whole blocks of {export.block_size} bytes"
    if request.command == CMD_READ and length > MAXIMUM_PAYLOAD:
        return "too long"
    if offset + length > export.size:
        return BEHIND_END
    return ""


def perform(
    export: Export, request: Request, payload: bytes | memoryview, structured: bool
) -> list[bytes]:
    """Do what a client asks; the reply's pieces.  The payload has the request's length."""
    problem, error, data = refusal(export, request, structured), 0, b""
    if problem:
        writes = request.command in (CMD_WRITE, CMD_WRITE_ZEROES)
        error = errno.ENOSPC if writes and problem is BEHIND_END else errno.EINVAL
        error = errno.EPERM if problem is ONLY_READ else error
    else:
        try:
            data = _ask(export.device, request, payload)
        except OSError as failure:
            error, problem = _told(failure)
    if error:
        return _refused(request, structured, error, problem)
    return _reply(request, structured, data)


def at_once(
    export: Export, request: Request, payload: bytes | memoryview, structured: bool
) -> list[bytes] | None:
    """Do what is mostly done sooner than another thread has taken over; None for the rest.

    Short writes for which there is room in the cache, and reads of what is there.
    """
    if request.command == CMD_WRITE:
        is_short = not request.flags and request.length <= SHORT
        if not is_short or not export.device.has_room(request.length):
            return None
        return perform(export, request, payload, structured)
    if request.command != CMD_READ or refusal(export, request, structured):
        return None
    try:
        data = export.device.peek(request.offset, request.length)
    except OSError as failure:
        return _refused(request, structured, *_told(failure))
    return None if data is None else _reply(request, structured, data)


def _told(failure: OSError) -> tuple[int, str]:
    """The protocol's number for a failure, and words."""
    number = _ERRORS.get(failure.errno or errno.EIO, errno.EIO)
    return number, failure.strerror or "failed"


def _refused(request: Request, structured: bool, error: int, words: str) -> list[bytes]:
    if request.command == CMD_READ and structured:
        return [error_chunk(request.cookie, error, words)]
    return [simple_reply(request.cookie, error)]


def _reply(request: Request, structured: bool, data: bytes) -> list[bytes]:
    """Structured replies are for reads alone; simple ones may answer the rest."""
    if request.command == CMD_READ and structured:
        return [data_chunk(request.cookie, request.offset, len(data)), data]
    head = simple_reply(request.cookie, 0)
    return [head, data] if data else [head]


def _ask(engine: Device, request: Request, payload: bytes | memoryview) -> bytes:
    fua = bool(request.flags & FLAG_FUA)
    if request.command == CMD_READ:
        return engine.read(request.offset, request.length)
    if request.command == CMD_WRITE:
        engine.write(request.offset, payload, fua=fua)
        return b""
    if request.command == CMD_TRIM:
        engine.discard(request.offset, request.length)
    elif request.command == CMD_WRITE_ZEROES:
        _write_zeros(engine, request.offset, request.offset + request.length)
    if fua or request.command == CMD_FLUSH:
        engine.flush()
    return b""


def _write_zeros(engine: Device, offset: int, end: int) -> None:
    """Write zeros: a discard promises none."""
    for begin in range(offset, end, _PIECE):
        engine.write(begin, memoryview(_ZEROS)[: end - begin])

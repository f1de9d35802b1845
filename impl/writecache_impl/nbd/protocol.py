"""The numbers and the frames of the NBD protocol.  All are big endian.

Names are the protocol's, without their prefix NBD_.  Sizes and offsets are bytes.
"""

import struct
from typing import Final, NamedTuple

# The handshake

GREETING_MAGIC: Final = 0x4E42444D41474943
"""NBDMAGIC: what a server says first."""
OPTION_MAGIC: Final = 0x49484156454F5054
"""IHAVEOPT: before the server's flags, and before each option of the client."""
OPTION_REPLY_MAGIC: Final = 0x0003E889045565A9

FIXED_NEWSTYLE: Final = 1
NO_ZEROES: Final = 2
"""The answer to EXPORT_NAME is not followed by 124 bytes of zeros."""

OPT_EXPORT_NAME: Final = 1
OPT_ABORT: Final = 2
OPT_LIST: Final = 3
OPT_INFO: Final = 6
OPT_GO: Final = 7
OPT_STRUCTURED_REPLY: Final = 8

REP_ACK: Final = 1
REP_SERVER: Final = 2
REP_INFO: Final = 3
REP_ERR_UNSUP: Final = 2**31 + 1
REP_ERR_INVALID: Final = 2**31 + 3
REP_ERR_UNKNOWN: Final = 2**31 + 6
"""There is no such export."""

INFO_EXPORT: Final = 0
INFO_NAME: Final = 1
INFO_BLOCK_SIZE: Final = 3

# What an export can do

HAS_FLAGS: Final = 1 << 0
READ_ONLY: Final = 1 << 1
SEND_FLUSH: Final = 1 << 2
SEND_FUA: Final = 1 << 3
SEND_TRIM: Final = 1 << 5
SEND_WRITE_ZEROES: Final = 1 << 6
SEND_DF: Final = 1 << 7
"""Not to fragment a read; for structured replies only."""
CAN_MULTI_CONN: Final = 1 << 8
"""A flush on one connection is one for writes that have ended on any."""

# Requests and replies

REQUEST_MAGIC: Final = 0x25609513
SIMPLE_REPLY_MAGIC: Final = 0x67446698
STRUCTURED_REPLY_MAGIC: Final = 0x668E33EF

CMD_READ: Final = 0
CMD_WRITE: Final = 1
CMD_DISC: Final = 2
CMD_FLUSH: Final = 3
CMD_TRIM: Final = 4
CMD_WRITE_ZEROES: Final = 6

FLAG_FUA: Final = 1 << 0
FLAG_NO_HOLE: Final = 1 << 1
FLAG_DF: Final = 1 << 2

REPLY_DONE: Final = 1
REPLY_OFFSET_DATA: Final = 1
REPLY_ERROR: Final = 2**15 + 1

MAXIMUM_PAYLOAD: Final = 2**25
"""Bytes of the longest read or write: what clients assume that are told nothing."""

_GREETING: Final = struct.Struct(">QQH")
_OPTION: Final = struct.Struct(">QII")
_OPTION_REPLY: Final = struct.Struct(">QIII")
_REQUEST: Final = struct.Struct(">IHHQQI")
_SIMPLE: Final = struct.Struct(">IIQ")
_CHUNK: Final = struct.Struct(">IHHQI")
OPTION_SIZE: Final = _OPTION.size
REQUEST_SIZE: Final = _REQUEST.size


class ProtocolError(Exception):
    """What a client sent is no NBD: nothing that follows can be understood."""


class Request(NamedTuple):
    """What a client asks; a write's payload comes apart."""

    flags: int
    command: int
    cookie: int
    """The client's own; the reply carries it."""
    offset: int
    length: int


def greeting() -> bytes:
    """What the server says first, 18 bytes."""
    return _GREETING.pack(GREETING_MAGIC, OPTION_MAGIC, FIXED_NEWSTYLE | NO_ZEROES)


def decode_option(header: bytes) -> tuple[int, int]:
    """An option's number, and bytes of its data; raises ProtocolError."""
    magic, option, length = _OPTION.unpack(header)
    if magic != OPTION_MAGIC:
        raise ProtocolError(f"an option begins with {magic:#x}")
    return option, length


def option_reply(option: int, kind: int, data: bytes = b"") -> bytes:
    """A reply to an option."""
    return _OPTION_REPLY.pack(OPTION_REPLY_MAGIC, option, kind, len(data)) + data


def decode_request(header: bytes | memoryview) -> Request:
    """A request from its 28 bytes; raises ProtocolError.

    >>> decode_request(bytes.fromhex("25609513 0001 0003" + "00" * 7 + "07" + "00" * 12))
    Request(flags=1, command=3, cookie=7, offset=0, length=0)
    """
    magic, flags, command, cookie, offset, length = _REQUEST.unpack(header)
    if magic != REQUEST_MAGIC:
        raise ProtocolError(f"a request begins with {magic:#x}")
    return Request(flags, command, cookie, offset, length)


def simple_reply(cookie: int, error: int = 0) -> bytes:
    """A reply without data, or the head of one with; `error` is an errno of the protocol."""
    return _SIMPLE.pack(SIMPLE_REPLY_MAGIC, error, cookie)


def data_chunk(cookie: int, offset: int, length: int) -> bytes:
    """The head of a structured reply whose only chunk is `length` bytes of data."""
    head = (STRUCTURED_REPLY_MAGIC, REPLY_DONE, REPLY_OFFSET_DATA, cookie, 8 + length)
    return _CHUNK.pack(*head) + struct.pack(">Q", offset)


def error_chunk(cookie: int, error: int, message: str) -> bytes:
    """A structured reply that is an error."""
    text = message.encode()[:4096]
    head = (STRUCTURED_REPLY_MAGIC, REPLY_DONE, REPLY_ERROR, cookie, 6 + len(text))
    return _CHUNK.pack(*head) + struct.pack(">IH", error, len(text)) + text

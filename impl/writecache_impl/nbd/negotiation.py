"""Negotiation: from the greeting to an agreement, or to the end of the connection.

The server greets; the client answers with flags, then sends options, one at a time, each of which
is replied to.  EXPORT_NAME and GO end it with an agreement, ABORT without one.  An option that is
not known is refused, and the client may go on; what is no option at all ends the connection.
"""

import struct
from collections.abc import Callable
from typing import Final

from writecache_impl.nbd import protocol as nbd
from writecache_impl.nbd.protocol import ProtocolError, option_reply
from writecache_impl.nbd.requests import Export

LONGEST_NAME: Final = 4096
"""Bytes of an export's name."""
LONGEST_OPTION: Final = 2**16
"""Bytes of an option's data."""
_PREFERRED_BLOCK: Final = 4096

Read = Callable[[int], bytes]
"""Exactly so many bytes; raises EOFError."""
Send = Callable[[bytes], None]


class Agreement:
    """What the two have agreed on so far."""

    __slots__ = ("no_zeroes", "structured")

    def __init__(self) -> None:
        self.no_zeroes = False
        self.structured = False
        """Reads are replied to with structured replies."""


def negotiate(export: Export, read: Read, send: Send) -> Agreement | None:
    """Negotiate; None where the client leaves, or names another export as old clients do.

    Raises ProtocolError, and what `read` and `send` raise.
    """
    send(nbd.greeting())
    (flags,) = struct.unpack(">I", read(4))
    if flags & ~(nbd.FIXED_NEWSTYLE | nbd.NO_ZEROES):
        raise ProtocolError(f"client flags {flags:#x}")
    agreement = Agreement()
    agreement.no_zeroes = bool(flags & nbd.NO_ZEROES)
    while True:
        option, length = nbd.decode_option(read(nbd.OPTION_SIZE))
        if length > LONGEST_OPTION:
            raise ProtocolError(f"an option of {length} bytes")
        data = read(length)
        if option == nbd.OPT_EXPORT_NAME:
            # The only option without a reply that could refuse it.
            if data != export.name.encode():
                return None
            send(_export_name_reply(export, agreement))
            return agreement
        kind = _answer(export, agreement, option, data, send)
        send(option_reply(option, kind))
        if option == nbd.OPT_ABORT:
            return None
        if option == nbd.OPT_GO and kind == nbd.REP_ACK:
            return agreement


def _answer(export: Export, agreement: Agreement, option: int, data: bytes, send: Send) -> int:
    """Send what goes before the last reply to an option, and return that reply's kind."""
    match option:
        case nbd.OPT_ABORT:
            return nbd.REP_ACK
        case nbd.OPT_LIST if not data:
            name = export.name.encode()
            send(option_reply(option, nbd.REP_SERVER, struct.pack(">I", len(name)) + name))
            return nbd.REP_ACK
        case nbd.OPT_STRUCTURED_REPLY if not data:
            agreement.structured = True
            return nbd.REP_ACK
        case nbd.OPT_INFO | nbd.OPT_GO:
            return _inform(export, agreement, option, data, send)
        case nbd.OPT_LIST | nbd.OPT_STRUCTURED_REPLY:
            return nbd.REP_ERR_INVALID
        case _:
            return nbd.REP_ERR_UNSUP


def _inform(export: Export, agreement: Agreement, option: int, data: bytes, send: Send) -> int:
    """Tell of the export: its size and block sizes always, its name if that is asked for."""
    asked = _decode_info(data)
    if asked is None:
        return nbd.REP_ERR_INVALID
    name, kinds = asked
    if name != export.name.encode():
        return nbd.REP_ERR_UNKNOWN
    flags = export.flags(agreement.structured)
    told = [struct.pack(">HQH", nbd.INFO_EXPORT, export.size, flags)]
    if nbd.INFO_NAME in kinds:
        told.append(struct.pack(">H", nbd.INFO_NAME) + name)
    sizes = (export.block_size, max(export.block_size, _PREFERRED_BLOCK), nbd.MAXIMUM_PAYLOAD)
    told.append(struct.pack(">HIII", nbd.INFO_BLOCK_SIZE, *sizes))
    for one in told:
        send(option_reply(option, nbd.REP_INFO, one))
    return nbd.REP_ACK


def _decode_info(data: bytes) -> tuple[bytes, tuple[int, ...]] | None:
    """The name and the kinds of information that INFO or GO ask for; None: malformed.

    >>> _decode_info(bytes.fromhex("00000001 61 0001 0003"))
    (b'a', (3,))
    >>> _decode_info(bytes.fromhex("00000009 61 0001 0003"))
    """
    if len(data) < 6:
        return None
    (length,) = struct.unpack_from(">I", data)
    if len(data) < 6 + length:
        return None
    name = data[4 : 4 + length]
    (count,) = struct.unpack_from(">H", data, 4 + length)
    if len(data) != 6 + length + 2 * count:
        return None
    return name, struct.unpack_from(f">{count}H", data, 6 + length)


def _export_name_reply(export: Export, agreement: Agreement) -> bytes:
    reply = struct.pack(">QH", export.size, export.flags(agreement.structured))
    return reply if agreement.no_zeroes else reply + bytes(124)

"""Headers and operations of a trace, checked before a kernel sees them."""

import base64
import binascii
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from .content import SECTOR_BYTES

Step = dict[str, Any]
Op = Sequence[Any]

NUMBERS = {
    "write": 3,
    "write_dsync": 3,
    "read": 2,
    "flush": 0,
    "discard": 2,
    "suspend": 0,
    "resume": 0,
    "sleep": 1,
}
REQUESTS = ("write", "write_dsync", "read", "flush", "discard")
MOST_AT_ONCE = 8
DISKS = ("cache", "origin")
POISON = "poison"
"""Of the cache, persistent memory: what is loaded there fails."""
FAULTS = ("error", "flakey", POISON)
NO_LOGS = "none"
ONE_LOG = "one"
MEMORY_LOG = "memory"
LOGS = (NO_LOGS, "each", ONE_LOG, MEMORY_LOG)
"""How a trace can be logged (`guest.logs`, `memorylog`)."""
LONGEST_DELAY = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceHeader:
    """What the harness needs of a trace's header; images decoded, without the zeros after them."""

    table: str
    cache_sectors: int
    origin_sectors: int
    cache_image: bytes = b""
    origin_image: bytes = b""
    cache_delay: int = 0
    """Milliseconds that each read of the cache takes longer."""
    origin_delay: int = 0
    """Milliseconds that each write of the origin takes longer."""
    logs: str = NO_LOGS
    """Of what is written: none, one for `each` device, or `one` for both; or of what is stored in
    persistent memory, and written to the origin."""
    poison: bool = False
    """Whether sectors of persistent memory may be poisoned."""

    @classmethod
    def parse(cls, header: Mapping[str, Any]) -> "TraceHeader":
        """Read a header; ValueError says what is wrong with it."""
        table = header.get("table")
        if not isinstance(table, str):
            raise ValueError("a trace's header needs the key 'table', a text")
        sizes = {key: _sectors(header, key) for key in ("cache_sectors", "origin_sectors")}
        return cls(
            table=table,
            **sizes,
            cache_image=_image(header, "cache_image", sizes["cache_sectors"]),
            origin_image=_image(header, "origin_image", sizes["origin_sectors"]),
            cache_delay=_delay(header, "cache_delay"),
            origin_delay=_delay(header, "origin_delay"),
            logs=_logs(header),
            poison=_poison(header),
        )


def _sectors(header: Mapping[str, Any], key: str) -> int:
    value = header.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"a trace's header needs the key {key!r}, a positive number")
    return value


def _delay(header: Mapping[str, Any], key: str) -> int:
    value = header.get(key, 0)
    if type(value) is not int or not 0 <= value <= LONGEST_DELAY:
        raise ValueError(f"{key} is a whole number from 0 to {LONGEST_DELAY}")
    return value


def _logs(header: Mapping[str, Any]) -> str:
    value = header.get("logs", NO_LOGS)
    if value not in LOGS:
        raise ValueError(f"logs is one of {', '.join(LOGS)}")
    if value != NO_LOGS and header.get("cache_delay"):
        raise ValueError("a trace with logs has no cache_delay")
    if value not in (NO_LOGS, ONE_LOG) and header.get("origin_delay"):
        raise ValueError("a trace with origin_delay and logs has one log")
    return str(value)


def _poison(header: Mapping[str, Any]) -> bool:
    value = header.get(POISON, False)
    if type(value) is not bool or (value and _logs(header) != NO_LOGS):
        raise ValueError(f"{POISON} is true or false, and true where nothing is logged")
    return value


def _image(header: Mapping[str, Any], key: str, sectors: int) -> bytes:
    text = header.get(key)
    if text is None:
        return b""
    size = sectors * SECTOR_BYTES
    try:
        image = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), size + 1)
    except (binascii.Error, zlib.error, TypeError, ValueError) as error:
        raise ValueError(f"{key} is not base64 of zlib: {error}") from None
    if len(image) > size:
        raise ValueError(f"{key} is longer than the device")
    return image


def check_op(op: Op) -> None:
    """Refuse an operation that has no meaning here; ValueError says why."""
    begun = bool(op) and op[0] == "begin"
    kind, *arguments = (op[1:] if begun else op) or [None]
    if not isinstance(kind, str) or (begun and kind == "sleep"):
        raise ValueError(f"not an operation: {op!r}")
    if kind == "write_fua":
        raise ValueError("Linux cannot be asked for write_fua from user space")
    if kind == "together":
        good = 1 < len(arguments) <= MOST_AT_ONCE
        for client in arguments:
            # One request, or several, one after the other.
            requests = client if client and not isinstance(client[0], str) else [client]
            for request in requests:
                check_op(request)
            good = good and all(request[0] in REQUESTS for request in requests)
    elif kind in ("open", "message"):
        good = all(isinstance(word, str) and "\0" not in word for word in arguments)
        good = good and (len(arguments) < 2 if kind == "open" else len(arguments) > 0)
    elif kind == "heal":
        good = len(arguments) == 1 and arguments[0] in DISKS
    elif kind == "fail":
        good = (
            len(arguments) == 4
            and arguments[0] in DISKS
            and arguments[1] in FAULTS
            and all(isinstance(number, int) and number >= 0 for number in arguments[2:])
            and (arguments[1] != POISON or arguments[0] == "cache")
        )
    elif kind in NUMBERS:
        good = len(arguments) == NUMBERS[kind] and all(
            isinstance(number, int) and number >= 0 for number in arguments
        )
    else:
        raise ValueError(f"unknown operation: {kind!r}")
    if not good:
        raise ValueError(f"malformed operation: {list(op)!r}")


def named_start_sectors(table: str) -> frozenset[int]:
    """Return the sectors that a table names as `start_sector`, whether or not they take effect.

    >>> sorted(named_start_sectors("s ORIGIN CACHE 4096 2 Start_Sector 016"))
    [16]

    A number may have any number of digits; old kernels keep the low 64 bits, which the last 64
    digits decide.

    >>> digits = 5000 * "0" + "8", str(2**64 + 16), "1" + 5000 * "0", "0", "8s"
    >>> [sorted(named_start_sectors(f"start_sector {number}")) for number in digits]
    [[8], [16], [0], [0], []]
    """
    words = table.split()
    return frozenset(
        int(number[-64:]) % 2**64
        for name, number in pairwise(words)
        if name.lower() == "start_sector" and re.fullmatch("[0-9]+", number)
    )

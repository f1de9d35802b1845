"""Traces: operations on a new pair of devices, each with what was seen once it had settled."""

import base64
import binascii
import json
import reprlib
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from writecache_models.faults import FaultKind
from writecache_spec.events import Device

FORMAT: Final = 1
Op = list[Any]
"""An operation: its name and its arguments, as in the file."""
Observation = dict[str, Any]
"""What was seen after an operation: the keys of a step but `op`."""

OPERATIONS: Final[Mapping[str, tuple[type, ...]]] = {
    "open": (),
    "write": (int, int, int),
    "write_fua": (int, int, int),
    "write_dsync": (int, int, int),
    "read": (int, int),
    "flush": (),
    "discard": (int, int),
    "message": (),
    "suspend": (),
    "resume": (),
    "sleep": (int,),
    "fail": (str, str, int, int),
    "heal": (str,),
    "together": (),
    "zeroes": (int, int),
    "crash": (int, int),
    "snapshot": (),
}
"""Operations by name, with the types of their arguments.

`fail DEVICE KIND SECTOR COUNT`: from now on, until `heal DEVICE` or another `fail`, these sectors
fail as the device-mapper target KIND makes them (`faults`); the device is `cache` or `origin`.
"""
TARGETS_OWN: Final = ("zeroes", "crash", "snapshot")
"""Operations of which no kernel is asked: `conformance` asks them of targets that can do them.

`zeroes SECTOR COUNT` writes zeros; `crash SEED AFTER`: the power fails, now where AFTER is 0, else
at the I/O of that number from now on; `snapshot`: what the devices hold is given to the reference.
"""
FAULT_WORDS: Final = tuple([one.value for one in kinds] for kinds in (Device, FaultKind))
"""Devices that can fail, and how."""
TOGETHER: Final = "together"
"""Before several clients that begin at once: `["together", ["write", 0, 8, 1], ["flush"]]`.

Each is a request, or a list of requests that it does one after the other.  The step's key of this
name lists what each returned, `errno` and `read`, in their order: of a list a list."""
AT_ONCE: Final = ("write", "write_fua", "write_dsync", "read", "flush", "discard")
"""Requests that may be done together."""
MOST_AT_ONCE: Final = 8
BEGIN: Final = "begin"
"""Before an operation: what it sets in motion is not waited for.

All of it runs but the ends of copies: the header's `origin_delay`, in milliseconds, keeps writes of
the origin under way for that long.  Such a step shows nothing but what the operation returned; the
next one begins at once."""
LONGEST_DELAY: Final = 10_000
"""Of a write of the origin, in milliseconds."""
NO_LOGS: Final = "none"
ONE_LOG: Final = "one"
MEMORY_LOG: Final = "memory"
LOGS: Final = (NO_LOGS, "each", ONE_LOG, MEMORY_LOG)
"""The header's `logs`: whether what was written to the devices was logged (`write_log`).

Each has a log, or both have one, as regions of one device, the origin first.  Then steps have a key
`log`: by device, or for `both`, what was logged, `[flags, sector, length, digest]`; a flush in the
one log has its device's first sector.  In a log of `memory` the cache's part are stores and fences
(`memory_log`)."""
LONGEST_SLEEP: Final = 600_000
"""In milliseconds."""
_TAG_LIMIT: Final = 2**64
LARGEST_DEVICE: Final = 2**23
"""In sectors: 4 GiB."""
_LARGEST_IMAGE: Final = 512 * LARGEST_DEVICE


class VectorError(ValueError):
    """A vector file cannot be used; the text says which file, which line and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """One trace: what was done to a new pair of devices, and what was seen."""

    name: str
    kernel: str | None
    """Release of the kernel that recorded it (`uname -r`)."""
    target: str | None
    """The target's version there."""
    table: str
    cache_sectors: int
    origin_sectors: int
    cache_image: bytes = b""
    """The first bytes of the device; the rest is zero."""
    origin_image: bytes = b""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Other keys of the header."""
    steps: tuple[tuple[Op, Observation], ...] = ()

    @property
    def ops(self) -> list[Op]:
        """The operations alone."""
        return [op for op, _ in self.steps]

    def with_logs(self, kind: str) -> "Trace":
        """The same, to be recorded with logs of this kind (`LOGS`)."""
        return replace(self, extra={**self.extra, "logs": kind}) if kind != NO_LOGS else self

    def header(self) -> dict[str, Any]:
        """The header line's object."""
        return {
            "trace": self.name,
            "format": FORMAT,
            "kernel": self.kernel,
            "target": self.target,
            "table": self.table,
            "cache_sectors": self.cache_sectors,
            "origin_sectors": self.origin_sectors,
            "cache_image": pack_image(self.cache_image),
            "origin_image": pack_image(self.origin_image),
            **self.extra,
        }

    def lines(self) -> Iterator[str]:
        """The trace as lines of JSON."""
        yield _dump(self.header())
        for op, observation in self.steps:
            yield _dump({"op": op, **observation})


def _dump(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))


def pack_image(content: bytes) -> str | None:
    """Encode a device's first bytes for a header; trailing zeros are left out.

    >>> unpack_image(pack_image(bytes([1, 2, 0, 0])))
    b'\\x01\\x02'
    """
    content = content.rstrip(b"\0")
    return base64.b64encode(zlib.compress(content, 9)).decode() if content else None


def unpack_image(text: str | None, largest: int = _LARGEST_IMAGE) -> bytes:
    """Decode an image of a header of at most `largest` bytes; raises ValueError."""
    if text is None:
        return b""
    try:
        unpacker = zlib.decompressobj()
        content = unpacker.decompress(base64.b64decode(text, validate=True), largest + 1)
        if len(content) > largest:
            raise ValueError("longer than the device")
        if not unpacker.eof:
            raise ValueError("not a whole zlib stream")
        return content
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"not a base64 of zlib: {error}") from error


_SHORT: Final = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 60


def shown(value: object) -> str:
    """A value as an error message shows it: cut where it is long.

    >>> shown(["erase", 1]), len(shown("x" * 1000))
    ("['erase', 1]", 60)
    """
    return _SHORT.repr(value)


def op_problem(op: object) -> str | None:
    """What is wrong with an operation, None if nothing is.

    >>> op_problem(["write", 0, 8, 1]), op_problem(["write", 0, -8, 1])
    (None, 'write: its numbers must not be negative, a count not zero')
    """
    if isinstance(op, list) and op[:1] == [BEGIN] and op[1:2] not in ([BEGIN], ["sleep"]):
        return op_problem(op[1:])
    named = isinstance(op, list) and bool(op) and isinstance(op[0], str)
    if not isinstance(op, list) or not named or op[0] not in OPERATIONS:
        return f"unknown operation {shown(op)}"
    name, *arguments = op
    if name == "open":
        fine = len(arguments) <= 1 and all(isinstance(word, str) for word in arguments)
        return None if fine else "open takes at most one table"
    if name == "message":
        fine = bool(arguments) and all(isinstance(word, str) for word in arguments)
        return None if fine else "message takes words"
    if name == TOGETHER:
        return _together_problem(arguments)
    types = OPERATIONS[name]
    if name in ("fail", "heal"):
        words, arguments = arguments[:2], arguments[2:]
        types = types[2:]
        known = zip(words, FAULT_WORDS, strict=False)
        if len(words) != (2 if types else 1) or not all(word in names for word, names in known):
            return f"{name}: a device (cache, origin), and how it fails (error, flakey)"
    if len(arguments) != len(types) or any(type(value) is not int for value in arguments):
        return f"{name} takes {len(types)} whole numbers"
    counts = name != "crash"
    if any(value < 0 for value in arguments) or (counts and 0 in arguments[1:2]):
        return f"{name}: its numbers must not be negative, a count not zero"
    if name == "sleep" and arguments[0] > LONGEST_SLEEP:
        return f"sleep: at most {LONGEST_SLEEP} ms"
    return f"{name}: a number is too large" if max(arguments, default=0) >= _TAG_LIMIT else None


def script_of(client: Any) -> list[Any]:
    """The requests that a client of `together` does, one after the other.

    >>> script_of(["flush"]), script_of([["flush"], ["read", 0, 8]])
    ([['flush']], [['flush'], ['read', 0, 8]])
    """
    is_script = isinstance(client, list) and client and isinstance(client[0], list)
    return client if is_script else [client]


def _together_problem(requests: list[object]) -> str | None:
    if not 2 <= len(requests) <= MOST_AT_ONCE:
        return f"together takes 2 to {MOST_AT_ONCE} clients"
    for request in (request for client in requests for request in script_of(client)):
        if isinstance(request, list) and request[:1] and request[0] not in AT_ONCE:
            return f"together: {shown(request)} is no request"
        if problem := op_problem(request):
            return f"together: {problem}"
    return None

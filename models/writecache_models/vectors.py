"""Vectors: what an implementation of writecache does, step by step, as JSON Lines.

A file holds traces one after the other: a header line, then its step lines; `.xz` files are
compressed.  Readers ignore keys they do not know.  Every error names file and line.
"""

import base64
import binascii
import json
import lzma
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

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
}
"""Operations by name, with the types of their arguments."""
_OBSERVED: Final = ("status", "table", "errno", "error", "read", "cache", "origin")
_TAG_LIMIT: Final = 2**64
_LARGEST_DEVICE: Final = 2**23
"""Sectors: 4 GiB."""
_LARGEST_IMAGE: Final = 512 * _LARGEST_DEVICE


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


def read_traces(path: Path) -> Iterator[Trace]:
    """Read a file's traces one after the other; raises VectorError."""
    header: Trace | None = None
    steps: list[tuple[Op, Observation]] = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        record = _parse_object(line, where)
        if "trace" in record:
            if header is not None:
                yield replace(header, steps=tuple(steps))
            header, steps = _parse_header(record, where), []
        elif header is None:
            raise VectorError(f"{where}: a step before any header")
        else:
            steps.append(_parse_step(record, where))
    if header is None:
        raise VectorError(f"{path}: no trace in it")
    yield replace(header, steps=tuple(steps))


def _lines(path: Path) -> Iterator[str]:
    try:
        if path.suffix == ".xz":
            with lzma.open(path, "rt", encoding="utf-8") as stream:
                yield from stream
        else:
            with path.open(encoding="utf-8") as stream:
                yield from stream
    except OSError as error:
        raise VectorError(f"{path}: {error.strerror or error}") from error
    except (lzma.LZMAError, EOFError) as error:
        raise VectorError(f"{path}: damaged xz file: {error}") from error
    except UnicodeDecodeError as error:
        raise VectorError(f"{path}: not UTF-8: {error.reason}") from error


def _parse_object(line: str, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise VectorError(f"{where}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise VectorError(f"{where}: not an object")
    if "\\u" in line and not _is_text(record):
        raise VectorError(f"{where}: half of a surrogate pair in it")
    return record


def _is_text(record: dict[str, Any]) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except (UnicodeEncodeError, RecursionError):
        return False
    return True


def _parse_header(record: dict[str, Any], where: str) -> Trace:
    if record.get("format") != FORMAT:
        raise VectorError(f"{where}: format {record.get('format')!r} is not {FORMAT}")
    for key in ("trace", "table", "kernel", "target"):
        absent = key in ("kernel", "target") and record.get(key) is None
        if not absent and not isinstance(record.get(key), str):
            raise VectorError(f"{where}: {key} is not a string")
    for key in ("cache_sectors", "origin_sectors"):
        value = record.get(key)
        if type(value) is not int or not 0 < value <= _LARGEST_DEVICE:
            raise VectorError(
                f"{where}: {key} {value!r} is not a number from 1 to {_LARGEST_DEVICE}"
            )
    images = {}
    for key in ("cache_image", "origin_image"):
        try:
            images[key] = unpack_image(
                record.get(key), 512 * record[key.replace("image", "sectors")]
            )
        except (ValueError, TypeError) as error:
            raise VectorError(f"{where}: {key}: {error}") from error
    known = {"trace", "format", "kernel", "target", "table", *images}
    known |= {"cache_sectors", "origin_sectors"}
    return Trace(
        name=record["trace"],
        kernel=record.get("kernel"),
        target=record.get("target"),
        table=record["table"],
        cache_sectors=record["cache_sectors"],
        origin_sectors=record["origin_sectors"],
        cache_image=images["cache_image"],
        origin_image=images["origin_image"],
        extra={key: value for key, value in record.items() if key not in known},
    )


def _parse_step(record: dict[str, Any], where: str) -> tuple[Op, Observation]:
    op = record.pop("op", None)
    problem = op_problem(op)
    if problem:
        raise VectorError(f"{where}: {problem}")
    schedule = record.get("schedule", [])
    if not isinstance(schedule, list) or any(type(choice) is not int for choice in schedule):
        raise VectorError(f"{where}: schedule is not a list of whole numbers")
    for key in _OBSERVED:
        value = record.get(key)
        if value is not None and not isinstance(value, str):
            raise VectorError(f"{where}: {key} is not a string")
    assert isinstance(op, list)
    return op, record


def op_problem(op: object) -> str | None:
    """What is wrong with an operation, None if nothing is.

    >>> op_problem(["write", 0, 8, 1]), op_problem(["write", 0, -8, 1])
    (None, 'write: its numbers must not be negative, a count not zero')
    """
    named = isinstance(op, list) and bool(op) and isinstance(op[0], str)
    if not isinstance(op, list) or not named or op[0] not in OPERATIONS:
        return f"unknown operation {op!r}"
    name, *arguments = op
    if name == "open":
        fine = len(arguments) <= 1 and all(isinstance(word, str) for word in arguments)
        return None if fine else "open takes at most one table"
    if name == "message":
        fine = bool(arguments) and all(isinstance(word, str) for word in arguments)
        return None if fine else "message takes words"
    types = OPERATIONS[name]
    if len(arguments) != len(types) or any(type(value) is not int for value in arguments):
        return f"{name} takes {len(types)} whole numbers"
    if any(value < 0 for value in arguments) or (len(arguments) > 1 and not arguments[1]):
        return f"{name}: its numbers must not be negative, a count not zero"
    return f"{name}: a number is too large" if max(arguments, default=0) >= _TAG_LIMIT else None


def write_traces(path: Path, traces: Iterable[Trace]) -> None:
    """Write a file whole or not at all; raises VectorError."""
    text = "".join(line + "\n" for trace in traces for line in trace.lines())
    content = text.encode()
    if path.suffix == ".xz":
        content = lzma.compress(content, preset=9)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            mask = os.umask(0)
            os.umask(mask)
            Path(temporary).chmod(0o666 & ~mask)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise VectorError(f"{path}: {error.strerror or error}") from error

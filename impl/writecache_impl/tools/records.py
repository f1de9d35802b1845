"""A dump's records, and its two ways to be written: lines of text, and JSON Lines.

    writecache-dump 1 size=36864
    superblock offset=0 magic=0x23489321 version=1 block_size=4096 pad=0 n_blocks=8 seq_count=7 ...
    free 0 3
    entry 4 sector=16 seq_count=5 committed
    data 20480 4096 eJz7...
    unreadable 24576 4096
    end 5 9f86d0...

What no record speaks of is zero.  `free` has the first and the last of entries that are all ones;
the last word of an entry is for the reader alone.  `data` has an offset, a length in bytes, and the
bytes, compressed by zlib, in base64.  `end` has the number of records before it and the SHA-256 of
their lines, so that a dump that was cut is known.
"""

import base64
import json
import re
import zlib
from typing import Any, Final, NamedTuple

from writecache_spec.layout import Superblock
from writecache_spec.units import U32, U64

VERSION: Final = 1


class RecordError(ValueError):
    """Why a line is no record, in words for people."""


class Header(NamedTuple):
    """Begins a dump."""

    size: int
    """Of the image, in bytes."""
    metadata_only: bool = False


class SuperblockAt(NamedTuple):
    """A superblock and where it is."""

    offset: int
    superblock: Superblock


class Free(NamedTuple):
    """Entries that are all ones."""

    first: int
    last: int


class OneEntry(NamedTuple):
    """An entry that is not."""

    block: int
    sector: int
    seq_count: int
    state: str = ""


class Data(NamedTuple):
    """Bytes."""

    offset: int
    data: bytes


class Unreadable(NamedTuple):
    """Bytes that nobody knows."""

    offset: int
    length: int


class End(NamedTuple):
    """Ends a dump."""

    n_records: int
    digest: str


Record = Header | SuperblockAt | Free | OneEntry | Data | Unreadable | End


def as_text(record: Record) -> str:
    """A line of text, without its end."""
    match record:
        case OneEntry(block, sector, seq_count, state):
            return f"entry {block} sector={sector} seq_count={seq_count} {state}"
        case Free(first, last):
            return f"free {first} {last}"
        case Data(offset, data):
            return f"data {offset} {len(data)} {_packed(data)}"
        case Unreadable(offset, length):
            return f"unreadable {offset} {length}"
        case Header(size, metadata_only):
            return f"writecache-dump {VERSION} size={size}{' metadata-only' * metadata_only}"
        case SuperblockAt(offset, superblock):
            fields = " ".join(
                f"{name}={value:#x}" if name == "magic" else f"{name}={value}"
                for name, value in superblock._asdict().items()
                if name != "reserved"
            )
            reserved = ",".join(map(str, superblock.reserved))
            return f"superblock offset={offset} {fields} reserved={reserved}"
        case End(n_records, digest):
            return f"end {n_records} {digest}"


def as_json(record: Record) -> str:
    """A line of JSON, without its end."""
    value: dict[str, Any]
    match record:
        case OneEntry(block, sector, seq_count, state):
            value = {"entry": block, "sector": sector, "seq_count": seq_count, "state": state}
        case Free(first, last):
            value = {"free": [first, last]}
        case Data(offset, data):
            value = {"data": offset, "length": len(data), "zlib": _packed(data)}
        case Unreadable(offset, length):
            value = {"unreadable": offset, "length": length}
        case Header(size, metadata_only):
            value = {"writecache_dump": VERSION, "size": size, "metadata_only": metadata_only}
        case SuperblockAt(offset, superblock):
            value = {"superblock": superblock._asdict(), "offset": offset}
        case End(n_records, digest):
            value = {"end": n_records, "sha256": digest}
    return json.dumps(value, separators=(",", ":"))


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 1)).decode()


def _unpacked(text: str, length: int) -> bytes:
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(base64.b64decode(text, validate=True), length + 1)
    if len(data) != length or not unpacker.eof:
        raise RecordError(f"its data has not {length} bytes")
    return data


_ENTRY: Final = re.compile(r"entry ([0-9]{1,20}) sector=([0-9]{1,20}) seq_count=([0-9]{1,20})\b")
_HEADER: Final = re.compile(r"writecache-dump ([0-9]{1,9}) size=([0-9]{1,20})( metadata-only)?")
_NUMBERS: Final = ("magic", "version", "block_size", "pad", "n_blocks", "seq_count")


def parse(line: str) -> Record:
    """A line of either kind.  Raises RecordError for what is none."""
    try:
        record = _parse_json(line) if line.startswith("{") else _parse_text(line)
    except RecordError:
        raise
    except (ValueError, zlib.error):  # in the words of whoever could not read it
        raise RecordError("no record of a dump") from None
    _check(record)
    return record


def _parse_text(line: str) -> Record:
    if found := _ENTRY.match(line):
        return OneEntry(int(found[1]), int(found[2]), int(found[3]))
    if found := _HEADER.fullmatch(line):
        return _header(int(found[1]), int(found[2]), bool(found[3]))
    words = line.split()
    match words:
        case ["free", first, last]:
            return Free(int(first), int(last))
        case ["data", offset, length, text]:
            return Data(int(offset), _unpacked(text, int(length)))
        case ["unreadable", offset, length]:
            return Unreadable(int(offset), int(length))
        case ["end", n_records, digest]:
            return End(int(n_records), digest)
        case ["superblock", *rest]:
            fields = dict(word.split("=", 1) for word in rest)
            if set(fields) != {"offset", "reserved", *_NUMBERS}:
                raise RecordError("a superblock has other fields")
            reserved = [int(word) for word in fields["reserved"].split(",")]
            numbers = [int(fields[name], 0) for name in _NUMBERS]
            return SuperblockAt(int(fields["offset"]), _superblock(numbers, reserved))
    raise RecordError("no record of a dump")


def _header(version: int, size: int, metadata_only: bool) -> Header:
    if version != VERSION:
        raise RecordError(f"a dump of version {version}; known is {VERSION}")
    return Header(size, metadata_only)


def _superblock(numbers: list[int], reserved: list[int]) -> Superblock:
    if len(reserved) != 4:
        raise RecordError("a superblock has four reserved words")
    magic, version, block_size, pad, n_blocks, seq_count = numbers
    first, second, third, fourth = reserved
    words = (first, second, third, fourth)
    return Superblock(magic, version, block_size, pad, n_blocks, seq_count, words)


def _parse_json(line: str) -> Record:
    try:
        match json.loads(line):
            case {"entry": int(block), "sector": int(sector), "seq_count": int(seq_count)}:
                return OneEntry(block, sector, seq_count)
            case {"free": [int(first), int(last)]}:
                return Free(first, last)
            case {"data": int(offset), "length": int(length), "zlib": str(text)}:
                return Data(offset, _unpacked(text, length))
            case {"unreadable": int(offset), "length": int(length)}:
                return Unreadable(offset, length)
            case {"end": int(n_records), "sha256": str(digest)}:
                return End(n_records, digest)
            case {"writecache_dump": int(version), "size": int(size), **rest}:
                return _header(version, size, bool(rest.get("metadata_only")))
            case {"superblock": dict(fields), "offset": int(offset)}:
                numbers = [int(fields[name]) for name in _NUMBERS]
                reserved = [int(word) for word in fields["reserved"]]
                return SuperblockAt(offset, _superblock(numbers, reserved))
    except (RecursionError, KeyError, TypeError):
        pass
    raise RecordError("no record of a dump")


def _check(record: Record) -> None:
    """Raise RecordError for numbers that do not fit."""
    numbers = [value for value in record if isinstance(value, int)]
    if isinstance(record, SuperblockAt):
        numbers += [*record.superblock[4:6], *record.superblock.reserved]
        if not all(0 <= value < U32 for value in record.superblock[:4]):
            raise RecordError("a number does not fit 32 bits")
    if not all(0 <= value < U64 for value in numbers):
        raise RecordError("a number does not fit 64 bits")
    if isinstance(record, Header) and record.size >= 2**63:
        raise RecordError("no file is that long")
    if isinstance(record, Free) and record.last < record.first:
        raise RecordError("the last comes before the first")

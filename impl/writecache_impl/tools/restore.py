"""`restore`: an image from its dump, byte for byte."""

import hashlib
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final, NamedTuple

from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image
from writecache_impl.tools.output import copy_sparse, grow, new_file
from writecache_impl.tools.records import (
    Data,
    End,
    Free,
    Header,
    OneEntry,
    Record,
    RecordError,
    SuperblockAt,
    Unreadable,
    parse,
)
from writecache_spec.codec import encode_superblock
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE

_LONGEST_LINE: Final = 1 << 18
_ENTRY: Final = struct.Struct("<QQ")
_TOGETHER: Final = 1 << 20
"""Bytes that are gathered before they are written."""


class Restored(NamedTuple):
    """What came of a dump."""

    size: int
    n_entries: int
    n_unreadable: int
    """Records of bytes that the dump does not know."""


def restore(
    lines: IO[bytes],
    output: Path,
    data: Image | None = None,
    edited: bool = False,
    force: bool = False,
    modes: Iterable[int] = (),
) -> Restored:
    """Make the image that a dump describes.

    `data`: an image whose bytes stand where the dump has none, of the same size; `edited`: its
    lines need not be those that its end was written for; `modes` as for `new_file`.  Raises
    ToolError for what is no dump, or not all of one; there is no output then.
    """
    with new_file(output, force, modes) as target:
        return _Restoring(target, data).run(_records(lines, edited))


class _Restoring:
    def __init__(self, target: Image, data: Image | None) -> None:
        self.target, self.data = target, data
        self.size = self.n_entries = self.n_unreadable = 0
        self.entries_at: int | None = None
        self.n_blocks = 0
        self._gathered = bytearray()
        self._gathered_at = 0

    def run(self, records: Iterator[tuple[int, Record]]) -> Restored:
        for number, record in records:
            try:
                self._apply(record)
            except ValueError as error:
                raise ToolError(f"line {number} of the dump: {error}") from None
        self._write_gathered()
        return Restored(self.size, self.n_entries, self.n_unreadable)

    def _apply(self, record: Record) -> None:
        match record:
            case OneEntry(index, sector, seq_count):
                self._put(self._entry_at(index), _ENTRY.pack(sector, seq_count))
                self.n_entries += 1
            case Free(first, last):
                at, end = self._entry_at(first), self._entry_at(last) + ENTRY_SIZE
                while at < end:
                    part = min(_TOGETHER, end - at)
                    self._put(at, b"\xff" * part)
                    at += part
                self.n_entries += last - first + 1
            case Data(offset, data):
                self._put(offset, data)
            case SuperblockAt(offset, superblock):
                self._put(offset, encode_superblock(superblock))
                self.entries_at = offset + SUPERBLOCK_SIZE
                self.n_blocks = superblock.n_blocks
            case Unreadable():
                self.n_unreadable += 1
            case Header(size, _):
                self._begin(size)

    def _begin(self, size: int) -> None:
        self.size = size
        if self.data is not None:
            if self.data.size != size:
                raise ValueError(f"{self.data.path} has {self.data.size} bytes, the dump {size}")
            grow(self.target, size)
            copy_sparse(self.data, self.target)
        else:
            grow(self.target, size)

    def _entry_at(self, index: int) -> int:
        if self.entries_at is None or index >= self.n_blocks:
            raise ValueError(f"there is no entry {index}")
        return self.entries_at + index * ENTRY_SIZE

    def _put(self, offset: int, data: bytes) -> None:
        if offset + len(data) > self.size:
            raise ValueError("it lies past the end of the image")
        if offset != self._gathered_at + len(self._gathered) or len(self._gathered) > _TOGETHER:
            self._write_gathered()
            self._gathered_at = offset
        self._gathered += data

    def _write_gathered(self) -> None:
        self.target.write(self._gathered_at, bytes(self._gathered))
        self._gathered.clear()


def _records(lines: IO[bytes], edited: bool) -> Iterator[tuple[int, Record]]:
    """The records of a dump that is whole, with the numbers of their lines."""
    digest = hashlib.sha256()
    number = 0
    while line := lines.readline(_LONGEST_LINE):
        number += 1
        try:
            record = parse(_text(line))
            if (number == 1) is not isinstance(record, Header):
                raise ValueError("a dump begins with one header")
        except ValueError as error:
            raise ToolError(f"line {number} of the dump: {error}") from None
        if isinstance(record, End):
            if not edited and tuple(record) != (number - 1, digest.hexdigest()):
                raise ToolError(
                    "the dump was changed or is not whole: its end does not agree (--edited)"
                )
            if lines.readline(2):
                raise ToolError("there is something behind the end of the dump")
            return
        digest.update(line)
        yield number, record
    raise ToolError("the dump has no end: not all of it is there" if number else "an empty dump")


def _text(line: bytes) -> str:
    try:
        return line.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        raise RecordError("it is no text, and no record of a dump") from None

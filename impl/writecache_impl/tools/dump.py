"""`dump`: a whole image in readable lines, every byte of it."""

import hashlib
import re
import sys
from array import array
from collections.abc import Callable, Iterator
from typing import Final

from writecache_impl.tools.cache import (
    Cache,
    Entries,
    geometry_of,
    read_superblock,
    superblock_refusal,
)
from writecache_impl.tools.errors import TruncatedError, UnreadableError
from writecache_impl.tools.image import Image
from writecache_impl.tools.records import (
    Data,
    End,
    Free,
    Header,
    OneEntry,
    Record,
    SuperblockAt,
    Unreadable,
    as_json,
    as_text,
)
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE
from writecache_spec.units import SECTOR_SIZE, U64_MAX

PIECE: Final = 1 << 16
"""Bytes in a record of data, at most."""
_ZEROS: Final = re.compile(rb"\0{512,}")


def records(image: Image, offset: int, metadata_only: bool = False) -> Iterator[Record]:
    """All records of an image but the last."""
    yield Header(image.size, metadata_only)
    raw_from = offset
    if not metadata_only:
        yield from _data(image, 0, min(offset, image.size))
    try:
        superblock = read_superblock(image, offset)
    except TruncatedError:
        superblock = None
    except UnreadableError:
        yield Unreadable(offset, SUPERBLOCK_SIZE)
        superblock, raw_from = None, offset + SUPERBLOCK_SIZE
    if superblock is not None:
        yield SuperblockAt(offset, superblock)
        raw_from += SUPERBLOCK_SIZE
        if superblock_refusal(superblock, image.size - offset) is None:
            cache = Cache(image, superblock, geometry_of(superblock, offset, image.size))
            for chunk in cache.entry_chunks():
                yield from _entries(cache, chunk)
            raw_from += superblock.n_blocks * ENTRY_SIZE
    if not metadata_only:
        yield from _data(image, raw_from, image.size)


def _entries(cache: Cache, chunk: Entries) -> Iterator[Record]:
    words = array("Q", chunk.data)
    if sys.byteorder == "big":
        words.byteswap()
    unreadable = set(chunk.unreadable)
    current = cache.superblock.seq_count
    free_from: int | None = None
    for number in range(len(words) // 2):
        index, sector, seq_count = chunk.first + number, words[2 * number], words[2 * number + 1]
        is_known = index not in unreadable
        if sector == seq_count == U64_MAX and is_known:
            free_from = index if free_from is None else free_from
            continue
        if free_from is not None:
            yield Free(free_from, index - 1)
            free_from = None
        if is_known:
            yield OneEntry(index, sector, seq_count, _state(seq_count, current))
        else:
            yield Unreadable(cache.geometry.entry_at(index), ENTRY_SIZE)
    if free_from is not None:
        yield Free(free_from, chunk.first + len(words) // 2 - 1)


def _state(seq_count: int, current: int) -> str:
    if seq_count == U64_MAX:
        return "free"
    return "committed" if seq_count < current else "uncommitted"


def _data(image: Image, start: int, end: int) -> Iterator[Record]:
    """What is not zero of [start, end)."""
    for hole_start, hole_end in image.holes.within(start, end):
        yield from _readable(image, start, hole_start)
        yield Unreadable(hole_start, hole_end - hole_start)
        start = hole_end
    yield from _readable(image, start, end)


def _readable(image: Image, start: int, end: int) -> Iterator[Record]:
    for begin, stop in image.data_ranges(start, end):
        for at in range(begin, stop, PIECE):
            length = min(PIECE, stop - at)
            try:
                yield from _not_zero(at, image.read(at, length))
            except UnreadableError:
                yield from _by_sector(image, at, length)


def _by_sector(image: Image, start: int, length: int) -> Iterator[Record]:
    for at in range(start, start + length, SECTOR_SIZE):
        part = min(SECTOR_SIZE, start + length - at)
        try:
            yield from _not_zero(at, image.read(at, part))
        except UnreadableError:
            yield Unreadable(at, part)


def _not_zero(offset: int, data: bytes) -> Iterator[Record]:
    at = 0
    for zeros in _ZEROS.finditer(data):
        if zeros.start() > at:
            yield Data(offset + at, data[at : zeros.start()])
        at = zeros.end()
    if at < len(data):
        yield Data(offset + at, data[at:])


def dump(
    image: Image,
    offset: int,
    write: Callable[[str], object],
    json_lines: bool = False,
    metadata_only: bool = False,
    progress: Callable[[int], None] = lambda _offset: None,
) -> int:
    """Write an image's lines; the number of records that say that bytes cannot be read."""
    digest = hashlib.sha256()
    form = as_json if json_lines else as_text
    n_records = n_unreadable = 0
    for record in records(image, offset, metadata_only):
        line = form(record) + "\n"
        digest.update(line.encode())
        write(line)
        n_records += 1
        n_unreadable += isinstance(record, Unreadable)
        if isinstance(record, Data):
            progress(record.offset)
    write(form(End(n_records, digest.hexdigest())) + "\n")
    return n_unreadable

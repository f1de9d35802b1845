"""The entries of a cache as they were before a change, whatever part of it has been done: a digest.

An undo log keeps it, so that the log of another cache is not taken for this one's, even where the
superblocks are equal, and so that a log which lost its end is not taken for a whole one: with what
the log has to give back, the entries must come to the same.
"""

import hashlib
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from writecache_impl.tools.errors import UnreadableError
from writecache_impl.tools.image import Image
from writecache_impl.tools.undo_records import Kind
from writecache_spec.codec import decode_superblock
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE
from writecache_spec.units import SECTOR_SIZE

if TYPE_CHECKING:
    from writecache_impl.tools.undo_log import UndoLog

_AT_ONCE: Final = 1 << 16
"""Bytes."""


def entries_digest(image: Image, offset: int, n_blocks: int, log: "UndoLog | None" = None) -> str:
    """A digest of `n_blocks` entries of the cache at `offset` bytes, what `log` keeps given back.

    By what the image holds, whatever the map of a rescue says of it.  A sector that cannot be read
    counts as all ones.  Raises TruncatedError past the image's end.
    """
    start = offset + SUPERBLOCK_SIZE
    end = start + n_blocks * ENTRY_SIZE
    kept = _kept(log, start, end)
    digest = hashlib.sha256()
    for at in range(start, end, _AT_ONCE):
        data = _read(image, at, min(_AT_ONCE, end - at))
        # The oldest record comes last: it has what was there before all of them.
        for number in reversed(kept.get((at - start) // _AT_ONCE, ())):
            assert log is not None
            place = log.places[number]
            first, stop = max(place.offset, at), min(place.offset + place.length, at + len(data))
            old = log.old(place)[first - place.offset : stop - place.offset]
            data[first - at : stop - at] = old
        digest.update(data)
    return digest.hexdigest()


def is_whole(log: "UndoLog", image: Image) -> bool:
    """Whether taking back what a log keeps makes a cache's entries what they were before."""
    described = log.described
    n_blocks = decode_superblock(bytes.fromhex(described.superblock)).n_blocks
    return entries_digest(image, described.offset, n_blocks, log) == described.entries


def _kept(log: "UndoLog | None", start: int, end: int) -> dict[int, list[int]]:
    """For each piece of the entries the numbers of a log's records about it."""
    found: dict[int, list[int]] = defaultdict(list)
    for number, place in enumerate(() if log is None else log.places):
        first, stop = max(place.offset, start), min(place.offset + place.length, end)
        if place.kind is Kind.CACHE and first < stop:
            for piece in range((first - start) // _AT_ONCE, (stop - 1 - start) // _AT_ONCE + 1):
                found[piece].append(number)
    return found


def _read(image: Image, start: int, length: int) -> bytearray:
    data = bytearray(length)
    try:
        image.read_into(memoryview(data), start)
        return data
    except UnreadableError:
        pass
    at = 0
    while at < length:
        step = min(SECTOR_SIZE - (start + at) % SECTOR_SIZE, length - at)
        with memoryview(data) as view:
            try:
                image.read_into(view[at : at + step], start + at)
            except UnreadableError:
                view[at : at + step] = b"\xff" * step
        at += step
    return data

"""`view`: what a device with this cache would read, without writing to either of its devices.

What nobody knows is filled with text that says so: zeros, or what the origin has there, would look
like an answer.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from writecache_impl.tools.errors import UnreadableError
from writecache_impl.tools.image import Image
from writecache_impl.tools.moving import Mover
from writecache_impl.tools.output import copy_sparse, grow, new_file
from writecache_impl.tools.picture import Picture, Reader
from writecache_spec.units import SECTOR_SIZE

UNKNOWN: Final = (b"UNREADABLE\n" * 47)[:SECTOR_SIZE]
"""What stands in a sector that nobody knows."""
Progress = Callable[[int], None]


class Viewed(NamedTuple):
    """What a picture has that nobody knows."""

    n_unknown_blocks: int
    """Of the cache."""
    unknown_ranges: tuple[tuple[int, int], ...] = ()
    """Of the origin, where the cache has nothing newer: first byte, and the one after the last."""


def view_to_file(
    picture: Picture, origin: Image, output: Path, force: bool, progress: Progress
) -> Viewed:
    """Write all of it to a new sparse file, as long as the origin."""
    unknown = []
    modes = picture.cache.image.mode, origin.mode
    with new_file(output, force, modes) as target:
        grow(target, origin.size)
        start = 0
        for hole_start, hole_end in origin.holes:
            copy_sparse(origin, target, start, hole_start)
            _fill(target, hole_start, hole_end - hole_start)
            unknown.append((hole_start, hole_end))
            start = hole_end
        copy_sparse(origin, target, start)
        size = picture.cache.geometry.block_size
        doubtful = sorted(picture.doubtful_sectors())
        for sector in doubtful:
            _fill(target, sector * SECTOR_SIZE, min(size, origin.size - sector * SECTOR_SIZE))
        mover = Mover(picture, target, None, progress)
        mover.move()
        for one in mover.failed:
            _fill(target, one.sector * SECTOR_SIZE, size)
    reader = Reader(picture)
    missing = tuple(pair for pair in unknown if not _is_covered(reader, *pair))
    return Viewed(len(doubtful) + len(mover.failed), missing)


def _is_covered(reader: Reader, start: int, end: int) -> bool:
    """Whether the cache has all of a range of bytes."""
    sectors = range(start // SECTOR_SIZE, (end - 1) // SECTOR_SIZE + 1)
    return all(reader.block_of(sector) is not None for sector in sectors)


def _fill(target: Image, start: int, length: int) -> None:
    """Say that nobody knows [start, start + length)."""
    end = start + length
    while start < end:
        part = min(SECTOR_SIZE - start % SECTOR_SIZE, end - start)
        target.write(start, UNKNOWN[start % SECTOR_SIZE :][:part])
        start += part


def read_range(picture: Picture, origin: Image, first: int, count: int) -> Iterator[bytes | None]:
    """`count` sectors from `first` on, one by one; None for those that nobody knows."""
    reader = Reader(picture)
    for sector in range(first, first + count):
        if reader.is_doubtful(sector):
            yield None
            continue
        try:
            data = reader.sector(sector)
            yield origin.read(sector * SECTOR_SIZE, SECTOR_SIZE) if data is None else data
        except UnreadableError:
            yield None

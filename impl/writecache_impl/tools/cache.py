"""A cache in an image: its superblock, and where entries and blocks lie."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from writecache_impl.tools.errors import ToolError, TruncatedError, UnreadableError
from writecache_impl.tools.image import Image
from writecache_spec.codec import decode_superblock
from writecache_spec.layout import (
    ENTRY_SIZE,
    MAGIC,
    SUPERBLOCK_SIZE,
    VERSION,
    Superblock,
    SuperblockError,
    check_superblock,
)
from writecache_spec.units import SECTOR_SIZE

LARGEST_BLOCK: Final = 65536
"""Bytes: the largest page that a kernel of today has."""
ENTRIES_AT_ONCE: Final = 1 << 18
"""Entries that are read at once: 4 MiB."""


class Geometry(NamedTuple):
    """Where things lie in the image, in bytes."""

    offset: int
    """Of the superblock."""
    block_size: int
    n_blocks: int
    data_start: int

    @property
    def entries_start(self) -> int:
        """Of entry 0."""
        return self.offset + SUPERBLOCK_SIZE

    @property
    def block_sectors(self) -> int:
        """Sectors in a block."""
        return self.block_size // SECTOR_SIZE

    @property
    def end(self) -> int:
        """Behind the last block."""
        return self.data_start + self.n_blocks * self.block_size

    def block_at(self, index: int) -> int:
        """Where a block's data begins."""
        return self.data_start + index * self.block_size

    def entry_at(self, index: int) -> int:
        """Where an entry begins."""
        return self.entries_start + index * ENTRY_SIZE


def read_superblock(image: Image, offset: int = 0) -> Superblock:
    """The superblock at an offset, whatever it holds.

    Raises TruncatedError where the image is too small, UnreadableError where it has a hole there.
    """
    return decode_superblock(image.read(offset, SUPERBLOCK_SIZE))


def is_block_size(block_size: int) -> bool:
    """Whether some kernel takes blocks of so many bytes."""
    return SECTOR_SIZE <= block_size <= LARGEST_BLOCK and not block_size & (block_size - 1)


def superblock_refusal(superblock: Superblock, size: int) -> str | None:
    """Why no kernel would take a superblock on a device of `size` bytes; None where one would."""
    if superblock.magic == 0 and superblock.version == 0:
        return "no cache: the superblock is empty"
    if is_block_size(superblock.block_size):
        checked = check_superblock(superblock, superblock.block_size, size)
        if isinstance(checked, SuperblockError):
            return str(checked.value)
        return "it has no blocks" if superblock.n_blocks == 0 else None
    if superblock.magic != MAGIC:
        return SuperblockError.MAGIC.value
    if superblock.version != VERSION:
        return SuperblockError.VERSION.value
    return f"Invalid block size ({superblock.block_size} bytes)"


def geometry_of(superblock: Superblock, offset: int, size: int) -> Geometry:
    """Where entries and blocks lie in an image of `size` bytes.

    Raises ToolError for a superblock that no kernel would take.
    """
    refusal = superblock_refusal(superblock, size - offset)
    if refusal is not None:
        raise ToolError(refusal)
    metadata_size = check_superblock(superblock, superblock.block_size, size - offset)
    assert not isinstance(metadata_size, SuperblockError)
    return Geometry(offset, superblock.block_size, superblock.n_blocks, offset + metadata_size)


class Cache(NamedTuple):
    """A superblock that a kernel would take, in an open image."""

    image: Image
    superblock: Superblock
    geometry: Geometry

    def entry_chunks(self) -> Iterator["Entries"]:
        """All entries, some at a time, in their order."""
        geometry = self.geometry
        for first in range(0, geometry.n_blocks, ENTRIES_AT_ONCE):
            count = min(ENTRIES_AT_ONCE, geometry.n_blocks - first)
            yield _read_entries(self.image, geometry, first, count)


class Entries(NamedTuple):
    """Entries one after the other."""

    first: int
    """Number of the first."""
    data: bytes
    """16 bytes each; all ones where it cannot be read: as if it were free."""
    unreadable: tuple[int, ...]
    """The numbers of those."""


def open_cache(image: Image, offset: int = 0) -> Cache:
    """The cache in an image.  Raises ToolError where there is none that a kernel would take."""
    try:
        superblock = read_superblock(image, offset)
        geometry = geometry_of(superblock, offset, image.size)
    except (TruncatedError, UnreadableError):
        raise
    except ToolError as error:
        raise ToolError(f"{image.path}: {error} (`writecache check` says more)") from None
    return Cache(image, superblock, geometry)


def _read_entries(image: Image, geometry: Geometry, first: int, count: int) -> Entries:
    start = geometry.entry_at(first)
    buffer = bytearray(count * ENTRY_SIZE)
    holes = image.holes.within(start, start + len(buffer))
    holes += _fill(image, memoryview(buffer), start)
    unreadable: set[int] = set()
    for begin, end in holes:
        numbers = range((begin - start) // ENTRY_SIZE, (end - 1 - start) // ENTRY_SIZE + 1)
        unreadable.update(numbers)
        buffer[numbers.start * ENTRY_SIZE : numbers.stop * ENTRY_SIZE] = (
            b"\xff" * len(numbers) * ENTRY_SIZE
        )
    return Entries(first, bytes(buffer), tuple(first + number for number in sorted(unreadable)))


def _fill(image: Image, view: memoryview, start: int) -> list[tuple[int, int]]:
    """Read what can be read; the ranges of the rest, a sector at a time."""
    try:
        image.read_into(view, start)
        return []
    except UnreadableError:
        pass
    missing = []
    at = 0
    while at < len(view):
        step = min(SECTOR_SIZE - (start + at) % SECTOR_SIZE, len(view) - at)
        try:
            image.read_into(view[at : at + step], start + at)
        except UnreadableError:
            missing.append((start + at, start + at + step))
        at += step
    return missing

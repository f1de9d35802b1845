"""A device as it would be read with its cache, in pieces of any size: both are only read.

What nobody knows cannot be read, so that whoever asks is told: text that says so, as `view` puts it
into a file, would look like data to a file system.
"""

import errno
import os
from collections.abc import Iterator

from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image
from writecache_impl.tools.picture import Picture, Reader
from writecache_spec.units import SECTOR_SIZE


class Merged:
    """The origin, and over it what the cache has; any number of threads may read."""

    def __init__(self, picture: Picture, origin: Image) -> None:
        self._reader = Reader(picture)
        self._origin = origin
        self._geometry = picture.cache.geometry
        self.size = origin.size // SECTOR_SIZE * SECTOR_SIZE
        """Bytes."""
        self.block_size = SECTOR_SIZE

    def read(self, offset: int, size: int) -> bytes:
        """Read whole sectors; raises OSError (EIO) where something is not known."""
        first = offset // SECTOR_SIZE
        try:
            return b"".join(self._pieces(first, first + size // SECTOR_SIZE))
        except ToolError as error:
            raise OSError(errno.EIO, str(error)) from None

    def _pieces(self, sector: int, end: int) -> Iterator[bytes]:
        """What lies together on one of the devices, read at once."""
        run: tuple[Image, int, int] | None = None
        step = self._geometry.block_sectors
        while sector < end:
            count = min(end - sector, step - sector % step)
            image, place = self._place(sector)
            size = count * SECTOR_SIZE
            if run is not None and run[0] is image and run[1] + run[2] == place:
                run = image, run[1], run[2] + size
            else:
                if run is not None:
                    yield run[0].read(run[1], run[2])
                run = image, place, size
            sector += count
        if run is not None:
            yield run[0].read(run[1], run[2])

    def _place(self, sector: int) -> tuple[Image, int]:
        """The device that has a sector, and where."""
        if self._reader.is_doubtful(sector):
            raise OSError(errno.EIO, f"nobody knows what sector {sector} holds")
        block = self._reader.block_of(sector)
        if block is None:
            return self._origin, sector * SECTOR_SIZE
        within = sector % self._geometry.block_sectors * SECTOR_SIZE
        return self._reader.picture.cache.image, self._geometry.block_at(block) + within

    def peek(self, offset: int, size: int) -> bytes | None:
        """Nothing: all of it takes a disk."""

    def has_room(self, size: int) -> bool:
        """No: nothing is written."""
        return False

    def write(self, offset: int, data: bytes | memoryview, *, fua: bool = False) -> None:
        """Nothing is written."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def discard(self, offset: int, size: int) -> None:
        """Nothing is discarded."""
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def flush(self) -> None:
        """Nothing has to be made durable."""

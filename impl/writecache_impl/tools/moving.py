"""Copies good blocks home: sorted by their place on the origin, merged, a batch at a time.

For each batch: its blocks are read, then what is on the origin there; where the two differ the old
goes into the undo log, which is made durable; only then is the origin written.  Nothing but the
origin changes here, and blocks that cannot be read or written are named.
"""

import os
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from typing import Final

from writecache_impl.tools.early import EarlyWrites
from writecache_impl.tools.errors import UnreadableError
from writecache_impl.tools.fetching import Fetching
from writecache_impl.tools.image import MEDIUM_ERRORS, Image
from writecache_impl.tools.numbers import arithmetic, many_reads, numbers
from writecache_impl.tools.picture import UNREADABLE, Doubtful, Picture, read_block
from writecache_impl.tools.undo_log import UndoLog
from writecache_impl.tools.undo_records import Kind
from writecache_spec.units import SECTOR_SIZE

BATCH: Final = 1 << 25
"""Bytes."""
LONGEST_WRITE: Final = 1 << 22
"""Bytes that are written, and logged, in one piece."""


class Mover:
    """Copies a picture's good blocks to a device."""

    def __init__(
        self,
        picture: Picture,
        target: Image,
        log: UndoLog | None = None,
        progress: Callable[[int], None] = lambda _blocks: None,
    ) -> None:
        self.picture, self.target, self.log, self.progress = picture, target, log, progress
        self.geometry = picture.cache.geometry
        self.failed: list[Doubtful] = []
        """Blocks that could not be read from the cache, or written."""
        self.n_written = self.n_same = 0
        """Bytes that were written; of these, what was there already, as far as was looked."""
        self._buffer = bytearray(0)
        self._old = bytearray(0)
        self._from_cache = self._from_target = Fetching(-1, None)

    def move(self) -> None:
        """Copy all of them, and make them durable."""
        reads = many_reads()
        self._from_cache = Fetching(self.picture.cache.image.fd, reads)
        self._from_target = Fetching(self.target.fd, reads)
        try:
            self._move()
        finally:
            if reads is not None:
                reads.close()

    def _move(self) -> None:
        sectors = self.picture.sectors
        in_batch = max(BATCH // self.geometry.block_size, 1)
        self._buffer = bytearray(min(len(sectors), in_batch) * self.geometry.block_size)
        self._old = bytearray(len(self._buffer) if self.log is not None else 0)
        runs = arithmetic().runs(sectors, self.picture.blocks, self.geometry.block_sectors)
        with EarlyWrites(self.target.fd) as early:
            for first in range(0, len(sectors), in_batch):
                end = min(first + in_batch, len(sectors))
                if self._read(first, end, runs):
                    self._write(first, end)
                else:
                    self._one_by_one(first, end)
                early.begin(sectors[first] * SECTOR_SIZE, (sectors[end - 1] + 1) * SECTOR_SIZE)
                self.progress(end - first)
        self.target.sync()

    def _read(self, first: int, end: int, runs: "array[int]") -> bool:
        """Read blocks into the buffer; False where one cannot be read."""
        places = runs[bisect_left(runs, first + 1) : bisect_left(runs, end)]
        edges = numbers([first])
        edges += places
        edges.append(end)
        start, size = self.geometry.data_start, self.geometry.block_size
        offsets, lengths = arithmetic().places_of(self.picture.blocks, edges, start, size)
        return self._from_cache.read(offsets, lengths, self._buffer)

    def _pieces(self, first: int, end: int) -> Iterator[tuple[int, int, int]]:
        """Merged writes: place in the buffer, offset on the target, length."""
        step = self.geometry.block_sectors
        merged = arithmetic().extents(self.picture.sectors[first:end], step)
        at = 0
        for sector, sectors in zip(merged.starts, merged.lengths, strict=True):
            offset, length = sector * SECTOR_SIZE, sectors * SECTOR_SIZE
            while length > 0:
                part = min(length, LONGEST_WRITE)
                yield at, offset, part
                at, offset, length = at + part, offset + part, length - part

    def _write(self, first: int, end: int) -> None:
        pieces = self._logged(first, end) if self.log is not None else self._pieces(first, end)
        fd = self.target.fd
        with memoryview(self._buffer) as view:
            for at, offset, length in pieces:
                piece = view[at : at + length]
                try:
                    if os.pwrite(fd, piece, offset) != length:
                        self.target.write(offset, piece)
                    self.n_written += length
                except OSError as error:
                    self._write_failed(error, first, at, length)

    def _logged(self, first: int, end: int) -> list[tuple[int, int, int]]:
        """The pieces; what is going to be lost of the target is in the log, durably."""
        assert self.log is not None
        pieces = list(self._pieces(first, end))
        together = self._read_old(pieces)
        with memoryview(self._buffer) as view, memoryview(self._old) as olds:
            for at, offset, length in pieces:
                new = bytes(view[at : at + length])
                old = bytes(olds[at : at + length]) if together else self._old_of(offset, length)
                self._keep(offset, old, new)
        self.log.sync()
        return pieces

    def _keep(self, offset: int, old: bytes | None, new: bytes) -> None:
        """Take down what is going to be lost.

        What is there already is written all the same: after a sync that failed a kernel may show
        what never reached the disk, and would not write it by itself.
        """
        if old == new:
            self.n_same += len(new)
        elif old is not None and self.log is not None:
            self.log.keep(Kind.ORIGIN, offset, old, new)

    def _read_old(self, pieces: list[tuple[int, int, int]]) -> bool:
        """Read what the target holds, as the buffer has it; False: not all of it came."""
        offsets = numbers(offset for _, offset, _ in pieces)
        lengths = numbers(length for _, _, length in pieces)
        return self._from_target.read(offsets, lengths, self._old)

    def _old_of(self, offset: int, length: int) -> bytes | None:
        """What the target holds; None where it cannot be read: then it cannot be taken back."""
        try:
            found = os.pread(self.target.fd, length, offset)
            return found if len(found) == length else self.target.read(offset, length)
        except OSError as error:
            if error.errno not in MEDIUM_ERRORS:
                self.target.name(error)
                raise
            return None
        except UnreadableError:
            return None

    def _write_failed(self, error: OSError, first: int, at: int, length: int) -> None:
        """Try the blocks of a piece one by one."""
        if error.errno not in MEDIUM_ERRORS:
            self.target.name(error)
            raise error
        size = self.geometry.block_size
        for number in range(at // size, (at + length) // size):
            data = self._buffer[number * size : (number + 1) * size]
            self._write_block(first + number, bytes(data))

    def _write_block(self, place: int, data: bytes) -> None:
        sector = self.picture.sectors[place]
        try:
            self.target.write(sector * SECTOR_SIZE, data)
            self.n_written += len(data)
        except OSError as error:
            if error.errno not in MEDIUM_ERRORS:
                raise
            reason = f"it cannot be written: {error.strerror}"
            self.failed.append(Doubtful(sector, self.picture.blocks[place], reason))

    def _one_by_one(self, first: int, end: int) -> None:
        """A batch of which something cannot be read."""
        size = self.geometry.block_size
        for place in range(first, end):
            block, sector = self.picture.blocks[place], self.picture.sectors[place]
            try:
                data = read_block(self.picture.cache, block)
            except UnreadableError:
                self.failed.append(Doubtful(sector, block, UNREADABLE))
                continue
            if self.log is not None:
                self._keep(sector * SECTOR_SIZE, self._old_of(sector * SECTOR_SIZE, size), data)
                self.log.sync()
            self._write_block(place, data)

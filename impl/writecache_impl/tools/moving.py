"""Copies good blocks home: sorted by their place on the origin, merged, a batch at a time.

For each batch: its blocks are read, then what is on the origin there; where the two differ the old
goes into the undo log, which is made durable; only then is the origin written.  A second thread
does the last two, while the first one reads the next batch, which has other places; a third one
adds up checksums.  Nothing but
the origin changes here, and blocks that cannot be read or written are named.
"""

import os
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, NamedTuple

from writecache_impl.tools.arithmetic import arithmetic, many_reads
from writecache_impl.tools.early import EarlyWrites
from writecache_impl.tools.errors import UnreadableError
from writecache_impl.tools.fetching import Fetching
from writecache_impl.tools.image import MEDIUM_ERRORS, Image
from writecache_impl.tools.numbers import numbers
from writecache_impl.tools.picture import UNREADABLE, Doubtful, Picture, read_block
from writecache_impl.tools.undo_log import UndoLog
from writecache_impl.tools.undo_records import Kind
from writecache_spec.units import SECTOR_SIZE

BATCH: Final = 1 << 25
"""Bytes."""
LONGEST_WRITE: Final = 1 << 22
"""Bytes that are written, and logged, in one piece."""


class _Buffers:
    """For one batch: its blocks, and what the target holds in their places."""

    def __init__(self, size: int, logs: bool) -> None:
        self.new = bytearray(size)
        self.old = bytearray(size if logs else 0)


class _Ready(NamedTuple):
    """A batch that has been read."""

    pieces: list[tuple[int, int, int]]
    kept: list[bytes | memoryview]
    """Of the undo log."""
    new: bytearray


def _checksums(data: memoryview, pieces: list[tuple[int, int, int]]) -> list[int]:
    return [zlib.crc32(data[at : at + length]) for at, _, length in pieces]


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
        self._from_cache = self._from_target = Fetching(-1, None)
        self._adder: ThreadPoolExecutor

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
        """One batch is read while the one before it is logged and written."""
        sectors = self.picture.sectors
        in_batch = max(BATCH // self.geometry.block_size, 1)
        size = min(len(sectors), in_batch) * self.geometry.block_size
        free = [_Buffers(size, self.log is not None) for _ in range(1 + (len(sectors) > in_batch))]
        runs = arithmetic().runs(sectors, self.picture.blocks, self.geometry.block_sectors)
        written: Future[None] | None = None
        with (
            EarlyWrites(self.target.fd) as early,
            ThreadPoolExecutor(1) as worker,
            ThreadPoolExecutor(1) as self._adder,
        ):
            for number, first in enumerate(range(0, len(sectors), in_batch)):
                end = min(first + in_batch, len(sectors))
                buffers = free[number % len(free)]
                good = self._read(first, end, runs, buffers.new)
                ready = self._prepare(first, end, buffers) if good else None
                if written is not None:
                    written.result()
                if ready is None:
                    self._one_by_one(first, end)
                written = worker.submit(self._finish, ready, first, end, early)
            if written is not None:
                written.result()
        self.target.sync()

    def _finish(self, ready: "_Ready | None", first: int, end: int, early: EarlyWrites) -> None:
        """Make durable what is to be lost of the target, and write the batch."""
        sectors = self.picture.sectors
        if ready is not None:
            if self.log is not None:
                self.log.write(ready.kept)
            self._write(ready, first)
        early.begin(sectors[first] * SECTOR_SIZE, (sectors[end - 1] + 1) * SECTOR_SIZE)
        self.progress(end - first)

    def _read(self, first: int, end: int, runs: "array[int]", buffer: bytearray) -> bool:
        """Read blocks into a buffer; False where one cannot be read."""
        places = runs[bisect_left(runs, first + 1) : bisect_left(runs, end)]
        edges = numbers([first])
        edges += places
        edges.append(end)
        start, size = self.geometry.data_start, self.geometry.block_size
        offsets, lengths = arithmetic().places_of(self.picture.blocks, edges, start, size)
        return self._from_cache.read(offsets, lengths, buffer)

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

    def _prepare(self, first: int, end: int, buffers: "_Buffers") -> "_Ready":
        """What is to be written, and what is to be logged before: all that the target loses."""
        pieces = list(self._pieces(first, end))
        if self.log is None:
            return _Ready(pieces, [], buffers.new)
        checksums = self._adder.submit(_checksums, memoryview(buffers.new), pieces)
        together = self._read_old(pieces, buffers.old)
        new, olds = memoryview(buffers.new), memoryview(buffers.old)
        for (at, offset, length), checksum in zip(pieces, checksums.result(), strict=True):
            old = olds[at : at + length] if together else self._old_of(offset, length)
            self._keep(offset, old, new[at : at + length], checksum)
        return _Ready(pieces, self.log.batch(), buffers.new)

    def _write(self, ready: "_Ready", first: int) -> None:
        fd = self.target.fd
        with memoryview(ready.new) as view:
            for at, offset, length in ready.pieces:
                piece = view[at : at + length]
                try:
                    if os.pwrite(fd, piece, offset) != length:
                        self.target.write(offset, piece)
                    self.n_written += length
                except OSError as error:
                    self._write_failed(error, first, at, ready.new[at : at + length])

    def _keep(
        self, offset: int, old: bytes | memoryview | None, new: bytes | memoryview, checksum: int
    ) -> None:
        """Take down what is going to be lost.

        What is there already is written all the same: after a sync that failed a kernel may show
        what never reached the disk, and would not write it by itself.
        """
        if old is None or self.log is None:
            return
        if bytes(old[:SECTOR_SIZE]) == bytes(new[:SECTOR_SIZE]) and bytes(old) == bytes(new):
            self.n_same += len(new)
        else:
            self.log.keep_summed(Kind.ORIGIN, offset, old, checksum)

    def _read_old(self, pieces: list[tuple[int, int, int]], buffer: bytearray) -> bool:
        """Read what the target holds, as the other buffer has it; False: not all of it came."""
        offsets = numbers(offset for _, offset, _ in pieces)
        lengths = numbers(length for _, _, length in pieces)
        return self._from_target.read(offsets, lengths, buffer)

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

    def _write_failed(self, error: OSError, first: int, at: int, data: bytearray) -> None:
        """Try the blocks of a piece one by one."""
        if error.errno not in MEDIUM_ERRORS:
            self.target.name(error)
            raise error
        size = self.geometry.block_size
        for start in range(0, len(data), size):
            self._write_block(first + (at + start) // size, bytes(data[start : start + size]))

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
                old = self._old_of(sector * SECTOR_SIZE, size)
                self._keep(sector * SECTOR_SIZE, old, data, zlib.crc32(data))
                self.log.sync()
            self._write_block(place, data)

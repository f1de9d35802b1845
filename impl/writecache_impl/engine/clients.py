"""Clients: requests as they come, cut into pieces, each mapped under the lock.

Data of the cache is stored and loaded with the lock held; the origin is read and written without
it.  A request of more than 1 MiB is done as several.
"""

import errno
from typing import Final

from writecache_impl.engine import commit
from writecache_impl.engine.admission import Admission, failed
from writecache_impl.engine.requests import Piece, map_discard, map_flush, map_read, map_write
from writecache_impl.engine.requests_pmem import end_write_pmem, map_write_pmem
from writecache_impl.engine.state import READ_HITS, READS, Cache

BIO_SIZE: Final = 2**20
"""Bytes of the largest request that is mapped as one."""


class Clients(Admission):
    """What any thread may ask of a loaded cache."""

    def peek(self, offset: int, size: int) -> bytes | None:
        """Read a block that is in the cache, which takes no more than the lock; None for all else.

        Raises RequestError with EIO.
        """
        with self.lock:
            wc = self._wc
            if wc is not None and size == wc.config.block_size and not offset % size:
                entries = wc.entries
                index = entries.find(offset >> 9)
                is_plain = not (wc.suspended or wc.unwritten or wc.config.pmem_mode)
                if index >= 0 and is_plain and offset >> 9 < wc.origin_sectors:
                    wc.stats[READS] += 1
                    wc.stats[READ_HITS] += 1
                    try:
                        return wc.cache.read(wc.config.data_start + index * size, size)
                    except OSError as error:
                        raise failed("read") from error
        return None

    def has_room(self, size: int) -> bool:
        """Whether a write of so many bytes would end in the cache now, and wait for nobody."""
        wc = self._wc
        if wc is None or wc.suspended or wc.cleaner or wc.config.metadata_only:
            return False
        return wc.entries.n_free * wc.config.block_size >= size

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes from byte `offset` on, both multiples of the block size.

        Raises RequestError: EIO, or EINVAL for what is no whole blocks of the device.
        """
        # Nearly all requests are one cached block.
        if (data := self.peek(offset, size)) is not None:
            return data
        with self.lock:
            self._check(offset, size, errno.EINVAL)
        found: list[bytes] = []
        is_bad = False
        for begin in range(offset, offset + size, BIO_SIZE):
            length = min(BIO_SIZE, offset + size - begin)
            is_bad |= not self._guarded(self._read, begin, length, found)
        if is_bad:
            raise failed("read")
        return b"".join(found)

    def write(
        self,
        offset: int,
        data: bytes | bytearray | memoryview,
        *,
        fua: bool = False,
        preflush: bool = False,
    ) -> None:
        """Write bytes from byte `offset` on; with `fua` durably, with `preflush` after a flush.

        Offset and length are multiples of the block size.  Raises RequestError with EIO; EINVAL for
        what is no whole blocks of the device, ENOSPC for what lies behind its end.
        """
        view = memoryview(data).cast("B")
        if preflush or not 0 < len(view) <= BIO_SIZE:
            with self.lock:
                self._check(offset, len(view), errno.ENOSPC)
            if preflush:
                self.flush()
        is_good = True
        for begin in range(0, len(view), BIO_SIZE):
            end = self._guarded(self._write, offset + begin, view[begin : begin + BIO_SIZE], fua)
            if end is None:
                raise failed("write")
            is_good &= end
        if not is_good:
            raise failed("write")

    def flush(self) -> None:
        """Make durable what had been written before; raises RequestError with EIO."""
        if not self._guarded(self._flush):
            raise failed("flush")

    def discard(self, offset: int, size: int) -> None:
        """Forget `size` bytes from byte `offset` on: they read as zeros, or as what they ever held.

        Raises RequestError with EIO, or with EINVAL for what is no whole blocks of the device.
        """
        with self.lock:
            self._check(offset, size, errno.EINVAL)
        if size and not self._guarded(self._discard, offset, size):
            raise failed("discard")

    # Pieces

    def _read(self, offset: int, size: int, found: list[bytes]) -> bool:
        """Append what is read; False where a piece of it has failed."""
        sector, end = offset >> 9, (offset + size) >> 9
        is_good = True
        while sector < end:
            with self.lock:
                wc = self._live()
                while True:
                    if (sector | end) & (wc.config.block_sectors - 1):
                        # Cut off by an entry at no multiple of a block.
                        found.append(bytes(512 * (end - sector)))
                        return False
                    piece = map_read(wc, sector, end - sector)
                    if piece.around:
                        wc.in_flight += 1
                        break
                    is_good &= _append(piece, piece.data, found)
                    sector += piece.n_sectors
                    if sector >= end:
                        return is_good
            data = None
            try:
                data = wc.origin.read(sector << 9, piece.n_sectors << 9)
            except OSError:
                pass
            finally:
                self._end_around(wc)
            is_good &= _append(piece, data, found)
            sector += piece.n_sectors
        return is_good

    def _write(self, offset: int, data: memoryview, fua: bool) -> bool | None:
        """Whether all of it was written; None: it was refused, and nothing more shall come."""
        sector, end = offset >> 9, (offset + len(data)) >> 9
        is_good = True
        while sector < end:
            with self.lock:
                self._check(offset, len(data), errno.ENOSPC)
                wc = self._live()
                while True:
                    at = (sector << 9) - offset
                    piece = _map_write(wc, sector, data[at:] if at else data, fua)
                    if piece is None:
                        return None
                    if piece.around:
                        self._begin_around(wc)
                        break
                    if not piece.n_sectors:
                        self.background.wait_for_block()
                        break
                    is_good &= not piece.failed
                    sector += piece.n_sectors
                    if sector >= end:
                        return is_good
            if piece.around:
                size = piece.n_sectors << 9
                is_good &= self._write_around(wc, sector, data[at : at + size], fua)
                sector += piece.n_sectors
        return is_good

    def _write_around(self, wc: Cache, sector: int, data: memoryview, fua: bool) -> bool:
        try:
            wc.origin.write(sector << 9, data, fua)
        except OSError:
            return False
        finally:
            self._end_around(wc, writes=True)
        return True

    def _flush(self) -> bool:
        """Commit, then flush the origin, which has what went past the cache."""
        with self.lock:
            wc = self._live()
            if not map_flush(wc):
                return False
            self._begin_around(wc)
        try:
            wc.origin.flush()
        except OSError:
            return False
        finally:
            self._end_around(wc, writes=True)
        return True

    def _discard(self, offset: int, size: int) -> bool:
        with self.lock:
            wc = self._live()
            if not map_discard(wc, offset >> 9, size >> 9):
                return False
            wc.in_flight += 1
        try:
            wc.origin.discard(offset, size)
        except OSError:
            return False
        finally:
            self._end_around(wc)
        return True


def _append(piece: Piece, data: bytes | None, found: list[bytes]) -> bool:
    """Append what a piece has read, zeros where that failed; whether it did not."""
    found.append(bytes(piece.n_sectors << 9) if data is None else data)
    return data is not None


def _map_write(wc: Cache, sector: int, data: memoryview, fua: bool) -> Piece | None:
    """Map the next piece of a write; None: it is refused.  With the lock held."""
    if (sector | len(data) >> 9) & (wc.config.block_sectors - 1):
        return None
    if wc.error:
        map_write(wc, sector, data)
        return None
    if not wc.config.pmem_mode:
        piece = map_write(wc, sector, data, alone=fua)
        if fua and piece.n_sectors and not (piece.around or piece.failed):
            commit.flush(wc)
            if commit.must_stop(wc):
                return None
        return piece
    piece = map_write_pmem(wc, sector, data, fua)
    if piece.n_sectors and not piece.around:
        ends_here = piece.n_sectors << 9 == len(data)
        if piece.failed or (ends_here and not end_write_pmem(wc, fua)):
            return None
    return piece

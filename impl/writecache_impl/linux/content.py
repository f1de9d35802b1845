"""What a device holds: bytes nobody defined, masked, and a hash that is cheap to bring up to date.

The bytes between the last metadata entry and the first data block are written from memory that the
kernel does not clear, so they are hashed as zero. The host reads the disks' files through a shared
mapping: what the kernel's helper has written is there at once, and nothing is copied in the guest.
"""

import hashlib
import struct
from collections.abc import Iterable
from typing import Protocol

SECTOR_BYTES = 512
CHUNK_BYTES = 64 * 1024
SUPERBLOCK = struct.Struct("<IIIIQQ32x")
ENTRY_BYTES = 16
MAGIC = 0x23489321
VERSION = 1
BLOCK_SIZES = (512, 1024, 2048, 4096)
HEX_DIGITS = 16


class Content(Protocol):
    """Bytes that can be sliced: `bytes`, `mmap.mmap`."""

    def __getitem__(self, index: slice, /) -> bytes:
        """Return a copy of a range."""
        ...


def undefined_range(content: Content, size: int, start: int) -> tuple[int, int] | None:
    """Return the byte range after the last entry of the superblock at byte `start`.

    None without a valid superblock: wrong magic, version or block size, no blocks, or metadata
    and data that do not fit the `size` bytes of the device.
    """
    if start + SUPERBLOCK.size > size:
        return None
    raw = content[start : start + SUPERBLOCK.size]
    magic, version, block_size, _, n_blocks, _ = SUPERBLOCK.unpack(raw)
    if magic != MAGIC or version != VERSION or block_size not in BLOCK_SIZES or n_blocks < 1:
        return None
    used = SUPERBLOCK.size + ENTRY_BYTES * n_blocks
    offset = (used + block_size - 1) // block_size * block_size
    if offset + n_blocks * block_size > size - start:
        return None
    return start + used, start + offset


def undefined_ranges(
    content: Content, size: int, start_sectors: Iterable[int]
) -> list[tuple[int, int]]:
    """Return the ranges to mask, by the superblocks that lie at these sectors right now."""
    found = (undefined_range(content, size, s * SECTOR_BYTES) for s in sorted(set(start_sectors)))
    return [each for each in found if each is not None and each[0] < each[1]]


def masked(data: bytes, at: int, ranges: Iterable[tuple[int, int]]) -> bytes:
    """Return `data`, which lies at byte `at` of the device, with the ranges zeroed.

    >>> masked(b"abcdef", 10, [(0, 11), (14, 99)])
    b'\\x00bcd\\x00\\x00'
    """
    for first, last in ranges:
        begin, end = max(first - at, 0), min(last - at, len(data))
        if begin < end:
            data = data[:begin] + bytes(end - begin) + data[end:]
    return data


def content_hash(content: Content, size: int, start_sectors: Iterable[int] = (0,)) -> str:
    """Hash the first `size` bytes as the vectors do: 16 hex digits of SHA-256, masked."""
    ranges = undefined_ranges(content, size, start_sectors)
    return hashlib.sha256(masked(content[0:size], 0, ranges)).hexdigest()[:HEX_DIGITS]


class ContentHash:
    """The same hash, computed again and again: only from the first chunk that changed on."""

    def __init__(self, content: Content, size: int) -> None:
        self.content, self.size = content, size
        self.undefined: set[tuple[int, int]] = set()
        """Ranges that were masked once: they stay masked, though what told of them may go."""
        self.chunks: list[bytes] = []
        self.states = [hashlib.sha256()]  # before each chunk, and after the last

    def digest(self, start_sectors: Iterable[int] = (0,)) -> str:
        """Return the hash of what the device holds now."""
        self.undefined.update(undefined_ranges(self.content, self.size, start_sectors))
        ranges = sorted(self.undefined)
        for index, at in enumerate(range(0, self.size, CHUNK_BYTES)):
            end = min(at + CHUNK_BYTES, self.size)
            chunk = masked(self.content[at:end], at, ranges)
            if index < len(self.chunks):
                if chunk == self.chunks[index]:
                    continue
                del self.chunks[index:], self.states[index + 1 :]
            state = self.states[index].copy()
            state.update(chunk)
            self.chunks.append(chunk)
            self.states.append(state)
        return self.states[-1].hexdigest()[:HEX_DIGITS]

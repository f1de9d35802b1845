"""The encoding of superblock and entries into bytes: little-endian, no padding.

Kept apart from the arithmetic in `layout`, which must also run on symbolic values.
"""

import struct
from collections.abc import Iterable
from typing import Final

from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE, MemoryEntry, Superblock
from writecache_spec.units import Sector, SequenceCount

_SUPERBLOCK: Final = struct.Struct("<IIIIQQ4Q")
_ENTRY: Final = struct.Struct("<QQ")

SUPERBLOCK_FIELDS: Final = {
    "magic": (0, 4),
    "version": (4, 8),
    "block_size": (8, 12),
    "pad": (12, 16),
    "n_blocks": (16, 24),
    "seq_count": (24, 32),
    "reserved": (32, 64),
}
"""Where each field of a superblock lies: its first byte, and the one after its last."""


def encode_superblock(superblock: Superblock) -> bytes:
    """Encode a superblock into its 64 bytes.

    >>> decode_superblock(encode_superblock(Superblock(magic=7, n_blocks=3))).n_blocks
    3
    """
    return _SUPERBLOCK.pack(*superblock[:6], *superblock.reserved)


def decode_superblock(data: bytes) -> Superblock:
    """Decode the first 64 bytes of `data`; every content is a superblock, right or wrong.

    Raises ValueError where there are fewer than 64 bytes.
    """
    if len(data) < SUPERBLOCK_SIZE:
        raise ValueError(f"a superblock has {SUPERBLOCK_SIZE} bytes, not {len(data)}")
    magic, version, block_size, pad, n_blocks, seq_count, *reserved = _SUPERBLOCK.unpack_from(data)
    first, second, third, fourth = reserved
    return Superblock(
        magic, version, block_size, pad, n_blocks, seq_count, (first, second, third, fourth)
    )


def encode_entries(entries: Iterable[MemoryEntry]) -> bytes:
    """Encode entries one after the other, 16 bytes each.

    >>> encode_entries([MemoryEntry(Sector(1), SequenceCount(2))]).hex()
    '01000000000000000200000000000000'
    """
    words = [word for entry in entries for word in entry]
    return struct.pack(f"<{len(words)}Q", *words)


def decode_entries(data: bytes) -> list[MemoryEntry]:
    """Decode whole entries; the length of `data` is a multiple of 16.

    Raises ValueError where it is not.
    """
    if len(data) % ENTRY_SIZE:
        raise ValueError(f"entries have {ENTRY_SIZE} bytes each, and {len(data)} are no multiple")
    return [
        MemoryEntry(Sector(sector), SequenceCount(seq_count))
        for sector, seq_count in _ENTRY.iter_unpack(data)
    ]

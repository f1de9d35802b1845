"""`size`: what a cache on a device of some size comes to, on it and in a kernel's memory."""

from typing import Final, NamedTuple

from writecache_impl.tools.cache import LARGEST_BLOCK
from writecache_impl.tools.errors import ToolError
from writecache_spec.layout import (
    MAXIMUM_BITMAP_BITS,
    SizeError,
    bitmap_bits,
    calculate_memory_size,
)
from writecache_spec.units import SECTOR_SIZE

ENTRY_BYTES: Final = 56
"""A `wc_entry` in the memory of a 64-bit kernel: tree node 24, list 16, bits 8, age 8."""
ENTRY_BYTES_SAFE: Final = 72
"""The same where sector and sequence count are kept in it too, to survive hardware memory errors:
x86-64 and the like, built with persistent memory."""


class Sized(NamedTuple):
    """Bytes, unless said otherwise."""

    device: int
    block_size: int
    n_blocks: int
    """Blocks."""
    metadata: int
    data: int
    unused: int
    memory_entries: int
    memory_metadata: int
    """A copy of the metadata, on an SSD; persistent memory is used in place."""
    memory_bitmap: int
    memory: int
    """All three."""
    memory_per_block: float


def size(device: int, block_size: int, pmem: bool = False, safe: bool = True) -> Sized:
    """Divide a device.  Raises ToolError where a kernel refuses it."""
    if not SECTOR_SIZE <= block_size <= LARGEST_BLOCK or block_size & (block_size - 1):
        raise ToolError(f"a block has a power of two of bytes, from 512 to 65536, not {block_size}")
    made = calculate_memory_size(device, block_size)
    if isinstance(made, SizeError):
        raise ToolError(f"a kernel refuses a device of {device} bytes: {made.value}")
    bits = bitmap_bits(made.metadata_size)
    if bits > MAXIMUM_BITMAP_BITS and not pmem:
        raise ToolError(f"a kernel refuses a device of {device} bytes: EFBIG")
    data = made.n_blocks * block_size
    entries = made.n_blocks * (ENTRY_BYTES_SAFE if safe else ENTRY_BYTES)
    metadata = 0 if pmem else made.metadata_size
    bitmap = 0 if pmem else (bits + 63) // 64 * 8
    memory = entries + metadata + bitmap
    return Sized(
        device,
        block_size,
        made.n_blocks,
        made.metadata_size,
        data,
        device - data - made.metadata_size,
        entries,
        metadata,
        bitmap,
        memory,
        round(memory / made.n_blocks, 1),
    )

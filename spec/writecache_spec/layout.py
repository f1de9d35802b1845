"""The on-disk format: what lies where on the cache device, and how much fits.

From `start_sector` on the cache device holds a metadata area and a data area.  The metadata area
is one superblock of 64 bytes, then one entry of 16 bytes for each cache block, padded to a whole
block; block number i of the data area belongs to entry number i.  All numbers are little-endian.

The functions here are plain arithmetic over sizes, so that proofs run them on symbolic values.
They describe `calculate_memory_size`, the constructor's checks of a superblock it found, and its
watermarks.  The encoding into bytes stands apart, in `codec`.
"""

from enum import Enum
from typing import Final, NamedTuple

from writecache_spec.units import (
    INDEX_BITS,
    U64,
    BlockIndex,
    ByteCount,
    Sector,
    SequenceCount,
    wrap64,
)

MAGIC: Final = 0x23489321
"""`MEMORY_SUPERBLOCK_MAGIC`: written last when a device is formatted."""
VERSION: Final = 1
"""`MEMORY_SUPERBLOCK_VERSION`."""
SUPERBLOCK_SIZE: Final = 64
"""Bytes before the first entry."""
ENTRY_SIZE: Final = 16
"""Bytes of an entry: original sector and sequence count."""
REGION_SIZE: Final = 65536
"""`BITMAP_GRANULARITY`: bytes of metadata that one dirty bit stands for."""
REGION_SECTORS: Final = 128
MAXIMUM_BITMAP_BITS: Final = 2**31
"""The kernel's bit operations take no more."""


class Superblock(NamedTuple):
    """The first 64 bytes of the metadata area (`struct wc_memory_superblock`)."""

    magic: int = 0
    """32 bits."""
    version: int = 0
    """32 bits."""
    block_size: int = 0
    """Bytes in a cache block; 32 bits."""
    pad: int = 0
    """32 bits nobody reads; whatever was found is written back."""
    n_blocks: int = 0
    """Cache blocks, and entries; 64 bits."""
    seq_count: int = 0
    """Number of the commit under way: entries with a lower one are committed; 64 bits."""
    reserved: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Four 64-bit words up to the first entry, zero when formatted, written back as found."""


class MemoryEntry(NamedTuple):
    """What the metadata area says of one cache block (`struct wc_memory_entry`)."""

    original_sector: Sector
    """Where on the origin the block belongs."""
    seq_count: SequenceCount
    """The commit it was written in; all ones when the block is free."""


class SizeError(Enum):
    """Why `calculate_memory_size` refuses a device."""

    ENOSPC = "ENOSPC"
    """Not one block and its entry fit."""
    EFBIG = "EFBIG"
    """More entries than the address space or an entry's index can number."""


class MemorySize(NamedTuple):
    """How a device is divided."""

    n_blocks: BlockIndex
    metadata_size: ByteCount
    """Superblock, entries and padding, a multiple of the block size."""


def round_up(value: int, block_size: int) -> int:
    """Round up to a multiple of a power of two, in 64 bits as the kernel does.

    >>> round_up(65, 512), round_up(1024, 512)
    (512, 1024)
    """
    raised = wrap64(value + block_size - 1)
    return raised - raised % block_size


def calculate_memory_size(device_size: int, block_size: int) -> MemorySize | SizeError:
    """Divide `device_size` bytes into metadata and blocks of `block_size` bytes.

    The first guess is an upper bound; it comes down until metadata and data fit together.

    >>> calculate_memory_size(262144, 4096)
    MemorySize(n_blocks=63, metadata_size=4096)
    >>> calculate_memory_size(4096, 4096)
    <SizeError.ENOSPC: 'ENOSPC'>
    """
    n_blocks = device_size // (block_size + ENTRY_SIZE)
    while True:
        if n_blocks == 0:
            return SizeError.ENOSPC
        if n_blocks >= (U64 - SUPERBLOCK_SIZE) // ENTRY_SIZE:
            return SizeError.EFBIG
        offset = round_up(SUPERBLOCK_SIZE + n_blocks * ENTRY_SIZE, block_size)
        if wrap64(offset + wrap64(n_blocks * block_size)) <= device_size:
            break
        n_blocks -= 1
    if n_blocks >= 2**INDEX_BITS:
        return SizeError.EFBIG
    return MemorySize(BlockIndex(n_blocks), ByteCount(offset))


def bitmap_bits(metadata_size: int) -> int:
    """Number of regions, and of dirty bits, in a metadata area.

    >>> bitmap_bits(4096), bitmap_bits(65536), bitmap_bits(65537)
    (1, 1, 2)
    """
    return (metadata_size + REGION_SIZE - 1) // REGION_SIZE


class SuperblockError(Enum):
    """Why the constructor refuses a superblock; the value is the kernel's message."""

    MAGIC = "Invalid magic in the superblock"
    VERSION = "Invalid version in the superblock"
    BLOCK_SIZE = "Block size does not match superblock"
    OVERFLOW = "Overflow in size calculation"
    """The entries or the blocks it claims would wrap 64 bits."""
    TOO_SMALL = "Memory area is too small"
    """What it claims does not fit the device."""


def check_superblock(
    superblock: Superblock, block_size: int, device_size: int
) -> ByteCount | SuperblockError:
    """Check a superblock against the table and the device, in the constructor's order.

    Returns the size of its metadata area in bytes (a multiple of the block size).
    `device_size` is what lies from `start_sector` to the end, in bytes.
    """
    if superblock.magic != MAGIC:
        return SuperblockError.MAGIC
    if superblock.version != VERSION:
        return SuperblockError.VERSION
    if superblock.block_size != block_size:
        return SuperblockError.BLOCK_SIZE
    n_blocks = superblock.n_blocks
    entries_size = wrap64(n_blocks * ENTRY_SIZE)
    if entries_size // ENTRY_SIZE != n_blocks:
        return SuperblockError.OVERFLOW
    offset = wrap64(entries_size + SUPERBLOCK_SIZE)
    if offset < SUPERBLOCK_SIZE:
        return SuperblockError.OVERFLOW
    offset = round_up(offset, block_size)
    data_size = wrap64(n_blocks * block_size)
    if offset == 0 or data_size // block_size != n_blocks:
        return SuperblockError.OVERFLOW
    end = wrap64(offset + data_size)
    if end < offset:
        return SuperblockError.OVERFLOW
    if end > device_size:
        return SuperblockError.TOO_SMALL
    return ByteCount(offset)


def freelist_watermark(n_blocks: int, percent: int) -> int:
    """Free blocks left when `percent` of the cache is in use, rounded to the nearest.

    >>> freelist_watermark(62, 50), freelist_watermark(62, 45)
    (31, 34)
    """
    return wrap64(wrap64(n_blocks * (100 - percent)) + 50) // 100


def entry_region(index: int) -> int:
    """Number of the metadata region that an entry begins in.

    >>> entry_region(0), entry_region(4091), entry_region(4092)
    (0, 0, 1)
    """
    return (SUPERBLOCK_SIZE + index * ENTRY_SIZE) // REGION_SIZE


def is_committed(entry_seq_count: int, seq_count: int) -> bool:
    """Whether an entry belongs to a commit that is complete (`writecache_entry_is_committed`).

    >>> is_committed(4, 5), is_committed(5, 5), is_committed(2**64 - 1, 5)
    (True, False, False)
    """
    return entry_seq_count < seq_count

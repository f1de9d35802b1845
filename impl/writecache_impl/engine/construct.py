"""The constructor: from a table to a cache that is ready to be resumed, or a refusal.

Where the superblock's magic and version are both zero the device is formatted:
1. everything but magic and version: written and flushed;
2. magic and version, in one word of 8 bytes: written and flushed.
A power loss in between leaves both zero, and the next constructor formats again.

Whatever else is found is checked, never mended.  A reload constructs while the old table is live.
"""

from writecache_impl.engine import commit
from writecache_impl.engine.config import Config, Named, configure
from writecache_impl.engine.entries import Entries
from writecache_impl.engine.errors import refusal
from writecache_impl.engine.state import Cache
from writecache_spec.codec import decode_superblock, encode_superblock
from writecache_spec.layout import (
    MAGIC,
    MAXIMUM_BITMAP_BITS,
    SUPERBLOCK_SIZE,
    VERSION,
    MemorySize,
    SizeError,
    Superblock,
    SuperblockError,
    bitmap_bits,
    calculate_memory_size,
    check_superblock,
)
from writecache_spec.units import BlockIndex

try:
    from writecache_impl.engine.fast import FastEntries
except ImportError:  # numpy is an extra
    FASTEST: type[Entries] = Entries
else:
    FASTEST = FastEntries


def construct(named: Named, kind: type[Entries] = FASTEST) -> Cache:
    """Construct a cache of what a table names; raises RefusedError.

    `kind` are the arrays to use.
    """
    device_size = named.cache.size - named.start
    block_size = named.arguments.block_size
    if named.arguments.pmem_mode:
        _check_memory(named)
    else:
        _check_ssd(device_size, block_size)
    block = _read_first_block(named)
    superblock, error = decode_superblock(block), False
    if superblock.magic == 0 and superblock.version == 0:
        size = calculate_memory_size(device_size, block_size)
        if isinstance(size, SizeError):
            raise refusal(size.value, "Unable to initialize device")
        superblock, error = _format(named, size, kind, block)
    metadata_size = check_superblock(superblock, block_size, device_size)
    if isinstance(metadata_size, SuperblockError):
        raise refusal("EINVAL", metadata_size.value)
    if superblock.n_blocks == 0:
        raise refusal("ENOMEM", "Cannot allocate memory")
    wc = _new(named, MemorySize(BlockIndex(superblock.n_blocks), metadata_size), superblock, kind)
    wc.error = error
    return wc


def _check_ssd(device_size: int, block_size: int) -> None:
    size = calculate_memory_size(device_size, block_size)
    if isinstance(size, SizeError):
        raise refusal(size.value, "Invalid device size")
    if bitmap_bits(size.metadata_size) > MAXIMUM_BITMAP_BITS:
        raise refusal("EFBIG", "Invalid device size")


def _check_memory(named: Named) -> None:
    if named.cache.size < named.profile.environment.page_size:
        raise refusal("EINVAL", "Unable to map persistent memory for cache")


def _read_first_block(named: Named) -> bytes:
    """Of an SSD the whole block of the superblock has to be readable."""
    message = "Unable to read first block of metadata"
    if named.arguments.pmem_mode:
        message = "Hardware memory error when reading superblock"
    size = SUPERBLOCK_SIZE if named.arguments.pmem_mode else named.arguments.block_size
    if named.start + size > named.cache.size:
        raise refusal("EIO", message)
    try:
        return named.cache.read(named.start, size)
    except OSError as error:
        raise refusal("EIO", message) from error


def _format(
    named: Named, size: MemorySize, kind: type[Entries], block: bytes
) -> tuple[Superblock, bool]:
    """Write an empty cache; what it says of itself, and whether an error was met.

    Of the first block, which was read, what is no entry stays: on an SSD it is written with it.
    """
    blank = Superblock(block_size=named.arguments.block_size, n_blocks=size.n_blocks)
    wc = _new(named, size, blank, kind)
    entries_end = SUPERBLOCK_SIZE + 16 * size.n_blocks
    wc.metadata[SUPERBLOCK_SIZE:entries_end] = b"\xff" * (entries_end - SUPERBLOCK_SIZE)
    if wc.config.pmem_mode:
        wc.store(0, entries_end)
    elif entries_end < len(block):
        wc.metadata[entries_end : len(block)] = block[entries_end:]
    commit.mark_all_dirty(wc)
    commit.write_metadata(wc)
    superblock = blank._replace(magic=MAGIC, version=VERSION)
    wc.metadata[:SUPERBLOCK_SIZE] = encode_superblock(superblock)
    if wc.config.pmem_mode:
        wc.store(0, 8)
    else:
        wc.dirty.add(0)
    commit.write_metadata(wc)
    return superblock, wc.error


def _new(named: Named, size: MemorySize, superblock: Superblock, kind: type[Entries]) -> Cache:
    config: Config = configure(named, size.n_blocks, size.metadata_size)
    metadata = bytearray(size.metadata_size)
    metadata[:SUPERBLOCK_SIZE] = encode_superblock(superblock)
    in_order = config.pmem_mode
    return Cache(config, metadata, kind(metadata, size.n_blocks, config.block_sectors, in_order))

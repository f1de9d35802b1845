"""Crafted cache images: metadata as a crash, a bug or a soldering iron may have left it."""

from collections.abc import Iterable
from random import Random
from typing import NamedTuple

from writecache_spec.codec import encode_entries, encode_superblock
from writecache_spec.layout import (
    MAGIC,
    VERSION,
    MemoryEntry,
    MemorySize,
    Superblock,
    calculate_memory_size,
)
from writecache_spec.units import SECTOR_SIZE, U64, U64_MAX, Sector, SequenceCount, bytes_of

_FREE = MemoryEntry(Sector(U64_MAX), SequenceCount(U64_MAX))


class Geometry(NamedTuple):
    """Sizes of a pair of devices."""

    block_size: int
    cache_sectors: int
    origin_sectors: int
    start_sector: int = 0

    @property
    def block_sectors(self) -> int:
        """Sectors in a cache block."""
        return self.block_size // SECTOR_SIZE

    @property
    def size(self) -> MemorySize:
        """How a format would divide the cache; the device must not be too small."""
        room = bytes_of(self.cache_sectors - self.start_sector)
        size = calculate_memory_size(room, self.block_size)
        assert isinstance(size, MemorySize), size
        return size


def crafted_cache(random: Random, geometry: Geometry, damage: str) -> bytes:
    """The first bytes of a cache device; `damage` is a key of `DAMAGES` or "none"."""
    n_blocks = geometry.size.n_blocks
    seq_counts = (1, 2, 7, 1000, 2**32, U64 // 2, U64 - 2)
    # Duplicates want counts of their own, one lower for each block.
    seq_count = random.choice(seq_counts[3:] if damage == "duplicates" else seq_counts)
    superblock = Superblock(
        MAGIC, VERSION, geometry.block_size, random.getrandbits(32), n_blocks, seq_count
    )
    superblock = _damaged(random, superblock, damage)
    entries = [_entry(random, geometry, seq_count, damage) for _ in range(n_blocks)]
    if damage == "duplicates":
        # Equal counts are rare after a crash, and an error: keep them rare here.
        entries = [
            entry._replace(seq_count=SequenceCount(max(0, seq_count - 1 - i)))
            if entry != _FREE and entry.seq_count < seq_count
            else entry
            for i, entry in enumerate(entries)
        ]
        random.shuffle(entries)
    metadata = encode_superblock(superblock) + encode_entries(entries)
    data = random.randbytes(geometry.size.metadata_size - len(metadata) + n_blocks * 16)
    return bytes(bytes_of(geometry.start_sector)) + metadata + data


def image_of(superblock: Superblock, entries: Iterable[tuple[int, int]]) -> bytes:
    """Metadata that holds these entries (original sector, sequence count), then free ones."""
    metadata = [MemoryEntry(Sector(sector), SequenceCount(count)) for sector, count in entries]
    free = [_FREE] * (min(superblock.n_blocks, 64) - len(metadata))
    return encode_superblock(superblock) + encode_entries([*metadata, *free])


def _entry(random: Random, geometry: Geometry, seq_count: int, damage: str) -> MemoryEntry:
    if random.random() < 0.4:
        return _FREE
    n_places = geometry.origin_sectors // geometry.block_sectors
    few = 6 if damage in ("duplicates", "identical") else n_places
    sector = random.randrange(min(few, n_places)) * geometry.block_sectors
    if damage == "misaligned" and geometry.block_sectors > 1 and random.random() < 0.3:
        sector += random.randrange(geometry.block_sectors)
    if damage == "beyond" and random.random() < 0.3:
        sector = random.choice(
            (
                geometry.origin_sectors,
                geometry.origin_sectors + 800,
                geometry.origin_sectors - max(1, geometry.block_sectors // 2),
                2**40,
                U64 - geometry.block_sectors,
                U64_MAX,
            )
        )
    count = max(0, seq_count - 1 - random.randrange(min(seq_count, 5)))
    if random.random() < 0.15:
        count = random.choice((seq_count, seq_count + 1, U64_MAX - 1)) % U64
    return MemoryEntry(Sector(sector), SequenceCount(count))


def _damaged(random: Random, superblock: Superblock, damage: str) -> Superblock:
    n_blocks = superblock.n_blocks
    match damage:
        case "magic":
            return superblock._replace(
                magic=random.choice((0, 1, MAGIC ^ 1, MAGIC << 1 & 0xFFFFFFFF))
            )
        case "version":
            return superblock._replace(version=random.choice((0, 2, 0xFFFFFFFF)))
        case "no superblock":
            return superblock._replace(magic=0, version=0)
        case "block size":
            return superblock._replace(block_size=random.choice((0, 512, 4096, 8192, 1000)))
        case "n_blocks":
            wrong = (
                0,
                1,
                n_blocks - 1,
                n_blocks + 1,
                n_blocks * 2,
                2**52,
                2**60,
                2**61 - 4,
                U64_MAX,
            )
            return superblock._replace(n_blocks=random.choice(wrong))
        case "reserved":
            return superblock._replace(reserved=(1, U64_MAX, 3, random.getrandbits(64)))
    return superblock


DAMAGES = (
    "none",
    "duplicates",
    "identical",
    "misaligned",
    "beyond",
    "magic",
    "version",
    "no superblock",
    "block size",
    "n_blocks",
    "reserved",
)
"""Kinds of crafted images."""

"""Images of caches, made by hand."""

import random
from collections.abc import Iterable, Sequence
from pathlib import Path

from writecache_spec.codec import encode_entries, encode_superblock
from writecache_spec.layout import MAGIC, VERSION, MemoryEntry, Superblock, round_up
from writecache_spec.units import U64_MAX, Sector, SequenceCount

FREE = (U64_MAX, U64_MAX)
Pair = tuple[int, int]
"""Sector and sequence count of an entry."""


def block_of(index: int, block_size: int = 512) -> bytes:
    """What `cache` puts into a block: text that tells which it is."""
    return (f"block {index} " * block_size).encode()[:block_size]


def cache(
    entries: Sequence[Pair],
    seq_count: int = 10,
    block_size: int = 512,
    offset: int = 0,
    tail: bytes = b"",
    data: Sequence[bytes] | None = None,
) -> bytes:
    """An image with these entries."""
    superblock = Superblock(MAGIC, VERSION, block_size, 0, len(entries), seq_count)
    encoded = encode_entries(MemoryEntry(Sector(s), SequenceCount(c)) for s, c in entries)
    metadata = encode_superblock(superblock) + encoded
    metadata = metadata.ljust(round_up(len(metadata), block_size), b"\0")
    blocks = data or [block_of(index, block_size) for index in range(len(entries))]
    return b"\xa5" * offset + metadata + b"".join(blocks) + tail


def write(path: Path, data: bytes) -> Path:
    """A file that holds this."""
    path.write_bytes(data)
    return path


def origin(sectors: int) -> bytes:
    """A slow device on which every sector says which it is."""
    return b"".join((f"origin {n} " * 64).encode()[:512] for n in range(sectors))


def random_entries(
    rng: random.Random, n_blocks: int, sectors: Iterable[int], counts: Iterable[int]
) -> list[Pair]:
    """Entries drawn from few values, so that duplicates and twins come about."""
    sectors, counts = list(sectors), list(counts)
    return [(rng.choice(sectors), rng.choice(counts)) for _ in range(n_blocks)]

"""Digests of devices, as vectors carry them: what nobody defines in the metadata counts as zero.

Bytes that were found so once stay so for the rest of a trace: when a later table, or data, is
written over the superblock that told of them, they are left on the device, and nobody knows them.
"""

import hashlib
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

from writecache_spec.arguments import same_word
from writecache_spec.codec import decode_superblock
from writecache_spec.layout import (
    ENTRY_SIZE,
    SUPERBLOCK_SIZE,
    SuperblockError,
    check_superblock,
    round_up,
)
from writecache_spec.numbers import parse_unsigned64
from writecache_spec.units import Sector, bytes_of

_BLOCK_SIZES: Final = (512, 1024, 2048, 4096)
Range = tuple[int, int]
"""Bytes of a device: the first, and the one behind the last."""
DIGEST_DIGITS: Final = 16
"""Hex digits of a SHA-256 that a vector carries."""


def named_start_sectors(line: str) -> frozenset[Sector]:
    """Sectors that a table line names as `start_sector`, whether or not it is accepted.

    >>> sorted(named_start_sectors("s ORIGIN CACHE 4096 2 Start_Sector 016"))
    [16]
    """
    numbers = (
        parse_unsigned64(number)
        for name, number in pairwise(line.split())
        if same_word(name, "start_sector")
    )
    return frozenset(Sector(number) for number in numbers if number is not None)


def undefined_range(cache: bytes, start_sector: int) -> Range | None:
    """Bytes between the last entry and the first block, whose content nobody defines.

    None where there is no valid superblock at `start_sector`.
    """
    first = bytes_of(start_sector)
    header = cache[first : first + SUPERBLOCK_SIZE]
    if len(header) < SUPERBLOCK_SIZE:
        return None
    superblock = decode_superblock(header)
    if superblock.block_size not in _BLOCK_SIZES or not superblock.n_blocks:
        return None
    size = check_superblock(superblock, superblock.block_size, len(cache) - first)
    if isinstance(size, SuperblockError):
        return None
    end_of_entries = SUPERBLOCK_SIZE + superblock.n_blocks * ENTRY_SIZE
    return first + end_of_entries, first + round_up(end_of_entries, superblock.block_size)


def undefined_ranges(cache: bytes, start_sectors: Iterable[Sector]) -> frozenset[Range]:
    """The same of all areas that begin at one of these sectors, as far as they have such bytes."""
    ranges = (undefined_range(cache, start_sector) for start_sector in start_sectors)
    return frozenset(found for found in ranges if found is not None and found[0] < found[1])


def masked_digest(data: bytes, ranges: Iterable[Range]) -> str:
    """The first 16 hex digits of SHA-256, these ranges taken as zero."""
    masked = sorted(ranges)
    view = memoryview(data)
    digest = hashlib.sha256()
    position = 0
    for begin, end in masked:
        if end <= position:
            continue
        begin = max(begin, position)
        digest.update(view[position:begin])
        digest.update(bytes(end - begin))
        position = end
    digest.update(view[position:])
    return digest.hexdigest()[:DIGEST_DIGITS]


def content_digest(content: bytes) -> str:
    """The same of data that was read."""
    return hashlib.sha256(content).hexdigest()[:DIGEST_DIGITS]

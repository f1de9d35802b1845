"""Masking and hashing of what a device holds."""

import hashlib
import random
import struct

import pytest

from writecache_impl.linux.content import (
    MAGIC,
    ContentHash,
    content_hash,
    masked,
    undefined_range,
    undefined_ranges,
)

SIZE = 256 * 1024


def device(
    *, start: int = 0, magic: int = MAGIC, version: int = 1, block: int = 4096, blocks: int = 60
) -> bytearray:
    """A device full of noise with one superblock at byte `start`."""
    content = bytearray(random.Random(1).randbytes(SIZE))
    struct.pack_into("<IIIIQQ", content, start, magic, version, block, 0, blocks, 1)
    return content


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def test_the_bytes_between_the_last_entry_and_the_first_block_are_masked() -> None:
    assert undefined_range(device(), SIZE, 0) == (64 + 16 * 60, 4096)
    assert undefined_range(device(block=512, blocks=400), SIZE, 0) == (64 + 6400, 6656)
    assert undefined_range(device(start=4096, blocks=62), SIZE, 4096) == (4096 + 1056, 8192)


def test_the_largest_number_of_blocks_that_fits_is_valid_and_one_more_is_not() -> None:
    assert undefined_range(device(blocks=63), SIZE, 0) == (1072, 4096)
    assert undefined_range(device(blocks=64), SIZE, 0) is None
    assert undefined_range(device(start=512, blocks=63), SIZE, 512) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"magic": MAGIC ^ 1},
        {"version": 2},
        {"block": 256},
        {"block": 8192},
        {"block": 4095},
        {"blocks": 0},
        {"blocks": (1 << 64) - 1},
    ],
)
def test_nothing_is_masked_without_a_valid_superblock(wrong: dict[str, int]) -> None:
    content = bytes(device(**wrong))
    assert undefined_ranges(content, SIZE, (0,)) == []
    assert content_hash(content, SIZE) == sha(content)


def test_a_superblock_that_would_cross_the_end_is_none() -> None:
    assert undefined_range(device(), SIZE, SIZE - 32) is None
    assert undefined_range(device(), SIZE, SIZE) is None


def test_the_hash_sees_masked_bytes_as_zero_and_all_others() -> None:
    content = device()
    expected = sha(bytes(content[:1024]) + bytes(4096 - 1024) + bytes(content[4096:]))
    assert content_hash(bytes(content), SIZE) == expected
    content[2000] ^= 1
    assert content_hash(bytes(content), SIZE) == expected
    content[1023] ^= 1
    assert content_hash(bytes(content), SIZE) != expected


def test_two_superblocks_mask_both_their_ranges() -> None:
    content = device(blocks=10)
    struct.pack_into("<IIIIQQ", content, 8 * 512, MAGIC, 1, 512, 0, 20, 1)
    ranges = undefined_ranges(bytes(content), SIZE, (0, 8))
    assert ranges == [(224, 4096), (4096 + 384, 4096 + 512)]
    assert masked(bytes(content), 0, ranges)[224:4096] == bytes(4096 - 224)


def test_the_incremental_hash_is_the_plain_one_whatever_changes() -> None:
    random_ = random.Random(2)
    content = device()
    hasher = ContentHash(content, SIZE - 512)  # type: ignore[arg-type]
    superblock = bytes(content[:64])
    undefined: set[tuple[int, int]] = set()
    gone = 0
    for _ in range(200):
        at = random_.choice((0, 8, 16, 2000, random_.randrange(SIZE)))
        content[at] = random_.randrange(256)
        if random_.random() < 0.4:
            content[:64] = superblock
        starts = random_.choice(((0,), (0, 8)))
        now = set(undefined_ranges(bytes(content), SIZE - 512, starts))
        gone += not undefined <= now
        undefined |= now
        data = masked(bytes(content[: SIZE - 512]), 0, sorted(undefined))
        assert hasher.digest(starts) == hashlib.sha256(data).hexdigest()[:16]
    # What was masked once stays masked.
    assert gone > 50

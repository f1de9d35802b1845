"""Sizes and superblocks: what fits, what is accepted, what would overflow; and their bytes."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from writecache_spec.codec import (
    decode_entries,
    decode_superblock,
    encode_entries,
    encode_superblock,
)
from writecache_spec.layout import (
    ENTRY_SIZE,
    MAGIC,
    SUPERBLOCK_SIZE,
    VERSION,
    MemoryEntry,
    MemorySize,
    SizeError,
    Superblock,
    SuperblockError,
    bitmap_bits,
    calculate_memory_size,
    check_superblock,
    entry_region,
    freelist_watermark,
    is_committed,
    round_up,
)
from writecache_spec.units import U64, U64_MAX

BLOCK_SIZES = st.sampled_from((512, 1024, 2048, 4096))
U32S = st.integers(0, 2**32 - 1)
U64S = st.integers(0, U64_MAX)
SUPERBLOCKS = st.builds(
    Superblock, U32S, U32S, U32S, U32S, U64S, U64S, st.tuples(U64S, U64S, U64S, U64S)
)


def needed(n_blocks: int, block_size: int) -> int:
    metadata = -(-(SUPERBLOCK_SIZE + n_blocks * ENTRY_SIZE) // block_size) * block_size
    return metadata + n_blocks * block_size


@given(st.integers(0, 2**45), BLOCK_SIZES)
def test_a_device_is_divided_into_as_many_blocks_as_fit(size: int, block_size: int) -> None:
    result = calculate_memory_size(size, block_size)
    if isinstance(result, SizeError):
        assert result is SizeError.ENOSPC
        assert size < needed(1, block_size)
        return
    assert result.metadata_size % block_size == 0
    assert needed(result.n_blocks, block_size) == result.metadata_size + (
        result.n_blocks * block_size
    )
    assert needed(result.n_blocks, block_size) <= size < needed(result.n_blocks + 1, block_size)


@pytest.mark.parametrize("block_size", [512, 1024, 2048, 4096])
def test_one_block_needs_one_block_of_metadata(block_size: int) -> None:
    assert calculate_memory_size(2 * block_size - 1, block_size) is SizeError.ENOSPC
    assert calculate_memory_size(0, block_size) is SizeError.ENOSPC
    assert calculate_memory_size(2 * block_size, block_size) == MemorySize(1, block_size)


def test_more_blocks_than_an_index_can_number_are_refused() -> None:
    most = 2**47 - 1
    assert calculate_memory_size(needed(most, 512), 512) == MemorySize(
        most, needed(most, 512) - most * 512
    )
    assert calculate_memory_size(needed(most + 1, 512), 512) is SizeError.EFBIG
    # Blocks of one byte: entries alone would fill the address space.
    assert calculate_memory_size(17 * 2**61, 1) is SizeError.EFBIG


@given(st.integers(1, 2**45), BLOCK_SIZES, st.integers(0, U64_MAX))
def test_every_superblock_that_a_format_makes_is_accepted(
    size: int, block_size: int, seq_count: int
) -> None:
    result = calculate_memory_size(size, block_size)
    assume(isinstance(result, MemorySize))
    assert isinstance(result, MemorySize)
    made = Superblock(MAGIC, VERSION, block_size, 0, result.n_blocks, seq_count)
    assert check_superblock(made, block_size, size) == result.metadata_size
    more = made._replace(n_blocks=result.n_blocks + 1)
    assert check_superblock(more, block_size, size) is SuperblockError.TOO_SMALL


@given(SUPERBLOCKS, BLOCK_SIZES, st.integers(0, U64_MAX))
def test_an_accepted_superblock_fits_its_device(
    found: Superblock, block_size: int, size: int
) -> None:
    found = found._replace(magic=MAGIC, version=VERSION, block_size=block_size)
    size_or_error = check_superblock(found, block_size, size)
    fits = needed(found.n_blocks, block_size) <= size
    assert isinstance(size_or_error, SuperblockError) != fits
    if fits:
        assert size_or_error == needed(found.n_blocks, block_size) - found.n_blocks * block_size


GOOD = Superblock(MAGIC, VERSION, 512, 0, 8, 3)


@pytest.mark.parametrize(
    ("found", "error"),
    [
        (GOOD._replace(magic=MAGIC ^ 1, version=9, block_size=1), SuperblockError.MAGIC),
        (GOOD._replace(magic=0, version=1), SuperblockError.MAGIC),
        (GOOD._replace(version=2, block_size=1), SuperblockError.VERSION),
        (GOOD._replace(version=0), SuperblockError.VERSION),
        (GOOD._replace(block_size=1024, n_blocks=2**60), SuperblockError.BLOCK_SIZE),
        # 16 n does not fit 64 bits.
        (GOOD._replace(n_blocks=2**60), SuperblockError.OVERFLOW),
        (GOOD._replace(n_blocks=U64_MAX), SuperblockError.OVERFLOW),
        # 16 n fits, with 64 more it wraps.
        (GOOD._replace(n_blocks=2**60 - 1), SuperblockError.OVERFLOW),
        (GOOD._replace(n_blocks=2**60 - 4), SuperblockError.OVERFLOW),
        # 16 n + 64 fits, rounded up it is 0.
        (GOOD._replace(n_blocks=2**60 - 5), SuperblockError.OVERFLOW),
        # The metadata fits, 512 n does not.
        (GOOD._replace(n_blocks=2**55), SuperblockError.OVERFLOW),
        # Each fits, their sum does not.
        (GOOD._replace(n_blocks=2**55 - 1), SuperblockError.OVERFLOW),
        (GOOD._replace(n_blocks=2**54), SuperblockError.TOO_SMALL),
        (GOOD._replace(n_blocks=9), SuperblockError.TOO_SMALL),
    ],
)
def test_a_bad_superblock_is_refused_for_its_first_fault(
    found: Superblock, error: SuperblockError
) -> None:
    assert check_superblock(GOOD, 512, 9 * 512) == 512
    assert check_superblock(found, 512, 9 * 512) is error


def test_an_empty_cache_passes_the_size_checks() -> None:
    assert check_superblock(GOOD._replace(n_blocks=0), 512, 512) == 512


@given(st.integers(0, U64_MAX - 4096), st.sampled_from((1, 512, 4096)))
def test_rounding_up_reaches_the_next_multiple(value: int, block_size: int) -> None:
    raised = round_up(value, block_size)
    assert raised % block_size == 0
    assert value <= raised < value + block_size


def test_rounding_up_wraps_at_64_bits() -> None:
    assert round_up(U64 - 1, 512) == 0


@given(st.integers(0, 2**47), st.integers(0, 100))
def test_watermarks_round_to_the_nearest(n_blocks: int, percent: int) -> None:
    exact = n_blocks * (100 - percent)
    assert abs(100 * freelist_watermark(n_blocks, percent) - exact) <= 50


def test_regions_are_numbered_by_64_kib() -> None:
    assert [entry_region(i) for i in (0, 4091, 4092, 8187, 8188)] == [0, 0, 1, 1, 2]
    assert [bitmap_bits(size) for size in (512, 65536, 66048, 131072)] == [1, 1, 2, 2]


@given(U64S, U64S)
def test_committed_means_of_an_earlier_commit(entry: int, now: int) -> None:
    assert is_committed(entry, now) == (entry < now)
    assert not is_committed(U64_MAX, now)


@given(SUPERBLOCKS)
def test_a_superblock_survives_its_encoding(found: Superblock) -> None:
    encoded = encode_superblock(found)
    assert len(encoded) == SUPERBLOCK_SIZE
    assert decode_superblock(encoded + b"rest") == found


@given(st.binary(min_size=64, max_size=64))
def test_every_64_bytes_are_a_superblock(data: bytes) -> None:
    assert encode_superblock(decode_superblock(data)) == data


@given(st.lists(st.builds(MemoryEntry, U64S, U64S), max_size=20))
def test_entries_survive_their_encoding(entries: list[MemoryEntry]) -> None:
    encoded = encode_entries(entries)
    assert len(encoded) == ENTRY_SIZE * len(entries)
    assert decode_entries(encoded) == entries


def test_a_superblock_has_these_bytes() -> None:
    found = Superblock(MAGIC, VERSION, 4096, 5, 63, 0x0102030405060708, (1, 2, 3, U64_MAX))
    assert encode_superblock(found) == bytes.fromhex(
        "21934823 01000000 00100000 05000000 3f00000000000000 0807060504030201"
        "0100000000000000 0200000000000000 0300000000000000 ffffffffffffffff"
    )


def test_an_entry_has_these_bytes() -> None:
    entries = [MemoryEntry(8, 258), MemoryEntry(U64_MAX, U64_MAX)]
    assert encode_entries(entries).hex() == "08" + "00" * 7 + "0201" + "00" * 6 + "ff" * 16


def test_too_few_bytes_are_refused() -> None:
    with pytest.raises(ValueError, match="64 bytes, not 63"):
        decode_superblock(bytes(63))
    with pytest.raises(ValueError, match="no multiple"):
        decode_entries(bytes(17))

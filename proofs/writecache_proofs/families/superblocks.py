"""Superblocks: what the constructor accepts, where it lies, and what its overflow checks catch.

Subject: `layout.check_superblock`.  A superblock is anything: every field has its full width.
"""

from typing import Any, Final, NamedTuple

from writecache_models.mutants import Edit
from writecache_proofs.families.sizes import BLOCKS, block_size_of, needed
from writecache_proofs.planting import no_wrap
from writecache_proofs.symbolic import Run
from writecache_proofs.theorem import Family, Twin
from writecache_spec.layout import (
    ENTRY_SIZE,
    MAGIC,
    SUPERBLOCK_SIZE,
    VERSION,
    MemorySize,
    SizeError,
    Superblock,
    SuperblockError,
    calculate_memory_size,
    check_superblock,
)
from writecache_spec.units import INDEX_BITS, U64_MAX

SUPERBLOCKS: Final = Family("sizes", __name__)
BLOCK_DEVICE: Final = 2**63 - 1
"""Bytes of the largest device that Linux has."""


def any_superblock(run: Run) -> Superblock:
    """Every field as wide as it is."""
    return Superblock(
        magic=run.integer("magic", 0, 2**32 - 1),
        version=run.integer("version", 0, 2**32 - 1),
        block_size=run.integer("superblock_block_size", 0, 2**32 - 1),
        n_blocks=run.integer("n_blocks", 0, U64_MAX),
    )


class Accepted(NamedTuple):
    """A superblock that the constructor accepts."""

    block_size: int
    device_size: Any
    superblock: Superblock
    offset: Any
    """Where the data begins, in bytes."""


def accepted(run: Run, largest: int) -> Accepted | None:
    """Any superblock, block size and device of at most so many bytes; None where it is refused."""
    block_size = block_size_of(run)
    device_size = run.integer("device_size", 0, largest)
    superblock = any_superblock(run)
    offset = check_superblock(superblock, block_size, device_size)
    if isinstance(offset, SuperblockError):
        return None
    return Accepted(block_size, device_size, superblock, offset)


@SUPERBLOCKS.theorem(
    Twin(
        "the end is not compared with the device",
        (Edit(check_superblock, "if end > device_size:", "if offset > device_size:"),),
    ),
    Twin(
        "the data's size is not checked for overflow",
        (Edit(check_superblock, "or data_size // block_size != n_blocks", "or False"),),
    ),
    bound=BLOCKS,
)
def accepted_superblocks_lie_inside_the_device(run: Run) -> None:
    """What an accepted superblock describes lies inside the device, counted without any width."""
    if (found := accepted(run, U64_MAX)) is None:
        return
    block_size, device_size, superblock, offset = found
    n_blocks = superblock.n_blocks
    run.claim(offset >= SUPERBLOCK_SIZE + n_blocks * ENTRY_SIZE, "the metadata holds its entries")
    run.claim(offset + n_blocks * block_size <= device_size, "the data ends inside the device")
    run.claim(offset % block_size == 0, "the data begins on a block boundary")


@SUPERBLOCKS.theorem(
    Twin(
        "the version is compared with the one after it",
        (Edit(check_superblock, "!= VERSION", "!= VERSION + 1"),),
    ),
    bound=BLOCKS,
)
def every_formatted_superblock_is_accepted(run: Run) -> None:
    """A superblock that format writes is accepted on the same device, with the same metadata
    size."""
    block_size = block_size_of(run)
    device_size = run.integer("device_size", 0, BLOCK_DEVICE)
    size = calculate_memory_size(device_size, block_size)
    if isinstance(size, SizeError):
        return
    superblock = Superblock(MAGIC, VERSION, block_size, 0, size.n_blocks)
    run.claim(
        check_superblock(superblock, block_size, device_size) == size.metadata_size, "accepted"
    )


@SUPERBLOCKS.theorem(
    Twin(
        "the layout stops one block short of the most",
        (Edit(calculate_memory_size, "BlockIndex(n_blocks)", "BlockIndex(n_blocks - 1)"),),
    ),
    bound=f"{BLOCKS}; devices up to 2**63 - 1 bytes",
)
def no_accepted_superblock_has_more_blocks_than_format_makes(run: Run) -> None:
    """In SSD mode an accepted superblock has no more blocks than a format of the same device.

    So each of them has an index of 47 bits, though `check_superblock` does not ask.
    """
    if (found := accepted(run, BLOCK_DEVICE)) is None:
        return
    block_size, device_size, superblock, _ = found
    size = calculate_memory_size(device_size, block_size)
    if size is SizeError.ENOSPC:
        run.claim(superblock.n_blocks == 0, "no room for a block, no block")
    if isinstance(size, MemorySize):
        run.claim(superblock.n_blocks <= size.n_blocks, "no more blocks")
        run.claim(superblock.n_blocks < 2**INDEX_BITS, "47 bits")


def _47_bits(run: Run) -> None:
    """`check_superblock` alone keeps the index within 47 bits."""
    if (found := accepted(run, BLOCK_DEVICE)) is not None:
        run.claim(found.superblock.n_blocks < 2**INDEX_BITS, "47 bits")


@SUPERBLOCKS.theorem(
    Twin("on any block device", check=_47_bits),
    bound=BLOCKS,
)
def persistent_memory_keeps_47_bits_below_an_exact_size(run: Run) -> None:
    """In persistent-memory mode, where no layout is asked for, 47 bits are enough on any device
    that has no room for 2**47 blocks: below 66 PiB with the smallest blocks.

    On a larger one a superblock can claim more than an entry's index can number.
    """
    block_size = block_size_of(run)
    device_size = run.integer("device_size", 0, BLOCK_DEVICE)
    run.suppose(device_size < needed(2**INDEX_BITS, block_size))
    _47_bits(run)


def _overflow_is_refused(run: Run) -> None:
    """Whatever wraps on the way is refused as an overflow, and nothing else is."""
    block_size = block_size_of(run)
    device_size = run.integer("device_size", 0, U64_MAX)
    n_blocks = run.integer("n_blocks", 0, U64_MAX)
    superblock = Superblock(MAGIC, VERSION, block_size, 0, n_blocks)
    verdict = check_superblock(superblock, block_size, device_size)
    wraps = False
    try:
        with no_wrap():
            check_superblock(superblock, block_size, device_size)
    except OverflowError:
        wraps = True
    run.claim((verdict is SuperblockError.OVERFLOW) == wraps, "refused exactly if it wraps")


def _skips(check: str) -> Edit:
    return Edit(check_superblock, check, "False")


_DATA: Final = _skips("data_size // block_size != n_blocks")
_END: Final = _skips("end < offset")
_OTHERS: Final = (
    _skips("entries_size // ENTRY_SIZE != n_blocks"),
    _skips("offset < SUPERBLOCK_SIZE"),
    _skips("offset == 0"),
)

SUPERBLOCKS.theorem(
    Twin("without the check of the data's size", (_DATA,)),
    Twin("without the check of the end", (_END,)),
    bound=BLOCKS,
)(_overflow_is_refused)

SUPERBLOCKS.redundant(
    "three_of_five_overflow_checks_are_redundant",
    "Without the checks of the entries' size, of the superblock's own and of its rounding, the "
    "same is refused: where entries wrap, their blocks, which are larger, do.",
    _overflow_is_refused,
    _OTHERS,
    Twin("without one of the other two", (*_OTHERS, _DATA)),
)

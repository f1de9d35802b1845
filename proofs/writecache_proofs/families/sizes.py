"""Sizes: how a device is divided, for every size of 64 bits and every block size there can be.

Subjects: `layout.calculate_memory_size`, `layout.round_up`, and the conversions of `units`.
"""

from bisect import bisect_left
from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.planting import no_wrap
from writecache_proofs.symbolic import Run, all_of, implies
from writecache_proofs.theorem import Family, Twin
from writecache_spec.layout import (
    ENTRY_SIZE,
    SUPERBLOCK_SIZE,
    MemorySize,
    SizeError,
    calculate_memory_size,
    round_up,
)
from writecache_spec.units import INDEX_BITS, U64, U64_MAX, bytes_of, jiffies_of, sectors_of

SIZES: Final = Family("sizes", __name__)
BLOCK_SIZES: Final = tuple(2**shift for shift in range(9, 17))
"""From 512 bytes to the largest page that Linux has, 64 KiB."""
BLOCKS: Final = "block sizes 512 to 65536"


def block_size_of(run: Run) -> int:
    """Any block size, a path for each."""
    chosen: int = run.choose("block_size", BLOCK_SIZES)
    return chosen


def any_layout(run: Run) -> tuple[int, Any, MemorySize | SizeError]:
    """Any block size, any device of 64 bits, and the layout that the shipped search finds."""
    block_size = block_size_of(run)
    device_size = run.integer("device_size", 0, U64_MAX)
    return block_size, device_size, calculate_memory_size(device_size, block_size)


def needed(n_blocks: int, block_size: int) -> int:
    """Bytes that so many blocks, their entries and the superblock take; without any width."""
    metadata = SUPERBLOCK_SIZE + n_blocks * ENTRY_SIZE
    return -(-metadata // block_size) * block_size + n_blocks * block_size


def first_wrapping_size(block_size: int) -> int:
    """The least device size at which the search's first guess needs 2**64 bytes or more."""
    n_blocks = bisect_left(range(2**56), U64, key=lambda n: needed(n, block_size))
    return n_blocks * (block_size + ENTRY_SIZE)


def _search_goes_down_by(run: Run, most: int) -> None:
    block_size, device_size, size = any_layout(run)
    turns = run.visits(calculate_memory_size, "<= device_size")
    run.claim(turns is None or turns <= 3, "no more than three layouts are looked at")
    if isinstance(size, MemorySize):
        guess = device_size // (block_size + ENTRY_SIZE)
        run.claim(guess - size.n_blocks <= most, f"the first guess less {most} at most")
    if size is SizeError.ENOSPC:
        run.claim(
            device_size < 3 * (block_size + ENTRY_SIZE), "nothing is found on small ones only"
        )


def _one_step_is_enough(run: Run) -> None:
    """The search takes its first guess down by one at most."""
    _search_goes_down_by(run, 1)


@SIZES.theorem(Twin("one step would do", check=_one_step_is_enough), bound=BLOCKS)
def layout_search_ends_after_two_steps(run: Run) -> None:
    """The search for a layout takes its first guess down by two at most, whatever the sizes."""
    _search_goes_down_by(run, 2)


@SIZES.theorem(
    Twin(
        "the superblock is forgotten",
        (
            Edit(
                calculate_memory_size,
                "round_up(SUPERBLOCK_SIZE + n_blocks * ENTRY_SIZE, block_size)",
                "round_up(n_blocks * ENTRY_SIZE, block_size)",
            ),
        ),
    ),
    bound=BLOCKS,
)
def layout_fits_and_its_parts_do_not_overlap(run: Run) -> None:
    """Superblock and entries lie before the data, and the data ends inside the device."""
    block_size, device_size, size = any_layout(run)
    if not isinstance(size, MemorySize):
        return
    entries_end = SUPERBLOCK_SIZE + size.n_blocks * ENTRY_SIZE
    run.claim(entries_end <= size.metadata_size, "the last entry ends inside the metadata")
    run.claim(size.metadata_size % block_size == 0, "the data begins on a block boundary")
    end = size.metadata_size + size.n_blocks * block_size
    run.claim(end <= device_size, "the data ends inside the device")
    run.claim(size.metadata_size < entries_end + block_size, "less than a block is padding")


@SIZES.theorem(
    Twin(
        "a layout that fills the device exactly is passed over",
        (Edit(calculate_memory_size, "<= device_size:", "< device_size:"),),
    ),
    bound=BLOCKS,
)
def layout_is_maximal(run: Run) -> None:
    """One block more would not fit; and where no layout is found, not one block fits."""
    block_size, device_size, size = any_layout(run)
    if isinstance(size, MemorySize):
        run.claim(needed(size.n_blocks + 1, block_size) > device_size, "one more does not fit")
    if size is SizeError.ENOSPC:
        run.claim(needed(1, block_size) > device_size, "not one fits")


def _nothing_wraps_up_to(run: Run, beyond: int) -> None:
    block_size = block_size_of(run)
    device_size = run.integer("device_size", 0, U64_MAX)
    run.suppose(device_size < first_wrapping_size(block_size) + beyond)
    with no_wrap():
        calculate_memory_size(device_size, block_size)
    run.claim(device_size <= U64_MAX, "no intermediate value leaves its 64 bits")


def _one_size_more(run: Run) -> None:
    """Nothing wraps for one size more."""
    _nothing_wraps_up_to(run, 1)


@SIZES.theorem(Twin("the next greater size wraps, too", check=_one_size_more), bound=BLOCKS)
def layout_wraps_nowhere_below_an_exact_size(run: Run) -> None:
    """No intermediate value wraps below the size whose first guess needs 2**64 bytes.

    At that size one does.  It is far beyond 2**63 - 1, the largest that a block device can have.
    """
    _nothing_wraps_up_to(run, 0)
    smallest = min(first_wrapping_size(block_size) for block_size in BLOCK_SIZES)
    run.claim(smallest > 2**63 - 1, "no block device is that large")


@SIZES.theorem(
    Twin(
        "one number more is let through",
        (Edit(calculate_memory_size, "n_blocks >= 2**INDEX_BITS", "n_blocks > 2**INDEX_BITS"),),
    ),
    bound=BLOCKS,
)
def blocks_are_refused_exactly_beyond_47_bits(run: Run) -> None:
    """A device is refused as too big exactly from the size on that holds 2**47 blocks."""
    block_size, device_size, size = any_layout(run)
    too_big = needed(2**INDEX_BITS, block_size)
    run.claim((size is SizeError.EFBIG) == (device_size >= too_big), "refused from there on only")
    if isinstance(size, MemorySize):
        run.claim(size.n_blocks < 2**INDEX_BITS, "every block has an index of 47 bits")


@SIZES.theorem(
    Twin(
        "the number is raised by a block",
        (Edit(round_up, "value + block_size - 1", "value + block_size"),),
    ),
    bound=f"{BLOCKS}; values of 64 bits that do not wrap",
)
def round_up_is_the_least_multiple(run: Run) -> None:
    """Rounding up yields the least multiple that is not below the value."""
    block_size = block_size_of(run)
    value = run.integer("value", 0, U64 - block_size)
    rounded = round_up(value, block_size)
    run.claim(rounded % block_size == 0, "a multiple")
    run.claim(all_of([value <= rounded, rounded < value + block_size]), "the least one")


@SIZES.theorem(
    Twin(
        "sectors of 513 bytes",
        (Edit(sectors_of, "size // SECTOR_SIZE", "size // (SECTOR_SIZE + 1)"),),
    )
)
def sectors_and_bytes_round_trip(run: Run) -> None:
    """Sectors become bytes and sectors again; bytes do exactly if they are whole sectors."""
    sectors = run.integer("sectors", 0, 2**55 - 1)
    run.claim(sectors_of(bytes_of(sectors)) == sectors, "sectors come back")
    size = run.integer("size", 0, U64_MAX)
    back = bytes_of(sectors_of(size))
    whole = size % 512 == 0
    run.claim((back == size) == whole, "bytes come back exactly if they are whole sectors")
    run.claim(all_of([back <= size, size < back + 512]), "less than a sector is lost")


@SIZES.theorem(
    Twin(
        "rounded down",
        (Edit(jiffies_of, "(milliseconds + tick - 1) // tick", "milliseconds // tick"),),
    ),
    bound="HZ 100, 250, 1000; 32 bits",
)
def a_delay_is_never_short_and_never_zero(run: Run) -> None:
    """A time in jiffies is no shorter than asked for, by less than a tick longer; never 0 for
    more."""
    hz = run.choose("hz", (100, 250, 1000))
    milliseconds = run.integer("milliseconds", 0, 2**32 - 1)
    jiffies = jiffies_of(milliseconds, hz)
    tick = 1000 // hz
    run.claim(jiffies * tick >= milliseconds, "not shorter")
    run.claim(jiffies * tick < milliseconds + tick, "by less than a tick longer")
    run.claim(implies(milliseconds >= 1, jiffies >= 1), "not 0")

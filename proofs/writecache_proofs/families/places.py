"""Places: where entries, blocks and the superblock's write lie, whatever superblock was accepted.

Subjects: `layout.bitmap_bits`, `entry_region`, `state.cache_sector`, `commit.superblock_sectors`.
"""

from typing import Final

from writecache_models.mutants import Edit
from writecache_proofs.families.constants import config_of
from writecache_proofs.families.sizes import BLOCKS, block_size_of
from writecache_proofs.families.superblocks import BLOCK_DEVICE, accepted
from writecache_proofs.symbolic import Run, all_of, implies
from writecache_proofs.theorem import Family, Twin
from writecache_spec.commit import superblock_sectors
from writecache_spec.layout import (
    ENTRY_SIZE,
    REGION_SIZE,
    SUPERBLOCK_SIZE,
    bitmap_bits,
    entry_region,
)
from writecache_spec.profile import PROFILES
from writecache_spec.state import cache_sector
from writecache_spec.units import U64_MAX, sectors_of

PLACES_OF: Final = Family("sizes", __name__)


@PLACES_OF.theorem(
    Twin(
        "rounded down",
        (Edit(bitmap_bits, "REGION_SIZE - 1", "0"),),
    ),
    bound=BLOCKS,
)
def every_entry_lies_in_a_region_that_has_a_bit(run: Run) -> None:
    """An entry of an accepted superblock lies wholly in one region, and that region has a dirty
    bit."""
    if (found := accepted(run, BLOCK_DEVICE)) is None:
        return
    superblock, offset = found.superblock, found.offset
    index = run.integer("index", 0, U64_MAX)
    run.suppose(index < superblock.n_blocks)
    region = entry_region(index)
    last_byte = SUPERBLOCK_SIZE + index * ENTRY_SIZE + ENTRY_SIZE - 1
    run.claim(last_byte // REGION_SIZE == region, "its last byte is in the region of its first")
    run.claim(region < bitmap_bits(offset), "the region has a bit")
    run.claim((bitmap_bits(offset) - 1) * REGION_SIZE < offset, "and no bit is beyond the end")
    run.claim(last_byte // 512 == (last_byte - 15) // 512, "it lies in one sector, too")


@PLACES_OF.theorem(
    Twin(
        "the beginning of the data is forgotten",
        (Edit(cache_sector, "config.data_start + index", "index"),),
    ),
    bound=BLOCKS,
)
def blocks_lie_apart_and_inside(run: Run) -> None:
    """Each block lies behind the metadata, inside the device, and apart from every other block."""
    if (found := accepted(run, BLOCK_DEVICE)) is None:
        return
    block_size, device_size, superblock, offset = found
    start = run.integer("start_sector", 0, 2**54)
    config = config_of(block_size, start, sectors_of(offset), superblock.n_blocks)
    a, b = run.integer("a", 0, U64_MAX), run.integer("b", 0, U64_MAX)
    run.suppose(all_of([a < b, b < superblock.n_blocks]))
    first, second = cache_sector(config, a), cache_sector(config, b)
    run.claim(first >= start + sectors_of(offset), "behind the metadata")
    run.claim(first + config.block_sectors <= second, "apart")
    run.claim(second + config.block_sectors <= start + sectors_of(device_size), "inside the device")


@PLACES_OF.theorem(
    Twin(
        "the write is not clamped",
        (Edit(superblock_sectors, "min(sectors_of(wanted), config.metadata_sectors)",
              "sectors_of(wanted)"),),
    ),
    bound="block sizes 512 to 65536, the three ways of writing it",
)  # fmt: skip
def the_superblock_write_stays_in_the_metadata(run: Run) -> None:
    """A commit's superblock write carries the superblock, and nothing beyond the metadata."""
    block_size = block_size_of(run)
    n_metadata_blocks = run.integer("n_metadata_blocks", 1, 2**50)
    metadata_sectors = n_metadata_blocks * (block_size // 512)
    profile = PROFILES[run.choose("profile", ("1.4.0", "1.4.0-bullseye", "1.6.0"))]
    config = config_of(block_size, 0, metadata_sectors, 1)._replace(profile=profile)
    n_sectors = superblock_sectors(config)
    run.claim(n_sectors >= 1, "it carries the superblock")
    run.claim(n_sectors <= metadata_sectors, "it ends inside the metadata")
    run.claim(implies(metadata_sectors >= 8, n_sectors >= min(8, block_size // 512)), "no less")

"""A cache's constants for theorems, whatever its sizes."""

from typing import Any

from writecache_spec.arguments import Arguments
from writecache_spec.profile import PROFILES
from writecache_spec.state import Config
from writecache_spec.units import U64_MAX, BlockIndex, ByteCount, Jiffies, Sector, sectors_of


def config_of(block_size: int, start: Any, metadata_sectors: Any, n_blocks: Any) -> Config:
    """The constants of a cache on the plain profile 1.6.0."""
    return Config(
        profile=PROFILES["1.6.0"],
        arguments=Arguments("ORIGIN", "CACHE", ByteCount(block_size)),
        n_blocks=BlockIndex(n_blocks),
        block_size=ByteCount(block_size),
        block_sectors=sectors_of(block_size),
        start_sector=Sector(start),
        metadata_sectors=Sector(metadata_sectors),
        data_start=Sector(start + metadata_sectors),
        autocommit_blocks=65536,
        autocommit_jiffies=Jiffies(100),
        max_age=Jiffies(U64_MAX),
        max_writeback_jobs=0,
        pause=Jiffies(0),
        metadata_only=False,
        pmem_mode=False,
        writeback_fua=False,
    )

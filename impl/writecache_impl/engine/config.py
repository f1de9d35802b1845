"""Configuration: what a table line and the devices' sizes decide once and for all.

The table is read, and sizes are computed, by the reference's own functions; this is the only part
of it that the engine shares.  Times are in ticks of `hz`, rounded up.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from writecache_impl.engine.devices import Device
from writecache_impl.engine.errors import refusal
from writecache_spec.arguments import (
    AUTOCOMMIT_BLOCKS,
    AUTOCOMMIT_BLOCKS_PMEM,
    AUTOCOMMIT_MS,
    PAUSE_WRITEBACK_MS,
    Arguments,
    BlockDevice,
    Refusal,
    parse_arguments,
    table_line,
    watermarks,
)
from writecache_spec.layout import freelist_watermark
from writecache_spec.numbers import split_words
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.units import U64_MAX, ByteCount, Sector, bytes_of, jiffies_of, sectors_of

_LINUX: Final = PROFILES["1.6.0"]
LIKE: Final = _LINUX._replace(environment=_LINUX.environment._replace(persistent_memory=True))
"""The kernel whose lines, messages and numbers the engine has.  What it does is the engine's own:
repairs of the reference are none of its business."""
_SMALLEST_SUPERBLOCK_WRITE: Final = 4096
MAX_AGE_DIV: Final = 16
"""Blocks are looked for sixteen times in each max_age, and taken that much early."""
_JOBS_BYTES: Final = 0x10000000
"""Of blocks under writeback, where the table gives no limit."""


class Named(NamedTuple):
    """What a table line names."""

    arguments: Arguments
    cache: Device
    origin: Device
    profile: Profile

    @property
    def start(self) -> int:
        """Where on the cache device the metadata begins, in bytes."""
        return bytes_of(self.arguments.start_sector or Sector(0))

    @property
    def line(self) -> str:
        """The table line as device-mapper shows it."""
        return table_line(self.arguments)


class Config(NamedTuple):
    """What stays the same as long as a table is loaded."""

    named: Named
    n_blocks: int
    block_size: int
    block_sectors: int
    start: int
    """Byte of the cache device at which the metadata begins."""
    metadata_size: int
    data_start: int
    """Byte of the cache device at which block 0 begins."""
    superblock_size: int
    """Bytes that a commit's write of the superblock carries."""
    autocommit_blocks: int
    autocommit_ticks: int
    max_age: int
    """Ticks; all ones: never."""
    max_writeback_jobs: int
    """Blocks; 0: no limit."""
    pause: int
    """Ticks that the origin must have had no write before writeback begins."""
    high_watermark: int
    """Free blocks at which writeback begins."""
    low_watermark: int
    """Free blocks above which it ends."""
    metadata_only: bool
    pmem_mode: bool
    writeback_fua: bool

    @property
    def max_age_ticks(self) -> int:
        """From one look for blocks that are too old to the next."""
        return max(self.max_age // MAX_AGE_DIV, 1)


def parse_table(line: str, devices: Mapping[str, Device], profile: Profile = LIKE) -> Named:
    """Read a table line; raises RefusedError with the kernel's message.

    `devices` are those that the line may name.
    """
    words = tuple(split_words(line))
    page_size = profile.environment.page_size
    known = {
        name: BlockDevice(
            ByteCount(device.size),
            # A piece of memory that is cut inside a page is none.
            is_persistent_memory=device.size % page_size == 0,
        )
        for name, device in devices.items()
    }
    arguments = parse_arguments(words, known, profile)
    if isinstance(arguments, Refusal):
        raise refusal(arguments.errno, arguments.message)
    if arguments.pmem_mode and not known[arguments.cache].is_persistent_memory:
        raise refusal("ENOTSUP", "Asynchronous persistent memory not supported as pmem cache")
    return Named(arguments, devices[arguments.cache], devices[arguments.origin], profile)


def configure(named: Named, n_blocks: int, metadata_size: int) -> Config:
    """Work out everything else, for a cache of so many blocks with so many bytes of metadata."""
    arguments, environment = named.arguments, named.profile.environment
    pmem_mode, size = arguments.pmem_mode, arguments.block_size
    high, low = watermarks(arguments)
    blocks = AUTOCOMMIT_BLOCKS_PMEM if pmem_mode else AUTOCOMMIT_BLOCKS
    jobs = min(_JOBS_BYTES // environment.page_size, environment.total_ram_pages // 16)
    pauses = named.profile.has_pause and not pmem_mode
    return Config(
        named=named,
        n_blocks=n_blocks,
        block_size=size,
        block_sectors=sectors_of(size),
        start=named.start,
        metadata_size=metadata_size,
        data_start=named.start + metadata_size,
        superblock_size=min(max(_SMALLEST_SUPERBLOCK_WRITE, size), metadata_size),
        autocommit_blocks=_given(arguments.autocommit_blocks, blocks),
        autocommit_ticks=jiffies_of(
            _given(arguments.autocommit_time, AUTOCOMMIT_MS), environment.hz
        ),
        max_age=(
            U64_MAX if arguments.max_age is None else jiffies_of(arguments.max_age, environment.hz)
        ),
        max_writeback_jobs=_given(
            arguments.writeback_jobs, jobs if named.profile.limits_writeback_jobs else 0
        ),
        pause=(
            jiffies_of(_given(arguments.pause_writeback, PAUSE_WRITEBACK_MS), environment.hz)
            if pauses
            else 0
        ),
        high_watermark=freelist_watermark(n_blocks, high),
        low_watermark=freelist_watermark(n_blocks, low),
        metadata_only=arguments.metadata_only,
        pmem_mode=pmem_mode,
        writeback_fua=pmem_mode and arguments.fua is not False,
    )


def _given(value: int | None, default: int) -> int:
    return default if value is None else value

"""The constructor: from a table line to a cache that is ready to be resumed, or a refusal.

Where the superblock's magic *and* version are zero the device is formatted:
1. superblock without its magic, and all entries free: written and flushed;
2. then the first region again, now with the magic: written and flushed.
A crash in between leaves no magic, but the version: the next constructor refuses the device, unless
it is mended (`Repair.FORMAT_VERSION`) to write the version last, too: then it formats again.
In persistent-memory mode the same is stored, with a fence for each write and flush.
Everything else that is found is checked, never mended.  A reload runs the constructor while the old
table is still live.

Describes `writecache_ctr`, `init_memory`, `persistent_memory_claim` and the sizes they work with.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from writecache_spec.arguments import (
    AUTOCOMMIT_BLOCKS,
    AUTOCOMMIT_BLOCKS_PMEM,
    AUTOCOMMIT_MS,
    PAUSE_WRITEBACK_MS,
    Arguments,
    BlockDevice,
    Refusal,
    parse_arguments,
    watermarks,
)
from writecache_spec.commit import commit_flushed, mark_all_dirty
from writecache_spec.effects import Broken, Effect, Reason, StoreEntry, StoreSuperblock
from writecache_spec.events import NONE_FAIL
from writecache_spec.layout import (
    MAGIC,
    MAXIMUM_BITMAP_BITS,
    SUPERBLOCK_SIZE,
    VERSION,
    MemorySize,
    SizeError,
    Superblock,
    SuperblockError,
    bitmap_bits,
    calculate_memory_size,
    check_superblock,
    freelist_watermark,
)
from writecache_spec.messages import activate_cleaner
from writecache_spec.numbers import split_words
from writecache_spec.profile import Profile
from writecache_spec.repairs import Repair
from writecache_spec.state import FREE, Config, State
from writecache_spec.transcript import Transcript
from writecache_spec.units import (
    U64_MAX,
    BlockIndex,
    ByteCount,
    Jiffies,
    Sector,
    bytes_of,
    jiffies_of,
    sectors_of,
)
from writecache_spec.vector import Vector

NO_SUPERBLOCK: Final = Refusal("EIO", "Unable to read first block of metadata")
NO_MEMORY_SUPERBLOCK: Final = Refusal("EIO", "Hardware memory error when reading superblock")
ASYNCHRONOUS_MEMORY: Final = Refusal(
    "ENOTSUP", "Asynchronous persistent memory not supported as pmem cache"
)


class Construction(NamedTuple):
    """What became of a table line."""

    result: State | Refusal | Broken
    effects: tuple[Effect, ...] = ()
    """What a format wrote, even where a refusal followed."""


def construct(
    profile: Profile,
    line: str,
    devices: Mapping[str, BlockDevice],
    superblock: Superblock | None,
    failed: frozenset[int] = NONE_FAIL,
) -> Construction:
    """Construct a cache from a table line.

    `devices` are the block devices that exist, by name; `superblock` is what the cache device holds
    at the line's `start_sector` (`first_block_of` tells), None where it cannot be read.
    """
    arguments = parse_arguments(split_words(line), devices, profile)
    if isinstance(arguments, Refusal):
        return Construction(arguments)
    start_sector = arguments.start_sector or Sector(0)
    device_size = ByteCount(devices[arguments.cache].size - bytes_of(start_sector))
    device = devices[arguments.cache]
    if arguments.pmem_mode:
        refusal, unreadable = _check_memory(device, profile), NO_MEMORY_SUPERBLOCK
        if not profile.mends(Repair.UNREADABLE_IS_AN_ERROR):
            # How many bytes could not be copied stands where an errno belongs.
            unreadable = unreadable._replace(errno="", returned=SUPERBLOCK_SIZE)
    else:
        refusal, unreadable = _check_ssd(arguments, device_size), NO_SUPERBLOCK
    if refusal is not None or superblock is None:
        return Construction(refusal or unreadable)
    transcript = Transcript(failed)
    error = False
    if superblock.magic == 0 and superblock.version == 0:
        size = calculate_memory_size(device_size, arguments.block_size)
        if isinstance(size, SizeError):
            return Construction(Refusal(size.value, "Unable to initialize device"))
        formatted = format_device(profile, arguments, size, transcript)
        superblock, error = formatted.superblock, formatted.error
    metadata_size = check_superblock(superblock, arguments.block_size, device_size)
    if isinstance(metadata_size, SuperblockError):
        return Construction(Refusal("EINVAL", metadata_size.value), tuple(transcript.effects))
    if superblock.n_blocks == 0:
        return Construction(Refusal("ENOMEM", "Cannot allocate memory"), tuple(transcript.effects))
    size = MemorySize(BlockIndex(superblock.n_blocks), metadata_size)
    wc = _initial_state(profile, arguments, size, superblock)._replace(error=error)
    return Construction(wc, tuple(transcript.effects))


def first_block_of(profile: Profile, line: str, devices: Mapping[str, BlockDevice]) -> range | None:
    """The sectors of the cache device that the constructor reads; None where the line is refused.

    The first block of the metadata, with the superblock at its beginning.
    """
    arguments = parse_arguments(split_words(line), devices, profile)
    if isinstance(arguments, Refusal):
        return None
    first = arguments.start_sector or Sector(0)
    return range(first, first + sectors_of(arguments.block_size))


def _check_ssd(arguments: Arguments, device_size: ByteCount) -> Refusal | Broken | None:
    """Whether the device has room, and not too much."""
    size = calculate_memory_size(device_size, arguments.block_size)
    if isinstance(size, SizeError):
        return Refusal(size.value, "Invalid device size")
    if bitmap_bits(size.metadata_size) > MAXIMUM_BITMAP_BITS:
        return Refusal("EFBIG", "Invalid device size")
    return None


def _check_memory(device: BlockDevice, profile: Profile) -> Refusal | Broken | None:
    """Whether the device is memory that the processor can use (`persistent_memory_claim`)."""
    page_size = profile.environment.page_size
    refuses = profile.mends(Repair.DAX_IS_ASKED_FOR)
    if not device.is_persistent_memory and not refuses:
        return Broken(Reason.NOT_PERSISTENT_MEMORY)
    if not device.is_persistent_memory or not device.is_synchronous:
        return ASYNCHRONOUS_MEMORY
    if device.size < page_size or bytes_of(device.first_sector) % page_size:
        return Refusal("EINVAL", "Unable to map persistent memory for cache")
    return None


def format_device(
    profile: Profile, arguments: Arguments, size: MemorySize, transcript: Transcript
) -> State:
    """Write an empty cache, its magic last; the state is what the metadata in memory holds."""
    version_last = profile.mends(Repair.FORMAT_VERSION)
    superblock = Superblock(
        magic=0,
        version=0 if version_last else VERSION,
        block_size=arguments.block_size,
        n_blocks=size.n_blocks,
    )
    wc = _initial_state(profile, arguments, size, superblock)
    store = arguments.pmem_mode
    if store:
        _store_empty_cache(superblock, version_last, transcript)
    wc = commit_flushed(mark_all_dirty(wc), transcript, data_too=False)
    superblock = superblock._replace(magic=MAGIC, version=VERSION)
    if store:
        fields = ("magic", "version") if version_last else ("magic",)
        transcript.tell(StoreSuperblock(superblock, fields))
    wc = wc._replace(superblock=superblock, dirty_regions=0 if store else 1)
    return commit_flushed(wc, transcript, data_too=False)


def _store_empty_cache(superblock: Superblock, version_last: bool, transcript: Transcript) -> None:
    """Store zeros for the superblock, then all of it but the magic, then free entries."""
    transcript.tell(StoreSuperblock(Superblock(), Superblock._fields))
    for field in ("version", "block_size", "n_blocks", "seq_count")[version_last:]:
        transcript.tell(StoreSuperblock(superblock, (field,)))
    for number in range(superblock.n_blocks):
        index = BlockIndex(number)
        transcript.tell(StoreEntry(index, FREE.seq_count, FREE.original_sector))


def _initial_state(
    profile: Profile, arguments: Arguments, size: MemorySize, superblock: Superblock
) -> State:
    config = _configure(profile, arguments, size)
    high, low = watermarks(arguments)
    wc = State(
        config=config,
        superblock=superblock,
        entries=Vector(FREE for _ in range(size.n_blocks)),
        freelist_high_watermark=freelist_watermark(size.n_blocks, high),
        freelist_low_watermark=freelist_watermark(size.n_blocks, low),
    )
    return activate_cleaner(wc) if arguments.cleaner else wc


def _configure(profile: Profile, arguments: Arguments, size: MemorySize) -> Config:
    hz = profile.environment.hz
    start_sector = arguments.start_sector or Sector(0)
    metadata_sectors = sectors_of(size.metadata_size)
    return Config(
        profile=profile,
        arguments=arguments,
        n_blocks=size.n_blocks,
        block_size=arguments.block_size,
        block_sectors=sectors_of(arguments.block_size),
        start_sector=start_sector,
        metadata_sectors=metadata_sectors,
        data_start=Sector(start_sector + metadata_sectors),
        autocommit_blocks=_default(
            arguments.autocommit_blocks,
            AUTOCOMMIT_BLOCKS_PMEM if arguments.pmem_mode else AUTOCOMMIT_BLOCKS,
        ),
        autocommit_jiffies=jiffies_of(_default(arguments.autocommit_time, AUTOCOMMIT_MS), hz),
        max_age=(
            Jiffies(U64_MAX) if arguments.max_age is None else jiffies_of(arguments.max_age, hz)
        ),
        max_writeback_jobs=_default(arguments.writeback_jobs, default_writeback_jobs(profile)),
        pause=(
            jiffies_of(_default(arguments.pause_writeback, PAUSE_WRITEBACK_MS), hz)
            if profile.has_pause and not arguments.pmem_mode
            else Jiffies(0)
        ),
        metadata_only=arguments.metadata_only,
        pmem_mode=arguments.pmem_mode,
        writeback_fua=arguments.pmem_mode and arguments.fua is not False,
    )


def default_writeback_jobs(profile: Profile) -> int:
    """The limit of blocks being copied where the table gives none; 0 is no limit."""
    if not profile.limits_writeback_jobs:
        return 0
    environment = profile.environment
    return min(0x10000000 // environment.page_size, environment.total_ram_pages // 16)


def _default(given: int | None, default: int) -> int:
    return default if given is None else given

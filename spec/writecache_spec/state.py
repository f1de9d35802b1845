"""The state: everything that decides what the cache does next lives here.

A cache consists of
  * what is fixed when it is constructed (`Config`),
  * the metadata in memory: superblock and entries.  What the cache device holds is another thing:
    entries reach it in 64 KiB regions at a commit, the superblock with the commit's last write;
  * three orders over the entries: the tree by original sector, the LRU by insertion, the free list;
  * counters, the work that is under way, and who sleeps waiting for it.

Volatile state ends with a crash; `resume` rebuilds it from the metadata on the device.
Describes `struct dm_writecache`, `struct wc_entry` and `cache_sector`.
"""

from enum import Enum
from typing import Final, NamedTuple

from writecache_spec.arguments import Arguments
from writecache_spec.events import Bio, Job
from writecache_spec.layout import Superblock, is_committed
from writecache_spec.ordered import OrderedMap
from writecache_spec.profile import Profile
from writecache_spec.repairs import Repair
from writecache_spec.units import U64_MAX, BlockIndex, ByteCount, Jiffies, Sector, SequenceCount
from writecache_spec.vector import Vector


class Config(NamedTuple):
    """What the constructor decided once and for all."""

    profile: Profile
    """The kernel that is described."""
    arguments: Arguments
    """What the table line says."""
    n_blocks: BlockIndex
    """Cache blocks, and entries."""
    block_size: ByteCount
    """In bytes."""
    block_sectors: Sector
    """The same in sectors."""
    start_sector: Sector
    """Where on the cache device the metadata begins."""
    metadata_sectors: Sector
    """Superblock, entries and padding."""
    data_start: Sector
    """Where on the cache device block 0 begins."""
    autocommit_blocks: int
    """So many uncommitted blocks ask for a commit."""
    autocommit_jiffies: Jiffies
    """So long after a write a commit is asked for."""
    max_age: Jiffies
    """All ones where the option was not given: nothing is ever that old."""
    max_writeback_jobs: int
    """0: no limit."""
    pause: Jiffies
    """How long the origin must have had no write before writeback begins."""
    metadata_only: bool
    """Only what is marked as metadata of a filesystem is cached."""
    pmem_mode: bool
    """Whether the cache is persistent memory: read and written by the processor."""
    writeback_fua: bool
    """Whether writeback writes the origin with FUA, and needs no flush after; in SSD mode not."""


class Entry(NamedTuple):
    """One cache block: its entry in the metadata, and what is known of it in memory only."""

    original_sector: Sector
    """Where on the origin the block belongs."""
    seq_count: SequenceCount
    """The commit it was written in; all ones when the block is free."""
    age: Jiffies = Jiffies(0)
    """When it was allocated."""
    lru_key: int = 0
    """Its place in the LRU: greater is more recent; of a free block in persistent memory, its place
    in the free list."""
    write_in_progress: bool = False
    """Being copied to the origin: in the tree, in no list, and not to be overwritten."""


FREE: Final = Entry(Sector(U64_MAX), SequenceCount(U64_MAX))
"""What format writes for every block."""


class Stats(NamedTuple):
    """Counters of the status line since 1.6.0, in its order; in blocks unless said otherwise."""

    reads: int = 0
    """Asked for."""
    read_hits: int = 0
    """Found in the cache."""
    writes: int = 0
    """Asked for."""
    write_hits_uncommitted: int = 0
    """Requests, or their further pieces, not blocks; so the next."""
    write_hits_committed: int = 0
    """The same where the newest entry is committed."""
    writes_around: int = 0
    """Sent past the cache."""
    writes_allocate: int = 0
    """Written to blocks that were free; see `Profile.overwrite_counts_as_allocate`."""
    writes_blocked_on_freelist: int = 0
    """Had to wait for a free block."""
    flushes: int = 0
    """Requests, not blocks."""
    discards: int = 0
    """Asked for."""


class Phase(Enum):
    """Where the writeback function stands, between two of its critical sections."""

    RESTART = "waits, to begin again when nothing is under writeback"
    SUBMIT = "submits its copies one by one"
    THROTTLE = "waits, having submitted as many copies as `writeback_jobs` allows"
    NO_PROGRESS = "waits for any block to be freed, then ends"
    DRAIN = "waits until nothing is under writeback, then ends"


class Writeback(NamedTuple):
    """The running writeback function."""

    phase: Phase
    jobs: tuple[Job, ...] = ()
    """Selected and not yet submitted."""


class Waiter(Enum):
    """Who may sleep on the free list's wait queue, besides requests (named by their tags)."""

    WRITEBACK = "writeback"
    SUSPEND = "suspend"


class State(NamedTuple):
    """A constructed cache."""

    config: Config
    """Fixed since the constructor."""
    superblock: Superblock
    """In memory."""
    entries: Vector[Entry]
    """One for each block, by index."""
    tree: OrderedMap[tuple[BlockIndex, ...]] = OrderedMap()
    """Original sector to the entries that have it, oldest first."""
    lru: OrderedMap[BlockIndex] = OrderedMap()
    """LRU key to entry; the last is the most recent.  Blocks under writeback are not in it."""
    freelist: OrderedMap[BlockIndex] = OrderedMap()
    """Free entries: in SSD mode by index; in persistent-memory mode, where place does not matter,
    in the order in which they became free (by `lru_key`)."""
    current_free: BlockIndex | None = None
    """The free entry that is taken next: in SSD mode allocation goes round."""
    seq_count: SequenceCount = SequenceCount(0)
    """Number of the commit under way: what new entries get."""
    writeback_size: int = 0
    """Blocks under writeback."""
    freelist_high_watermark: int = 0
    """Writeback begins when no more than this are free or about to be."""
    freelist_low_watermark: int = 0
    """Writeback ends when more than this are."""
    uncommitted_blocks: int = 0
    """32 bits, and it can wrap: see `discard`."""
    dirty_regions: int = 0
    """A bit for each metadata region that the next commit writes."""
    overwrote_committed: bool = False
    """Committed blocks were overwritten in place since the last flush of the cache device."""
    unwritten: frozenset[BlockIndex] = frozenset()
    """Uncommitted blocks that no write has reached yet; known to a repair only."""
    error: bool = False
    """An I/O error or damage was met; sticky until the table is reloaded."""
    reads_in_progress: int = 0
    """Requests that the cache device is working on."""
    writes_in_progress: int = 0
    """The same of writes."""
    flush_list: tuple[Bio, ...] = ()
    """Flushes and discards that wait for the flush thread."""
    writeback_all: int = 0
    """How many ask for everything to be written back."""
    flush_on_suspend: bool = False
    """The next suspend writes everything back."""
    suspend_writes_all: bool = False
    """The suspend under way counts in `writeback_all`."""
    cleaner: bool = False
    """Nothing new is cached, and whatever is cached is written back."""
    suspended: bool = True
    """As device-mapper sees it."""
    poisoned: bool = True
    """The lists must not be used: before the first resume, and once suspend is through."""
    data_device_sectors: Sector = Sector(0)
    """Length of the origin at the last resume."""
    writeback: Writeback | None = None
    """None while the function does not run."""
    endio_list: tuple[tuple[Job, bool], ...] = ()
    """Copies that have ended, and whether they failed."""
    endio_taken: tuple[tuple[Job, bool], ...] = ()
    """Those that the endio thread has taken from the list and not yet worked on."""
    sleeping: frozenset[Waiter | int] = frozenset()
    """Who sleeps until an entry is freed or an error occurs."""
    origin_writes_in_flight: int = 0
    """What the pause of writeback looks at: writes past the cache."""
    origin_idle_since: Jiffies = Jiffies(0)
    """When the last of them ended; 0, long before the clock's start, if there was none."""
    stats: Stats = Stats()
    """Counters of the status line."""


def mends(wc: State, repair: Repair) -> bool:
    """Whether a repair is made, or the kernel followed."""
    return bool(wc.config.profile.repairs) and repair in wc.config.profile.repairs


def entry_is_committed(wc: State, entry: Entry) -> bool:
    """Whether a crash now would keep this entry."""
    return is_committed(entry.seq_count, wc.seq_count)


def flush_numbers(config: Config) -> range:
    """The numbers of the flushes that device-mapper sends for one."""
    return range(1) if config.pmem_mode else config.profile.flush_numbers


def blocks_at(config: Config, sector: int, n_sectors: int) -> range:
    """The blocks that whole blocks of the cache device's data area belong to."""
    first = (sector - config.data_start) // config.block_sectors
    return range(first, first + n_sectors // config.block_sectors)


def cache_sector(config: Config, index: int) -> Sector:
    """Where on the cache device a block's data is."""
    return Sector(config.data_start + index * config.block_sectors)

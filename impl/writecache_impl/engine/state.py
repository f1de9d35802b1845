"""The state of a cache that is loaded: everything that decides what it does next lives here.

The metadata in memory and what the cache device holds are two things.  In SSD mode entries reach
the device in regions of 64 KiB, at a commit; in persistent-memory mode each is stored when it
changes.  `entries` stands on the metadata in memory.

**One lock** protects all of it.  Whoever holds it does one thing of the kernel's critical sections:
maps a piece of a request, commits, selects blocks for writeback, frees those that are home.  Data
of the cache is stored and loaded under the lock, too, so that no block is given away under a
reader.  The origin is read and written without it; `in_flight` counts those.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, Literal

from writecache_impl.engine.config import Config
from writecache_impl.engine.entries import Entries
from writecache_spec.layout import ENTRY_SIZE, REGION_SIZE, SUPERBLOCK_SIZE

Work = Literal["flush", "writeback"]
"""Functions of the work queue; each is on it at most once."""
FLUSH: Final[Work] = "flush"
WRITEBACK: Final[Work] = "writeback"

(
    READS,
    READ_HITS,
    WRITES,
    WRITE_HITS_UNCOMMITTED,
    WRITE_HITS_COMMITTED,
    WRITES_AROUND,
    WRITES_ALLOCATE,
    WRITES_BLOCKED,
    FLUSHES,
    DISCARDS,
) = range(10)
"""Places of the counters in the status line, behind its first four fields."""


class Run:
    """Blocks under writeback that are copied together."""

    __slots__ = ("blocks", "failed", "sector", "went_nowhere")

    def __init__(self, blocks: range | list[int], sector: int) -> None:
        self.blocks = blocks
        self.sector = sector
        """Where on the origin the first one belongs."""
        self.failed = False
        self.went_nowhere = False
        """It lies behind the origin's end: nothing was copied."""


class Cache:
    """One loaded table."""

    __slots__ = (
        "autocommit_at",
        "cache",
        "cleaner",
        "complaint",
        "config",
        "copies",
        "dirty",
        "entries",
        "error",
        "flush_on_suspend",
        "high_watermark",
        "in_flight",
        "kick",
        "low_watermark",
        "max_age_at",
        "metadata",
        "now",
        "origin",
        "origin_idle_since",
        "origin_sectors",
        "origin_writes_in_flight",
        "overwrote_committed",
        "queue",
        "recovered",
        "seq_count",
        "stats",
        "suspended",
        "uncommitted_blocks",
        "unwritten",
        "wake",
        "writeback_all",
        "writeback_size",
    )

    def __init__(self, config: Config, metadata: bytearray, entries: Entries) -> None:
        self.config = config
        self.cache, self.origin = config.named.cache, config.named.origin
        self.metadata = metadata
        """Superblock, entries and padding, as they are in memory."""
        self.entries = entries
        self.seq_count = 0
        """The number of the commit under way; what has a lower one is committed."""
        self.dirty: set[int] = set()
        """Regions of the metadata that the next commit writes."""
        self.uncommitted_blocks = 0
        """32 bits, and it can wrap: see `requests.discard`."""
        self.overwrote_committed = False
        """Committed blocks were overwritten in place since the cache device was flushed."""
        self.unwritten: set[int] = set()
        """Blocks whose first write failed: they hold nothing."""
        self.error = False
        """Sticky until another table is loaded: nothing is written any more."""
        self.complaint = ""
        """The first error, in the kernel's words."""
        self.writeback_size = 0
        """Blocks under writeback."""
        self.writeback_all = 0
        """How many ask for everything to be written back."""
        self.high_watermark, self.low_watermark = config.high_watermark, config.low_watermark
        self.flush_on_suspend = self.cleaner = False
        self.suspended = True
        self.recovered = False
        """Whether a resume has built the lists."""
        self.origin_sectors = 0
        """Length of the origin at the last resume."""
        self.in_flight = 0
        """Requests that the origin is working on."""
        self.origin_writes_in_flight = 0
        """The writes and flushes among them."""
        self.origin_idle_since = 0
        """When the last of them ended; 0, long ago, if there was none."""
        self.stats = [0] * 10
        self.queue: deque[Work] = deque()
        self.copies: list[Run] = []
        """Runs that are to be copied."""
        self.autocommit_at: int | None = None
        """When the timer rings."""
        self.max_age_at: int | None = None
        self.now: Callable[[], int] = int
        self.kick: Callable[[], None] = _nothing
        """Tells the background that it has something to do; called with the lock held."""
        self.wake: Callable[[], None] = _nothing
        """Tells all who sleep that a block is free, that writeback has ended, or of an error."""
        if config.named.arguments.cleaner:
            self.activate_cleaner()

    def activate_cleaner(self) -> None:
        """From now on any block in use is one too many."""
        self.cleaner = self.flush_on_suspend = True
        self.high_watermark = self.low_watermark = self.config.n_blocks

    def fail(self, complaint: str) -> None:
        """Set the sticky error, and wake all who wait (`writecache_error`)."""
        if not self.error:
            self.complaint = complaint
        self.error = True
        self.wake()

    def enqueue(self, work: Work) -> None:
        """Put a function on the work queue, unless it is there."""
        if work not in self.queue:
            self.queue.append(work)
            self.kick()

    def verify_watermark(self) -> None:
        """Ask for writeback where few blocks are free, or about to be."""
        if self.entries.n_free + self.writeback_size <= self.high_watermark:
            self.enqueue(WRITEBACK)

    def schedule_autocommit(self) -> None:
        """Start the timer, unless it runs."""
        if self.autocommit_at is None:
            self.autocommit_at = self.now() + self.config.autocommit_ticks
            self.kick()

    def is_committed(self, index: int) -> bool:
        """Whether a crash now would keep this entry."""
        return self.entries.seq_counts[index] < self.seq_count

    def data_of(self, index: int) -> int:
        """The byte of the cache device at which a block's data begins."""
        return self.config.data_start + index * self.config.block_size

    def store(self, offset: int, size: int) -> None:
        """Store a piece of the metadata in persistent memory; an error is set if that fails."""
        try:
            piece = memoryview(self.metadata)[offset : offset + size]
            self.cache.write(self.config.start + offset, piece)
        except OSError:
            self.fail("error writing metadata")

    def allocated(self, first: int, n_blocks: int) -> None:
        """Entries were taken: they are uncommitted, and fewer are free."""
        self.uncommitted_blocks = (self.uncommitted_blocks + n_blocks) & 0xFFFFFFFF
        if self.config.pmem_mode:
            self.store(SUPERBLOCK_SIZE + first * ENTRY_SIZE, n_blocks * ENTRY_SIZE)
        self.verify_watermark()

    def free_entry(self, index: int) -> None:
        """Free a block: the next commit says so on the device, or the store here does."""
        self.entries.free(index)
        self.unwritten.discard(index)
        place = SUPERBLOCK_SIZE + index * ENTRY_SIZE
        if self.config.pmem_mode:
            self.store(place + 8, 8)
        else:
            self.dirty.add(place // REGION_SIZE)
        self.wake()


def _nothing() -> None:
    """Nobody is there to be told."""

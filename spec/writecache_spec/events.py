"""Events: what can happen to a cache.  Each is one critical section of the kernel's lock.

Which event comes next is decided outside: by requests, by timers, by the order in which threads get
the processor.  So is which I/O fails: an event that does I/O while it holds the lock says in
`failing_ios` which of its I/Os, counted from 0 in the order of its effects, end with an error.
"""

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

from writecache_spec.layout import MemoryEntry, Superblock
from writecache_spec.units import BlockIndex, Jiffies, Sector

NONE_FAIL: frozenset[int] = frozenset()
"""Every I/O succeeds."""


class Op(Enum):
    """What a request asks for."""

    READ = "read"
    WRITE = "write"
    FLUSH = "flush"
    """An empty write with PREFLUSH: device-mapper splits a flush off the data it comes with."""
    DISCARD = "discard"


class Device(Enum):
    """The two devices under the cache."""

    CACHE = "cache"
    ORIGIN = "origin"


class Bio(NamedTuple):
    """A request, or what is left of it."""

    op: Op
    sector: Sector = Sector(0)
    """Counted from the beginning of the target."""
    n_sectors: Sector = Sector(0)
    fua: bool = False
    """Must be durable when it is reported complete."""
    meta: bool = False
    """Metadata of a filesystem: what `metadata_only` caches."""
    flush_number: int = 0
    """Of a flush that is sent several times, which one this is."""
    tag: int = 0
    """Tells requests apart; no transition depends on it."""


class BioPrivate(Enum):
    """What a request in flight is counted as, until `EndIo` takes it off again."""

    NONE = "nothing"
    IN_PROGRESS = "a read or write of the cache device"
    ORIGIN_WRITE = "a write past the cache"
    FUA_IN_PROGRESS = "a write of the cache device that must still be committed"
    FAILED = "the rest of a read that has met a hardware memory error"


class CopyJob(NamedTuple):
    """A run of neighbouring cache blocks to be copied to neighbouring places of the origin."""

    first: BlockIndex
    n_blocks: int
    original_sector: Sector

    @property
    def blocks(self) -> Sequence[BlockIndex]:
        """The cache blocks, in the order of their places."""
        return [BlockIndex(index) for index in range(self.first, self.first + self.n_blocks)]


class WriteJob(NamedTuple):
    """Neighbouring places of the origin to be written from blocks of persistent memory."""

    blocks: tuple[BlockIndex, ...]
    """In the order of their places; wherever they are in the cache."""
    original_sector: Sector

    @property
    def n_blocks(self) -> int:
        """How many."""
        return len(self.blocks)


Job = CopyJob | WriteJob
"""What brings a run of blocks home: a copy in SSD mode, a write in persistent-memory mode."""


class Map(NamedTuple):
    """A request arrives (`writecache_map`), or one that slept for a free block tries again."""

    bio: Bio
    now: Jiffies = Jiffies(0)
    failing_ios: frozenset[int] = NONE_FAIL
    """Loads from persistent memory that end in a hardware memory error."""


class EndIo(NamedTuple):
    """The device below has completed (a piece of) a request (`writecache_end_io`)."""

    bio: Bio
    private: BioPrivate
    failed: bool = False
    now: Jiffies = Jiffies(0)
    blocks: range = range(0)
    """The cache blocks that a write of the cache device went to; only a repair asks."""


class FlushThread(NamedTuple):
    """The flush thread takes the next request off its list (`writecache_flush_thread`)."""

    failing_ios: frozenset[int] = NONE_FAIL


class FlushWork(NamedTuple):
    """The work queue commits (`writecache_flush_work`)."""

    failing_ios: frozenset[int] = NONE_FAIL


class WritebackWork(NamedTuple):
    """The work queue begins a pass of writeback (`writecache_writeback`, up to its unlock)."""

    now: Jiffies = Jiffies(0)
    failing_ios: frozenset[int] = NONE_FAIL


class WritebackContinue(NamedTuple):
    """The running writeback function goes on: the next copy, or the end of a wait."""

    now: Jiffies = Jiffies(0)
    failing_ios: frozenset[int] = NONE_FAIL


class CopyEnd(NamedTuple):
    """A block is home, or a run of them (`writecache_copy_endio`, `writecache_writeback_endio`)."""

    job: Job
    failed: bool = False


class EndioTake(NamedTuple):
    """The endio thread takes the list and flushes the origin, without the lock."""

    failing_ios: frozenset[int] = NONE_FAIL


class EndioThread(NamedTuple):
    """The endio thread frees what was copied (`__writecache_endio_ssd`, and the commit after).

    In persistent-memory mode no more than 16 blocks in one critical section."""

    failing_ios: frozenset[int] = NONE_FAIL


class AutocommitTimer(NamedTuple):
    """The time since the first uncommitted write is up."""


class MaxAgeTimer(NamedTuple):
    """Time to look for blocks that are too old."""


class Message(NamedTuple):
    """A device-mapper message, up to where it waits."""

    words: tuple[str, ...]
    failing_ios: frozenset[int] = NONE_FAIL


class FlushMessageEnd(NamedTuple):
    """The work queue has run dry for a `flush` message."""


class Suspend(NamedTuple):
    """Device-mapper has suspended the device (`writecache_suspend`, up to the drain)."""

    failing_ios: frozenset[int] = NONE_FAIL


class SuspendEnd(NamedTuple):
    """The work queue is drained; the rest of `writecache_suspend`, up to each of its waits."""


class Resume(NamedTuple):
    """Rebuild the cache from its metadata, and run (`writecache_resume`)."""

    metadata: tuple[Superblock, tuple[MemoryEntry | None, ...]] | None
    """What the cache device holds: superblock and n_blocks entries; None if it cannot be read, or
    from persistent memory the superblock.  There a single entry can be unreadable, too."""
    data_device_sectors: Sector
    now: Jiffies = Jiffies(0)
    failing_ios: frozenset[int] = NONE_FAIL


Event = (
    Map
    | EndIo
    | FlushThread
    | FlushWork
    | WritebackWork
    | WritebackContinue
    | CopyEnd
    | EndioTake
    | EndioThread
    | AutocommitTimer
    | MaxAgeTimer
    | Message
    | FlushMessageEnd
    | Suspend
    | SuspendEnd
    | Resume
)
"""Any event."""

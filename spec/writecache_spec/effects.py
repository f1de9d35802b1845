"""Effects: what a transition does to the world, as data.  **Their order is the claim.**

A write to a device is not durable before a `FlushDevice` of that device that comes after it, or
unless it says FUA.  Metadata effects refer to the entries they carry and do not copy them.

A store to persistent memory is made of aligned words of 8 bytes, each of which is stored whole.  It
is not durable before a `Fence` that comes after it; until then a crash keeps any of its words.
"""

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from writecache_spec.events import Bio, BioPrivate, CopyJob, Device, WriteJob
from writecache_spec.layout import Superblock
from writecache_spec.units import BlockIndex, Jiffies, Sector, SequenceCount
from writecache_spec.vector import Vector

if TYPE_CHECKING:
    from writecache_spec.state import Entry


class Work(Enum):
    """Functions that share the cache's work queue; each is queued at most once."""

    FLUSH = "flush"
    WRITEBACK = "writeback"


class Timer(Enum):
    """The cache's timers."""

    AUTOCOMMIT = "autocommit"
    MAX_AGE = "max_age"


class Reason(Enum):
    """How the kernel dies, or misbehaves beyond description."""

    WRITEBACK_OF_BLOCK_IN_PROGRESS = "BUG_ON(e->write_in_progress) in writecache_writeback"
    OLDER_ENTRY_NOT_IN_PROGRESS = "BUG_ON(!f->write_in_progress) in writecache_writeback"
    UNINITIALISED_NEXT = "writecache_writeback goes on from a pointer that was never set"
    EMPTY_TREE = "writecache_writeback takes the first entry of an empty tree"
    FREED_ENTRY = "writecache_writeback goes on with an entry that its own commit has freed"
    END_OF_BLOCK_NOT_IN_PROGRESS = "BUG_ON(!e->write_in_progress) in __writecache_endio_ssd, _pmem"
    NOT_PERSISTENT_MEMORY = "dax_synchronous() of a device that has no DAX, in writecache_ctr"
    RUN_NOT_CONTIGUOUS = "BUG_ON(f != e + 1) in __writecache_writeback_ssd"


class Metadata(NamedTuple):
    """The metadata area in memory, at one moment."""

    superblock: Superblock
    entries: "Vector[Entry]"


class Remap(NamedTuple):
    """The first `n_sectors` of a request go to a device; what is left comes back to `Map`."""

    bio: Bio
    device: Device
    sector: Sector
    """On that device."""
    n_sectors: Sector
    private: BioPrivate


class Complete(NamedTuple):
    """A request is reported, with an errno or success."""

    bio: Bio
    errno: str | None


class Sleep(NamedTuple):
    """The request, message or function waits until an entry is freed or an error occurs."""

    waiter: object
    rest: Bio | None = None
    """What is left of a request: to be mapped when it wakes."""


class WriteMetadata(NamedTuple):
    """Write a part of the metadata area; the next effect of this device comes after it is done."""

    first_sector: Sector
    """Counted from the beginning of the metadata area."""
    n_sectors: Sector
    metadata: Metadata
    fua: bool = False


class FlushDevice(NamedTuple):
    """Make every write that this device has completed durable."""

    device: Device


class StoreSuperblock(NamedTuple):
    """Store some of the superblock's fields in persistent memory, a word each.

    Magic and version share a word of 8 bytes: named together they are one store.  A repaired format
    rests on that (`Repair.FORMAT_VERSION`); as two stores a crash could keep the magic alone."""

    superblock: Superblock
    fields: tuple[str, ...]
    """Names, in the order in which they are stored."""


class StoreEntry(NamedTuple):
    """Store an entry in persistent memory, or its sequence count alone: a word each."""

    block: BlockIndex
    seq_count: SequenceCount
    original_sector: Sector | None = None
    """None: is left as it is."""


class StoreBlock(NamedTuple):
    """Store one block of a write's data in persistent memory."""

    bio: Bio
    """Begins with this block."""
    block: BlockIndex


class LoadBlock(NamedTuple):
    """Load one block of persistent memory into the buffer of a read; can fail."""

    bio: Bio
    """Begins with this block."""
    block: BlockIndex


class Fence(NamedTuple):
    """Make every store to persistent memory durable that was made before (`pmem_wmb`)."""


class WriteOrigin(NamedTuple):
    """Write a run of blocks from persistent memory to the origin; ends with `CopyEnd`.

    The device reads the memory while it works."""

    job: WriteJob
    origin_sector: Sector
    n_sectors: Sector
    """Without the blocks that begin beyond the origin's end; the last may reach over it."""
    fua: bool


class Copy(NamedTuple):
    """Copy from the cache to the origin; ends with the event `CopyEnd`."""

    job: CopyJob
    cache_sector: Sector
    origin_sector: Sector
    n_sectors: Sector
    """Less than the job's blocks where they reach over the origin's end."""


class QueueWork(NamedTuple):
    """Put a function on the work queue, unless it is there."""

    work: Work


class StartTimer(NamedTuple):
    """Start a timer, unless it runs."""

    timer: Timer
    delay: Jiffies


class StopTimer(NamedTuple):
    """Stop a timer."""

    timer: Timer


class AwaitWorkQueue(NamedTuple):
    """The message or suspend goes on when the work queue has run what is on it now."""

    drain: bool
    """Also what that work puts there."""


class Returned(NamedTuple):
    """A message, a suspend or a resume has ended."""

    errno: str | None


class Log(NamedTuple):
    """A line of the kernel's log."""

    text: str


class Broken(NamedTuple):
    """The kernel has died.  The state is what it was before the event."""

    reason: Reason


class NotEnabled(NamedTuple):
    """The event cannot happen now; the state is unchanged.

    Either it waits, holding the lock, for what is in flight, or nobody would raise it."""

    why: str


Effect = (
    Remap
    | Complete
    | Sleep
    | WriteMetadata
    | FlushDevice
    | StoreSuperblock
    | StoreEntry
    | StoreBlock
    | LoadBlock
    | Fence
    | WriteOrigin
    | Copy
    | QueueWork
    | StartTimer
    | StopTimer
    | AwaitWorkQueue
    | Returned
    | Log
    | Broken
    | NotEnabled
)
"""Any effect."""

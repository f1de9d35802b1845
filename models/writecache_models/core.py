"""What the kernel around a cache is made of, and how effects play on it.

Two devices, one work queue (first in, first out, each function on it at most once), kcopyd, timers
and a clock.  What happens next is for others to say (`kernel`).
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from writecache_models.actions import HangError, PanicError
from writecache_models.copies import Copies
from writecache_models.devices import Devices
from writecache_models.faults import Fault
from writecache_spec.effects import (
    AwaitWorkQueue,
    Broken,
    Complete,
    Copy,
    Effect,
    Fence,
    FlushDevice,
    LoadBlock,
    Log,
    NotEnabled,
    QueueWork,
    Remap,
    Returned,
    Sleep,
    StartTimer,
    StopTimer,
    StoreBlock,
    StoreEntry,
    StoreSuperblock,
    Timer,
    Work,
    WriteMetadata,
    WriteOrigin,
)
from writecache_spec.events import Bio, Device, Event
from writecache_spec.profile import Profile
from writecache_spec.state import Config, State, cache_sector
from writecache_spec.step import Step, step
from writecache_spec.units import Jiffies, Sector, sectors_of

INITIAL_JIFFIES_S = 300
"""The kernel's clock starts this long before it wraps 32 bits."""


class Core(ABC):
    """At most one cache, its two devices, and what its effects have set in motion."""

    def __init__(self, profile: Profile, devices: Devices) -> None:
        self.profile = profile
        self.devices = devices
        self.wc: State | None = None
        self.now = Jiffies(2**32 - INITIAL_JIFFIES_S * profile.environment.hz)
        self.copies_held = False
        """Whether what settles leaves copies under way: a slow origin."""
        self._queue: list[Work] = []
        self._timers: dict[Timer, int] = {}
        merges = profile.environment.merges_with_any_request
        self._copies = Copies(merges, sectors_of(len(devices.origin)))
        self._completed: dict[int, str | None] = {}
        self._remapped: list[Remap] = []
        self._returned: list[str | None] = []
        self._loaded: list[bytes] = []
        """What the read that is being mapped has loaded from persistent memory."""
        self._rest: Bio | None = None
        """What was left of the request that last went to sleep."""

    def adopt(self, other: "Core") -> None:
        """Become a copy of another one; states and contents are shared, they never change."""
        self.wc, self.now = other.wc, other.now
        self._queue, self._timers = list(other._queue), dict(other._timers)
        self._copies, self.copies_held = other._copies.fork(), other.copies_held

    def same_as(self, other: "Core") -> bool:
        """Whether two will do the same from now on."""
        return (
            self._queue == other._queue
            and self._timers == other._timers
            and self._copies.key() == other._copies.key()
            and self.wc == other.wc
            and self.devices.cache == other.devices.cache
            and self.devices.origin == other.devices.origin
            and self.devices.log_key() == other.devices.log_key()
        )

    def fingerprint(self) -> int:
        """A number that is the same for those that will do the same, and hardly ever else."""
        devices = (self.devices.cache, self.devices.origin, self.devices.log_key())
        return hash((self.wc, tuple(self._queue), self._copies.key(), devices))

    def pending(self) -> bool:
        """Whether anything but timers is left to do."""
        wc = self.wc
        return wc is not None and bool(
            self._queue
            or wc.flush_list
            or wc.writeback
            or wc.endio_list
            or wc.endio_taken
            or self._copies
        )

    def working(self) -> bool:
        """Whether the work queue has something on it, or runs it."""
        return bool(self._queue) or (self.wc is not None and self.wc.writeback is not None)

    def _live(self) -> State:
        assert self.wc is not None, "there is no device"
        return self.wc

    def _step(self, event: Event) -> tuple[Effect, ...]:
        after = self._outcome(event)
        self._take(after.state, after.effects)
        return after.effects

    def _outcome(self, event: Event) -> Step:
        """What an event leads to, with those of its I/Os failing that meet a fault."""
        wc = self._live()
        after = step(wc, event)
        if not self.devices.faults or not hasattr(event, "failing_ios"):
            return after
        start_sector = wc.config.start_sector
        failing: frozenset[int] = frozenset()
        with_ios: Any = event
        while more := self._failing(after.effects, start_sector) - failing:
            # After an error it may do something else.
            failing |= {min(more)}
            after = step(wc, with_ios._replace(failing_ios=failing))
        return after

    def _failing(self, effects: Sequence[Effect], start_sector: Sector) -> frozenset[int]:
        """Numbers of the I/Os among effects, counted from 0, that meet a fault."""
        kinds = WriteMetadata | FlushDevice | LoadBlock
        ios = [effect for effect in effects if isinstance(effect, kinds)]
        return frozenset(
            number for number, effect in enumerate(ios) if self._meets_fault(effect, start_sector)
        )

    def _do_io(self, effect: WriteMetadata | FlushDevice, start_sector: Sector) -> None:
        if isinstance(effect, WriteMetadata):
            self.devices.write_metadata(start_sector, effect)
        elif not self.devices.fails_flush(effect.device):
            self.devices.flush(effect.device)

    def _meets_fault(
        self, effect: WriteMetadata | FlushDevice | LoadBlock, start_sector: Sector
    ) -> bool:
        if isinstance(effect, FlushDevice):
            return self.devices.fails_flush(effect.device)
        if isinstance(effect, LoadBlock):
            place = cache_sector(self._live().config, effect.block)
            return self.devices.spoils(place, effect.bio.n_sectors)
        first = start_sector + effect.first_sector
        return self.devices.fails(Device.CACHE, first, effect.n_sectors, writes=True)

    def fail(self, device: Device, fault: Fault | None) -> None:
        """From now on some sectors of a device fail, or none."""
        self.devices.fail(device, fault)
        self._copies.faults = self.devices.faults

    def _take(self, wc: State, effects: tuple[Effect, ...]) -> None:
        """Adopt the next state and play what led to it."""
        self.wc = wc
        for effect in effects:
            match effect:
                case Remap():
                    self._remapped.append(effect)
                case WriteMetadata() | FlushDevice():
                    self._do_io(effect, wc.config.start_sector)
                case Complete(bio, errno):
                    self._completed[bio.tag] = errno
                case Copy() | WriteOrigin():
                    self._copies.submit(effect)
                    self.devices.begin_copy(effect)
                case StartTimer(timer, delay):
                    self._timers.setdefault(timer, self.now + delay)
                case StopTimer(timer):
                    self._timers.pop(timer, None)
                case Sleep(_, rest):
                    self._rest = rest
                case Fence():
                    self.devices.fence()
                case Log() | AwaitWorkQueue():
                    pass
                case StoreSuperblock() | StoreEntry() | StoreBlock() | LoadBlock():
                    self._use_memory(wc.config, effect)
                case _:
                    self._take_control(effect)

    @abstractmethod
    def _data(self, bio: Bio) -> bytes:
        """What a write writes."""

    def _use_memory(
        self, config: Config, effect: StoreSuperblock | StoreEntry | StoreBlock | LoadBlock
    ) -> None:
        """The processor stores to persistent memory, or loads from it."""
        match effect:
            case StoreBlock(bio, block):
                place = cache_sector(config, block)
                self.devices.write(Device.CACHE, place, self._data(bio))
            case LoadBlock(bio, block):
                place = cache_sector(config, block)
                self._loaded.append(self.devices.read(Device.CACHE, place, bio.n_sectors))
            case _:
                self.devices.store(config.start_sector, effect)

    def _take_control(self, effect: QueueWork | Returned | Broken | NotEnabled) -> None:
        match effect:
            case QueueWork(work):
                if work not in self._queue:
                    self._queue.append(work)
            case Returned(errno):
                self._returned.append(errno)
            case Broken(reason):
                raise PanicError(reason)
            case NotEnabled(why):
                raise HangError(why)

"""The stage: a world while one event happens in it, and how a cache's effects play on it."""

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from writecache_models.contract import Contract
from writecache_models.symbolic import ZEROS, Remains, Shape
from writecache_models.symbolic_memory import TORN, MemoryShape
from writecache_models.world import Piece, Setting, World, remains
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
    WriteMetadata,
    WriteOrigin,
)
from writecache_spec.events import Bio, Device, Event
from writecache_spec.events import Op as Asks
from writecache_spec.state import State, cache_sector
from writecache_spec.step import step


class Moment(NamedTuple):
    """Between two effects: what a crash leaves, and what the contract says of that."""

    remains: Remains
    contract: Contract


class NotNowError(Exception):
    """The event cannot happen in this world."""


class DeathError(Exception):
    """The kernel has died."""


class Stage(ABC):
    """One event, being played."""

    def __init__(self, setting: Setting, world: World) -> None:
        self.setting, self.shape = setting, setting.shape
        self.world = world
        self.moments: list[Moment] = []
        self.violations: list[str] = []
        self.n_ios = 0
        self._rest: Bio | None = None
        """What is left of a request that has gone to sleep."""
        self._returned: str | None = None
        self._has_returned = self._awaits = False

    def _become(self, **changes: Any) -> None:
        self.world = self.world._replace(**changes)

    def _wc(self) -> State:
        assert self.world.wc is not None
        return self.world.wc

    def _moment(self) -> None:
        self.moments.append(Moment(remains(self.world, self.shape), self.world.contract))

    def _do(self, event: Any, io: int | None = None) -> None:
        """Let the cache do something; `io` says which of its I/Os fails."""
        failing = frozenset() if io is None else frozenset({io})
        self._step(event(failing_ios=failing), failing)
        if io is not None and io >= self.n_ios:
            raise NotNowError

    def _step(self, event: Event, failing: frozenset[int] = frozenset()) -> None:
        after = step(self._wc(), event)
        if after.effects and isinstance(after.effects[0], NotEnabled):
            raise NotNowError
        self._become(wc=after.state)
        for effect in after.effects:
            self._play(effect, failing)

    def _play(self, effect: Effect, failing: frozenset[int] = frozenset()) -> None:
        world = self.world
        match effect:
            case WriteMetadata() | FlushDevice():
                failed = self.n_ios in failing
                self.n_ios += 1
                self._io(effect, failed)
                self._become(n_failed=world.n_failed + failed)
                self._moment()
            case Remap():
                self._remap(effect)
            case Complete(bio, errno):
                self._report(bio, errno)
            case Copy() | WriteOrigin():
                self._become(copies=(*world.copies, effect))
            case StoreSuperblock() | StoreEntry() | StoreBlock() | LoadBlock() | Fence():
                self._use_memory(effect)
            case Sleep(_, rest):
                self._rest = rest
            case Log() | NotEnabled():
                pass
            case _:
                self._play_control(effect)

    def _play_control(
        self, effect: QueueWork | StartTimer | StopTimer | Returned | AwaitWorkQueue | Broken
    ) -> None:
        world = self.world
        match effect:
            case QueueWork(work):
                if work not in world.queue:
                    self._become(queue=(*world.queue, work))
            case StartTimer(timer):
                self._become(timers=world.timers | {timer})
            case StopTimer(timer):
                self._become(timers=world.timers - {timer})
            case Returned(errno):
                self._returned, self._has_returned = errno, True
            case AwaitWorkQueue():
                self._awaits = True
            case Broken(reason):
                raise DeathError(reason.name)

    def _io(self, effect: WriteMetadata | FlushDevice, failed: bool) -> None:
        """A write of metadata, or a flush, that the cache waits for."""
        if isinstance(effect, WriteMetadata):
            if effect.first_sector + effect.n_sectors > self.shape.data_start:
                self.violations.append("metadata is written over data")
            assert isinstance(self.shape, Shape)
            writes = list(self.shape.metadata_sectors(effect))
            cache = self.world.cache
            if effect.fua and len(writes) > 1:
                # It may be torn between its sectors.
                self._become(cache=cache.write(writes))
                self._moment()
            self._become(cache=cache.fail(writes) if failed else cache.write(writes, effect.fua))
        elif not failed:
            self._flush(effect.device)

    def _use_memory(
        self, effect: StoreSuperblock | StoreEntry | StoreBlock | LoadBlock | Fence
    ) -> None:
        """The processor uses persistent memory.

        What a crash leaves before a fence it may leave after any store that came before: the moment
        before the fence stands for them all.
        """
        cache = self.world.cache
        match effect:
            case Fence():
                self._moment()
                self._become(cache=cache.flush())
                self._moment()
            case LoadBlock(bio, block):
                self._load(bio, self._place_of(block))
            case StoreBlock(bio, block):
                first, value = self._place_of(block), self._value_of(bio) + bio.sector
                for number in range(bio.n_sectors):
                    place = first + number
                    cache = cache.write([(place, TORN), (place, value + number)])
                self._become(cache=cache)
            case _:
                assert isinstance(self.shape, MemoryShape)
                self._become(cache=cache.write(self.shape.stores(effect)))

    def _place_of(self, block: int) -> int:
        return self.shape.place(cache_sector(self._wc().config, block))

    def _flush(self, device: Device) -> None:
        if device is Device.CACHE:
            self._become(cache=self.world.cache.flush())
        else:
            self._become(origin=self.world.origin.flush())

    def _remap(self, effect: Remap) -> None:
        """A disk is asked to do (a piece of) a request."""
        bio, device, sector, n_sectors, private = effect
        writes: Any = ()
        if bio.op in (Asks.WRITE, Asks.DISCARD):
            first = self.shape.place(sector) if device is Device.CACHE else sector
            base = self._value_of(bio) if bio.op is Asks.WRITE else None
            writes = tuple(
                (first + i, ZEROS if base is None else base + bio.sector + i)
                for i in range(n_sectors)
            )
        piece = Piece(bio, device, sector, n_sectors, private, writes)
        self._become(pieces=(*self.world.pieces, piece))

    def _value_of(self, bio: Bio) -> int:
        """What a write writes to sector 0, if it did; every write and sector has its own value."""
        return 1 + bio.tag * self.setting.origin_sectors

    @abstractmethod
    def _load(self, bio: Bio, first: int) -> None:
        """A piece of a read is copied from sectors of persistent memory."""

    @abstractmethod
    def _report(self, bio: Bio, errno: str | None) -> None:
        """A piece of a request is reported."""

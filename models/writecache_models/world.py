"""A world: a cache, its two disks, whoever uses it, and all that is under way at one moment.

Nothing here decides.  Whatever can happen next is an *event* of the world (`turns`): a request
begins, a piece of one is mapped, a disk has done what it was asked to, a thread or the work queue
runs its next critical section, a copy ends, a timer ends, the power fails.  Time is left out: a
timer that runs may end at any moment, and a disk may take its time.

Worlds are values.  Two with equal keys will do the same, up to the names of values and requests and
the size of sequence counts.
"""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple

from writecache_models.contract import Contract, FlushMessage, Request
from writecache_models.copies import Homing
from writecache_models.symbolic import Disk, Flying, Image, Remains, Shape, Symbol, ways
from writecache_models.symbolic_memory import MemoryShape
from writecache_spec.effects import Copy, LoadBlock, Remap, Timer, Work
from writecache_spec.events import Bio, BioPrivate, Device, Map, Op
from writecache_spec.layout import MemorySize, calculate_memory_size
from writecache_spec.profile import Profile
from writecache_spec.state import State, cache_sector
from writecache_spec.step import step
from writecache_spec.units import ByteCount, Sector, bytes_of, sectors_of

_SECTOR: Final = ByteCount(512)


@dataclass(frozen=True)
class Setting:
    """What stays the same whatever happens."""

    profile: Profile
    options: str
    """Of the table line, after the block size."""
    n_entries: int
    origin_sectors: int
    """Whole cache blocks."""
    block_size: ByteCount = _SECTOR
    pmem_mode: bool = False
    """Whether the cache is persistent memory; the profile's kernel must have it."""

    @cached_property
    def block_sectors(self) -> Sector:
        """Sectors of a cache block."""
        return sectors_of(self.block_size)

    @cached_property
    def cache_size(self) -> ByteCount:
        """Bytes of the smallest cache device with so many entries."""
        metadata = -(-(64 + 16 * self.n_entries) // self.block_size) * self.block_size
        size = ByteCount(metadata + self.n_entries * self.block_size)
        made = calculate_memory_size(size, self.block_size)
        assert isinstance(made, MemorySize)
        assert made.n_blocks == self.n_entries, f"no device has {self.n_entries} blocks"
        return size

    @cached_property
    def shape(self) -> Shape | MemoryShape:
        """Of the cache device."""
        size = calculate_memory_size(self.cache_size, self.block_size)
        assert isinstance(size, MemorySize)
        if self.pmem_mode:
            return MemoryShape(self.n_entries, sectors_of(size.metadata_size))
        return Shape.of(self.n_entries, sectors_of(size.metadata_size))

    @cached_property
    def table(self) -> str:
        """The table line."""
        mode = "p" if self.pmem_mode else "s"
        return f"{mode} ORIGIN CACHE {self.block_size} {self.options}"


def with_memory(profile: Profile, block_size: ByteCount = _SECTOR) -> Profile:
    """The same target on a kernel that has persistent memory, in pages of one block."""
    environment = profile.environment._replace(
        persistent_memory=True, handles_hardware_errors=True, page_size=block_size
    )
    return profile._replace(environment=environment)


class Piece(NamedTuple):
    """What a disk has been asked to do on behalf of a request."""

    bio: Bio
    device: Device
    sector: Sector
    """On that device."""
    n_sectors: Sector
    private: BioPrivate
    writes: Flying = ()
    """Of a write or a discard: where on the disk, and what."""


class Client(NamedTuple):
    """A request under way."""

    tag: int
    request: Request
    """As the contract knows it."""
    op: tuple[Any, ...]
    rest: tuple[Bio, ...]
    """Left to be mapped."""
    n_flying: int = 0
    """Pieces that were mapped and have not been reported."""
    errno: str | None = None
    readable: tuple[frozenset[Hashable], ...] = ()
    """Of a read: what each sector could hold at any moment since it began."""


class Control(NamedTuple):
    """A message or a suspend that waits."""

    op: tuple[str, ...]
    message: FlushMessage
    works: int
    """How much of what the work queue does it still waits for."""


class World(NamedTuple):
    """Everything there is."""

    wc: State | None
    cache: Disk
    origin: Disk
    contract: Contract
    """Never changed: its successor is another one."""
    queue: tuple[Work, ...] = ()
    timers: frozenset[Timer] = frozenset()
    copies: tuple[Homing, ...] = ()
    pieces: tuple[Piece, ...] = ()
    clients: tuple[Client, ...] = ()
    control: Control | None = None
    loaded: State | None = None
    """What a table came to that was loaded beside the live one."""
    n_begun: int = 0
    """Operations begun so far."""
    n_failed: int = 0
    """I/Os that have failed."""
    n_crashes: int = 0

    def disk(self, device: Device) -> Disk:
        """One of the two."""
        return self.cache if device is Device.CACHE else self.origin

    def source(self, copy: Homing, shape: Shape | MemoryShape) -> tuple[Symbol, ...]:
        """What a copy would copy now."""
        if isinstance(copy, Copy):
            runs = [copy.cache_sector]
            length = copy.n_sectors
        else:
            assert self.wc is not None
            runs = [cache_sector(self.wc.config, block) for block in copy.job.blocks]
            length = self.wc.config.block_sectors
        places = [shape.place(first) + number for first in runs for number in range(length)]
        return tuple(self.cache.read(place) for place in places[: copy.n_sectors])


def new_world(setting: Setting) -> World:
    """Two disks of zeros."""
    shape = setting.shape
    n_kept = shape.n_metadata + setting.n_entries * setting.block_sectors
    zeros = (0,)
    return World(None, Disk.of(zeros * n_kept), Disk.of(zeros * setting.origin_sectors), Contract())


def remains(world: World, shape: Shape | MemoryShape) -> Remains:
    """What a crash at this moment may leave."""
    flying: dict[Device, list[tuple[int, Symbol]]] = {Device.CACHE: [], Device.ORIGIN: []}
    for piece in world.pieces:
        flying[piece.device] += piece.writes
    for copy in world.copies:
        flying[Device.ORIGIN] += enumerate(world.source(copy, shape), copy.origin_sector)
    return Remains(
        tuple(ways(world.cache, tuple(flying[Device.CACHE]))),
        tuple(ways(world.origin, tuple(flying[Device.ORIGIN]))),
    )


def after_crash(world: World, image: Image) -> World:
    """The power has failed and come back."""
    contract = world.contract.fork()
    contract.crash()
    cache, origin = image
    return World(
        None,
        Disk.of(cache),
        Disk.of(origin),
        contract,
        n_begun=world.n_begun,
        n_failed=world.n_failed,
        n_crashes=world.n_crashes + 1,
    )


def bytes_of_origin(setting: Setting) -> ByteCount:
    """The origin's size."""
    return bytes_of(Sector(setting.origin_sectors))


def visible(setting: Setting, world: World) -> Iterator[tuple[int, Any]]:
    """What reads would return now, sector by sector, but for those that would wait."""
    wc = world.wc
    assert wc is not None
    shape = setting.shape
    for first in range(0, setting.origin_sectors, setting.block_sectors):
        bio = Bio(Op.READ, Sector(first), setting.block_sectors, tag=-1)
        for effect in step(wc, Map(bio)).effects:
            if isinstance(effect, LoadBlock):
                place = shape.place(cache_sector(wc.config, effect.block))
                for number in range(effect.bio.n_sectors):
                    yield first + number, world.cache.read(place + number)
            if isinstance(effect, Remap):
                on_cache = effect.device is Device.CACHE
                place = shape.place(effect.sector) if on_cache else effect.sector
                disk = world.disk(effect.device)
                for number in range(effect.n_sectors):
                    yield first + number, disk.read(place + number)

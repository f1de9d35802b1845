"""Walks that begin with a stocked cache, and that go on after the power has failed.

Two more events than other walks have:

    ("stock", n, twice)     at first: n blocks are in the cache, home, and durable
    ("crash", event, i, n)  the power fails at the i-th moment of an event, and leaves image n

After a crash the contract knows what may be there; the walk goes on with that.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from random import Random
from typing import Final, NamedTuple

from writecache_models.candidates import Turn, fails
from writecache_models.recovery import Judge
from writecache_models.stage import Moment
from writecache_models.symbolic import Image, Remains, Shape, Symbol
from writecache_models.turns import turn
from writecache_models.walking import Bounds, Walker, Wrong
from writecache_models.world import Setting, World, after_crash, new_world
from writecache_spec.effects import Metadata, WriteMetadata
from writecache_spec.layout import MAGIC, VERSION, Superblock
from writecache_spec.state import FREE, Entry
from writecache_spec.units import Sector, SequenceCount
from writecache_spec.vector import Vector

_ANY: Final = 2**20
_MOSTLY: Final = 0.9
_OLD: Final = -1
"""A value that no request writes."""
MOST_IMAGES: Final = 200
"""Of one moment that are looked at, spread evenly where there are more."""


class TimeIsUpError(Exception):
    """A walk has taken all the time that it had."""


class Some(Remains):
    """What a crash may leave, but for most of it where it is much."""

    def images(self) -> Iterator[Image]:
        """The same ones every time."""
        n_images = self.n_images()
        if n_images <= MOST_IMAGES:
            yield from super().images()
            return
        for number in range(MOST_IMAGES):
            yield nth_image(self, number * (n_images - 1) // (MOST_IMAGES - 1))


class QuickJudge(Judge):
    """Looks at some of what is left only."""

    def fail_at(self, moment: Moment) -> tuple[str, ...]:
        """What is wrong with what a crash at this moment may leave."""
        return super().fail_at(moment._replace(remains=Some(*moment.remains)))


class Plan(NamedTuple):
    """Everything about a walk but its events; makes walkers that know nothing of each other."""

    used: Setting
    """As if the origin had only the blocks that operations use."""
    bounds: Bounds
    n_stocked: int = 0
    """Blocks that are in the cache at first, and none of which an operation uses."""
    twice: bool = False
    """Whether sector 0 is stocked too, in two versions."""
    crashes: float = 0.0
    """How likely an event is the last before the power fails."""
    failing: float = 1.0
    """How likely I/Os may fail next, where any may still fail."""
    late: str = ""
    """Events of this name mostly wait until nothing else can happen."""
    start: tuple[Turn, ...] = ()
    """What happens first, as far as it can."""

    @property
    def setting(self) -> Setting:
        """With all blocks of the origin."""
        stocked_sectors = self.n_stocked * self.used.block_sectors
        return replace(self.used, origin_sectors=self.used.origin_sectors + stocked_sectors)

    def walker(self, judge: Judge | None = None) -> "StockedWalker":
        """A new one."""
        return StockedWalker(self, judge)


class StockedWalker(Walker):
    """Walks as planned, in one life or in several."""

    def __init__(self, plan: Plan, judge: Judge | None = None) -> None:
        super().__init__(plan.setting, plan.bounds, judge)
        self.plan = plan
        self.in_time: Callable[[], bool] = lambda: True
        self._shortest: Wrong | None = None
        self._start: list[Turn] = []

    def walk(self, random: Random, n_steps: int) -> Wrong | None:
        """Go at random, until something is wrong or for so many events."""
        self._start = list(self.plan.start)
        return super().walk(random, n_steps)

    def options(self, world: World, random: Random) -> Iterator[Turn]:
        """What may be next, at random."""
        if self.plan.n_stocked and _is_new(world):
            yield ("stock", self.plan.n_stocked, self.plan.twice)
            return
        if self._start and self.possible(world, event := self._start.pop(0)):
            yield event
        loses_power = world.wc is not None and random.random() < self.plan.crashes
        for event in self._in_order(list(super().options(world, random)), random):
            if loses_power:
                yield ("crash", event, random.randrange(_ANY), random.randrange(_ANY))
            yield event

    def _in_order(self, events: list[Turn], random: Random) -> list[Turn]:
        """As the plan says; nothing is drawn where it says nothing."""
        if self.plan.failing < 1 and random.random() >= self.plan.failing:
            events = [event for event in events if not fails(event)]
        if self.plan.late and random.random() < _MOSTLY:
            events.sort(key=lambda event: event[0] == self.plan.late)
        return events

    def possible(self, world: World, event: Turn) -> bool:
        """Whether an event is one of those that may be next, these two included."""
        match event:
            case ("stock", *_):
                return _is_new(world)
            case ("crash", last, *_):
                return world.wc is not None and super().possible(world, last)
            case _:
                return super().possible(world, event)

    def happen(
        self, world: World, event: Turn, crash: bool = True
    ) -> tuple[World, str | None] | None:
        """Let an event happen, these two included; raises TimeIsUpError."""
        if not self.in_time():
            raise TimeIsUpError
        match event:
            case ("stock", n_blocks, twice):
                if not _is_new(world):
                    return None
                return stocked(self.setting, n_blocks, twice), None
            case ("crash", last, moment, image):
                return self._crash(world, last, moment, image)
            case _:
                return super().happen(world, event, crash)

    def shrink(self, wrong: Wrong) -> Wrong:
        """Leave out what is not needed, as long as there is time."""
        self._shortest = wrong
        with suppress(TimeIsUpError):
            super().shrink(wrong)
        return self._shortest

    def replay(
        self, path: Sequence[Turn], crashes: bool = True, crash_in_format: bool = True
    ) -> Wrong | None:
        """Follow a path as far as it goes; the first thing that is wrong."""
        wrong = super().replay(path, crashes, crash_in_format)
        known = self._shortest
        if wrong and known and wrong.what == known.what and len(wrong.path) < len(known.path):
            self._shortest = wrong
        return wrong

    def _crash(
        self, world: World, last: Turn, number: int, image: int
    ) -> tuple[World, str | None] | None:
        """Let the power fail within an event."""
        after = None if world.wc is None else turn(self.setting, world, last, reads=False)
        if after is None:
            return None
        if after.violations:
            return after.world, after.violations[0]
        self.n_moments = len(after.moments)
        moment: Moment = after.moments[number % len(after.moments)]
        if found := self.judge.fail_at(moment):
            return after.world, found[0]
        left = after.world._replace(contract=moment.contract)
        return after_crash(left, nth_image(moment.remains, image)), None


def _is_new(world: World) -> bool:
    return world.wc is None and not world.n_crashes and world.cache.latest()[0] == 0


def nth_image(remains: Remains, number: int) -> Image:
    """One of the images that a crash may leave; every number names one."""
    disks: list[tuple[Symbol, ...]] = []
    for disk in remains:
        left: list[Symbol] = []
        for ways in disk:
            number, which = divmod(number, len(ways))
            left.append(ways[which])
        disks.append(tuple(left))
    return disks[0], disks[1]


def stocked(setting: Setting, n_blocks: int, twice: bool = False) -> World:
    """A cache whose first blocks hold the last of the origin, all zeros and committed.

    With `twice` it is what a crash at the end of a commit leaves: the first free block holds what
    sector 0 was, the last block what it is now.
    """
    world, size, shape = new_world(setting), setting.block_sectors, setting.shape
    assert isinstance(shape, Shape), "a stocked cache is an SSD"
    first = setting.origin_sectors - n_blocks * size
    held = [Entry(Sector(first + n * size), SequenceCount(1)) for n in range(n_blocks)]
    entries = [*held, *[FREE] * (setting.n_entries - n_blocks)]
    cache = world.cache
    if twice:
        entries[n_blocks] = Entry(Sector(0), SequenceCount(1))
        entries[-1] = Entry(Sector(0), SequenceCount(2))
        place = shape.n_metadata + n_blocks * size
        cache = cache.write([(place, _OLD)], fua=True)
    superblock = Superblock(
        MAGIC, VERSION, setting.block_size, n_blocks=setting.n_entries, seq_count=3
    )
    metadata = Metadata(superblock, Vector(entries))
    effect = WriteMetadata(Sector(0), Sector(shape.data_start), metadata)
    cache = cache.write(shape.metadata_sectors(effect), fua=True)
    return world._replace(cache=cache)

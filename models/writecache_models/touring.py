"""A tour: the same walks and a small exploration every time, to see how much they reach.

Every profile with all repairs; the kernel with none, and without one after the other; what every
finding shows; large caches for what only many blocks show (a pass of writeback that is cut short, a
run of as many blocks as a copy may have); and what must be refused.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Final

from writecache_models.candidates import Turn
from writecache_models.clients import Op
from writecache_models.exploring import Progress, explore
from writecache_models.finding import faithful, repaired, show
from writecache_models.findings import FINDINGS
from writecache_models.fuzzing import LONGEST, plan
from writecache_models.release import bound
from writecache_models.starts import N_BLOCKS, N_ENTRIES, STARTS
from writecache_models.stocked import Plan
from writecache_models.turns import turn
from writecache_models.walking import Bounds, events_of
from writecache_models.world import Setting, World, new_world
from writecache_spec.invariants import violated
from writecache_spec.layout import MAGIC, VERSION, Superblock
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.repairs import Repair
from writecache_spec.status import status_line, table
from writecache_spec.units import ByteCount

WALKS: Final = 8
"""Of each profile with all repairs."""
WALKS_WITHOUT: Final = 5
"""Of each profile without one of them, or any."""
_EAGER: Final = "4 high_watermark 0 low_watermark 0"
_LARGE: Final = (
    (70, "open; work None; work None"),
    (300, "open; work None; work None"),
    (300, "open; begin suspend; work None; work None; go on"),
    (300, "open; begin message flush; work None"),
    (256, "open; begin message flush; work None"),
)
"""Blocks that are stocked, and what happens then."""
_ONE_JOB: Final = (
    "open; begin write 1 1; map 0; io 0 False; begin write 0 1; map 1; io 0 False; "
    "begin message flush; work None; work None; copy 0 False; endio take None; endio None; "
    "work None; work None"
)
"""With one block to be copied at a time: a pass waits, and goes on."""
_DAMAGED: Final = (
    Superblock(MAGIC, VERSION + 1),
    Superblock(MAGIC, VERSION, block_size=4096, n_blocks=2),
    *(
        Superblock(MAGIC, VERSION, block_size=1024, n_blocks=n_blocks)
        for n_blocks in (0, 99, 2**54 - 1, 2**56, 2**60 - 1, 2**60)
    ),
)
"""Whatever is not zero and not a cache: sizes that overflow, or do not fit."""
_MALFORMED: Final[tuple[Op, ...]] = (
    ("write", 0, 1),
    ("read", 1, 2),
    ("message", "sing"),
    ("message", "flush", "now"),
)
"""With blocks of two sectors."""


class TourError(AssertionError):
    """Something on the tour is not as it must be."""


def tour() -> str:
    """Go on it; says how far it went."""
    n_events = sum(_walk(one, f"tour-{number}") for number, one in enumerate(_plans()))
    for profile in (PROFILES["1.6.0"], PROFILES["1.4.0-bullseye"]):
        for without in (frozenset[Repair](), frozenset(Repair)):
            _follow(profile.repaired(without=without))
        _refuse(Setting(profile.repaired(), "0", 3, 4, ByteCount(1024)))
    for finding in FINDINGS:
        if show(finding, faithful(finding)) is None or show(finding, repaired(finding)):
            raise TourError(f"{finding.name} does not show what it says")
    small = Progress.at_first(bound(blocks=2, entries=3, n_ops=2, failures=1))
    with ThreadPoolExecutor(1) as executor:
        explore(small, executor, 1, lambda _progress: True)
    return f"{n_events} events of walks, {small.n_turns} of an exploration"


def _plans() -> Iterator[Plan]:
    for profile in PROFILES.values():
        for number in range(WALKS):
            yield plan(profile.repaired(), Random(f"tour-{number}"))
    for profile in (PROFILES["1.6.0"], PROFILES["1.4.0-bullseye"]):
        for missing in (frozenset(Repair), *(frozenset({repair}) for repair in Repair)):
            for number in range(WALKS_WITHOUT):
                yield plan(profile.repaired(without=missing), Random(f"tour-{number}"))


def _walk(one: Plan, seed: str) -> int:
    """Walk, looking at each state as others would; the number of events."""
    walker = one.walker()
    walker.note = _look
    walker.walk(Random(seed), LONGEST)
    return walker.n_steps


def _look(world: World, _event: Turn) -> None:
    if world.wc is not None:
        status_line(world.wc)
        table(world.wc)
        if names := violated(world.wc):
            raise TourError(f"violated: {', '.join(names)}")


def _follow(profile: Profile) -> None:
    """The starts, and what large caches do; crashes are for smaller ones."""
    for start in STARTS:
        setting = Setting(profile, start.options, N_ENTRIES, N_BLOCKS)
        Plan(setting, Bounds((), 9, 9)).walker().replay(start.events, crash_in_format=False)
    one_job = Setting(profile, "6 high_watermark 0 low_watermark 0 writeback_jobs 1", 3, 2)
    Plan(one_job, Bounds(())).walker().replay(events_of(_ONE_JOB), crashes=False)
    for n_stocked, path in _LARGE:
        setting = Setting(profile, _EAGER, n_stocked + 4, 2)
        walker = Plan(setting, Bounds(()), n_stocked).walker()
        walker.replay((("stock", n_stocked, False), *events_of(path)), crashes=False)


def _refuse(setting: Setting) -> None:
    """What is malformed or damaged is refused, and changes nothing; raises TourError."""
    for superblock in _DAMAGED:
        world = new_world(setting)
        entries = setting.shape.entries(world.cache.latest())
        cache = world.cache.write([(0, ((superblock,), entries))], fua=True)
        after = turn(setting, world._replace(cache=cache), ("open",))
        if after is None or after.world.wc is not None or after.world.cache != cache:
            raise TourError(f"not refused: {superblock}")
    opened = turn(setting, new_world(setting), ("open",))
    assert opened is not None
    for op in _MALFORMED:
        after = turn(setting, opened.world, ("begin", *op))
        if after is not None and op[0] != "message":
            after = turn(setting, after.world, ("map", 0))
        if after is None or "fails though no disk does" not in "".join(after.violations):
            raise TourError(f"not refused: {op}")
        if after.world.cache != opened.world.cache or after.world.wc != opened.world.wc:
            raise TourError(f"changes something: {op}")

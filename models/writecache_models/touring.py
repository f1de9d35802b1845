"""A tour: the same walks and a small exploration every time, to see how much they reach.

Every profile with all repairs, in both modes; the kernel with none, and without one after the
other; what every finding shows; large caches for what only many blocks show (a pass of writeback
that is cut short, a run of as many blocks as a copy may have); tables at random; and what must be
refused.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Final

from writecache_models.activating import draw_table, judge
from writecache_models.candidates import Turn
from writecache_models.clients import Op
from writecache_models.exploring import Progress, explore
from writecache_models.finding import faithful, repaired, show
from writecache_models.findings import FINDINGS
from writecache_models.fuzzing import LONGEST, plan
from writecache_models.release import bound
from writecache_models.starts import MEMORY_STARTS, N_BLOCKS, N_ENTRIES, STARTS
from writecache_models.stocked import Plan
from writecache_models.turns import turn
from writecache_models.walking import Bounds, events_of
from writecache_models.world import Setting, World, new_world, with_memory
from writecache_spec.invariants import UNDER_DEVICE_MAPPER, UNTIL_THE_COUNT_WRAPS, violated
from writecache_spec.layout import MAGIC, VERSION, Superblock
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.repairs import Repair
from writecache_spec.status import status_line, table
from writecache_spec.units import ByteCount

WALKS: Final = 4
"""Of each profile with all repairs, in SSD mode."""
WALKS_WITHOUT: Final = 2
"""Of each profile without one of them, or any."""
MEMORY_WALKS: Final = 1
"""Of each of these in persistent-memory mode: there a crash may leave more."""
TABLES: Final = 4000
"""Of each of some profiles."""
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
_LARGE_MEMORY: Final = (
    "open; begin flush; map 0",
    "open; "
    + "".join(f"begin write {2 * n} 1; map {n}; " for n in range(18))
    + "begin message flush; work None; work None; copy 0 True; endio take None; endio None; "
    "work None; work None",
    "open; begin write 0 40; map 0; begin message flush; work None; work None; copy 0 False; "
    "endio take None; endio None; endio None; endio None; work None",
    "open; begin write 0 40; map 0; begin message flush; work None; work None; copy 0 True; "
    "endio take None; endio None; endio None; endio None; work None",
)
"""A flush; more blocks than the threads take at once, each by itself or all in one run."""
_DAMAGED: Final = (
    Superblock(MAGIC, VERSION + 1, block_size=1024, n_blocks=3),
    Superblock(MAGIC, VERSION, block_size=512, n_blocks=3),
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


_SOME: Final = (PROFILES["1.6.0"], PROFILES["1.4.0-bullseye"])

_NO_WAIT: Final = frozenset({Repair.READS_BEFORE_FREEING})


class TourError(AssertionError):
    """Something on the tour is not as it must be."""


def tour() -> str:
    """Go on it; says how far it went."""
    n_events = sum(_walk(one, f"tour-{number}") for number, one in enumerate(_plans()))
    for profile in (*_SOME, PROFILES["1.6.0-6.1-amd64"]):
        for without in (frozenset[Repair](), frozenset(Repair)):
            _follow(profile.repaired(without=without))
            _follow_in_memory(with_memory(profile.repaired(without=without)))
        _activate(profile)
        _refuse(Setting(profile.repaired(), "0", 3, 4, ByteCount(1024)))
    for finding in FINDINGS:
        if show(finding, faithful(finding)) is None or show(finding, repaired(finding)):
            raise TourError(f"{finding.name} does not show what it says")
        # One repair looks at whether another is made.
        show(finding, faithful(finding).repaired(without=_NO_WAIT))
    small = Progress.at_first(bound(blocks=2, entries=3, n_ops=2, failures=1))
    with ThreadPoolExecutor(1) as executor:
        explore(small, executor, 1, lambda _progress: True)
    return f"{n_events} events of walks, {small.n_turns} of an exploration"


def _plans() -> Iterator[Plan]:
    for profile in PROFILES.values():
        yield from _some_plans(profile.repaired(), WALKS, profile.name)
    for profile in _SOME:
        for repair in (None, *Repair):
            missing = frozenset(Repair) if repair is None else frozenset({repair})
            name = f"{profile.name}-{repair and repair.name}"
            yield from _some_plans(profile.repaired(without=missing), WALKS_WITHOUT, name)


def _some_plans(profile: Profile, n_walks: int, name: str) -> Iterator[Plan]:
    for number in range(n_walks):
        yield plan(profile, Random(f"tour-{name}-{number}"))
    for number in range(MEMORY_WALKS):
        yield plan(profile, Random(f"tour-{name}-{number}"), pmem_mode=True)


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
        if names := violated(world.wc, UNTIL_THE_COUNT_WRAPS + UNDER_DEVICE_MAPPER):
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


def _follow_in_memory(profile: Profile) -> None:
    for start in MEMORY_STARTS:
        setting = Setting(profile, start.options, N_ENTRIES, N_BLOCKS, pmem_mode=True)
        Plan(setting, Bounds((), 9, 9)).walker().replay(start.events, crash_in_format=False)
    large = Setting(profile, _EAGER, 44, 40, pmem_mode=True)
    for path in _LARGE_MEMORY:
        Plan(large, Bounds((), 9, 9)).walker().replay(events_of(path), crashes=False)


def _activate(profile: Profile) -> None:
    """Tables at random; raises TourError where something is wrong that a repair mends."""
    for number in range(TABLES):
        given = draw_table(Random(f"tour-{number}"))
        judge(given, profile)
        if what := judge(given, profile.repaired()):
            raise TourError(f"{given.line}: {what}")


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

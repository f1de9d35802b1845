"""Fuzzing: many walks, each in a setting of its own, and what they found, shrunk and named.

A profile without repairs breaks the contract in so many ways that the first hides the others.  So
a walk keeps to one of them: it is the profile with every repair but one, drawn for the walk.  What
goes wrong there is what that repair mends; with no repair missing nothing may go wrong.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Final, NamedTuple

from writecache_models.candidates import Turn
from writecache_models.cells import Cell, cells
from writecache_models.clients import Op
from writecache_models.starts import MEMORY_STARTS, N_BLOCKS, N_ENTRIES, STARTS, Start
from writecache_models.stocked import Plan
from writecache_models.walking import Bounds, Walker, Wrong, usual_ops
from writecache_models.world import Setting, World, with_memory
from writecache_spec.profile import Profile
from writecache_spec.repairs import ALL_REPAIRS, NO_REPAIRS, OF_MEMORY, Repair
from writecache_spec.units import ByteCount

OPTIONS: Final = (
    "0",
    "4 high_watermark 100 low_watermark 100",
    "4 high_watermark 0 low_watermark 0",
    "2 autocommit_blocks 1",
    "2 writeback_jobs 1",
    "2 max_age 0",
    "2 max_age 1000",
    "1 cleaner",
)
MEMORY_OPTIONS: Final = (
    "0",
    "1 nofua",
    "4 high_watermark 100 low_watermark 100",
    "4 high_watermark 0 low_watermark 0",
    "2 autocommit_blocks 1",
    "2 writeback_jobs 1",
    "1 metadata_only",
)
"""Of persistent-memory mode."""
MEMORY_SHARE: Final = 0.25
"""Of the walks: those in persistent-memory mode, where crashes have more outcomes."""
STOCKED: Final = (0, 0, 0, 0, 0, 0, 0, 26)
"""Blocks that are in the cache at first; with 26 the metadata has more than one sector."""
STARTED: Final = 0.25
MEMORY_STARTED: Final = 0.35
"""How many walks begin with one of `STARTS`, or of `MEMORY_STARTS`: those are fewer walks."""
LATE: Final = ("", "io", "map", "flush thread", "work", "copy", "endio take", "endio", "go on")
"""What mostly comes last of all that can happen."""
LIVES: Final = (("resume",), ("suspend",), ("open",))
"""Kinds of operations of walks that suspend again and again."""
FAILING: Final = 0.1
"""How likely I/Os may fail next: with more of it the first commit takes all failures."""
LONGEST: Final = 120
"""Events of a walk."""


class Task(NamedTuple):
    """Walks that a process does."""

    profile: Profile
    repaired: bool
    seeds: Sequence[str]


class Find(NamedTuple):
    """What went wrong, and how to see it again."""

    repair: Repair | None
    """The one that was missing."""
    plan: Plan
    wrong: Wrong
    """Shrunk."""
    seed: str
    n_events: int
    """Before it was shrunk."""


@dataclass(slots=True)
class Done:
    """What walks came to."""

    n_walks: int = 0
    n_events: int = 0
    n_states: int = 0
    """Contents that crashes left."""
    cells: Counter[Cell] = field(default_factory=Counter)
    """Events at which the power failed."""
    finds: list[Find] = field(default_factory=list)
    """The first of each kind, by repair and symptom."""

    def add(self, other: "Done") -> None:
        """Add what others came to."""
        self.n_walks += other.n_walks
        self.n_events += other.n_events
        self.n_states += other.n_states
        self.cells += other.cells
        known = {(find.repair, find.wrong.what) for find in self.finds}
        self.finds += [find for find in other.finds if (find.repair, find.wrong.what) not in known]


def draw(profile: Profile, random: Random, repaired: bool) -> tuple[Repair | None, Plan]:
    """Everything about a walk but its events, and the repair that is missing in it."""
    pmem_mode = random.random() < MEMORY_SHARE
    acting = ALL_REPAIRS if pmem_mode else ALL_REPAIRS - OF_MEMORY
    missing = None if repaired else random.choice(sorted(acting, key=lambda one: one.name))
    without = NO_REPAIRS if missing is None else frozenset({missing})
    return missing, plan(profile.repaired(without=without), random, pmem_mode)


def plan(profile: Profile, random: Random, pmem_mode: bool = False) -> Plan:
    """A walk of exactly this profile, or of the same on a kernel that has persistent memory."""
    starts, share = (MEMORY_STARTS, MEMORY_STARTED) if pmem_mode else (STARTS, STARTED)
    start = random.choice(starts) if random.random() < share else None
    used, n_stocked = _setting(profile, random, start, pmem_mode)
    bounds = Bounds(
        _some(usual_ops(used), random), random.randint(1, 3), random.choice((0, 0, 1, 2))
    )
    if start is not None:
        return Plan(used, bounds._replace(failures=2), failing=FAILING, start=start.events)
    return Plan(
        used,
        bounds,
        n_stocked,
        twice=random.random() < 0.5,
        crashes=random.choice((0.0, 0.03)),
        failing=FAILING,
        late=random.choice(LATE),
    )


def _setting(
    profile: Profile, random: Random, start: Start | None, pmem_mode: bool
) -> tuple[Setting, int]:
    """Of a walk, and how many blocks are stocked there."""
    if start is not None:
        kernel = with_memory(profile) if pmem_mode else profile
        return Setting(kernel, start.options, N_ENTRIES, N_BLOCKS, pmem_mode=pmem_mode), 0
    # The metadata of persistent memory has no sectors: with many entries it is as with few.
    n_stocked = 0 if pmem_mode else random.choice(STOCKED)
    block_size = ByteCount(random.choice((512, 512, 512, 1024)))
    n_sectors = random.randint(2, 4) * block_size // 512
    n_entries = n_stocked + random.randint(2, 6)
    kernel = with_memory(profile, block_size) if pmem_mode else profile
    options = random.choice(MEMORY_OPTIONS if pmem_mode else OPTIONS)
    return Setting(kernel, options, n_entries, n_sectors, block_size, pmem_mode), n_stocked


def _some(ops: tuple[Op, ...], random: Random) -> tuple[Op, ...]:
    """All operations, or as often a few writes and some other kinds: what is rare then is not."""
    if random.random() < 0.5:
        return ops
    kinds = sorted({_kind(op) for op in ops})
    lives = random.random() < 0.25
    kept = (
        LIVES if lives else [kind for kind in kinds if random.random() < 0.5 or kind in LIVES[:1]]
    )
    writes = [op for op in ops if op[0] == "write"]
    few = random.sample(writes, min(len(writes), 3))
    return (*few, *(op for op in ops if op[0] != "write" and _kind(op) in kept))


def _kind(op: Op) -> Op:
    return op[:2] if op[0] == "message" else op[:1]


def work(task: Task) -> Done:
    """Do some walks; what is found a second time is not shrunk again."""
    done = Done()
    known: set[tuple[Repair | None, str]] = set()
    for seed in task.seeds:
        random = Random(seed)
        missing, drawn = draw(task.profile, random, task.repaired)
        walker = drawn.walker()
        walker.note = partial(_note, done, walker)
        wrong = walker.walk(random, LONGEST)
        done.n_walks += 1
        done.n_events += walker.n_steps
        done.n_states += walker.judge.n_states
        if wrong is None or (missing, wrong.what) in known:
            continue
        known.add((missing, wrong.what))
        walker.note = None
        shrunk = walker.shrink(wrong)
        done.finds.append(Find(missing, drawn, shrunk, seed, len(wrong.path)))
    return done


def _note(done: Done, walker: Walker, world: World, event: Turn) -> None:
    done.cells.update(cells(walker.setting, world, event, walker.n_moments))


def as_found(find: Find, profile: Profile) -> Wrong | None:
    """What the profile itself, without any repair, comes to on the path of a find."""
    used = find.plan.used
    if used.pmem_mode:
        profile = with_memory(profile, used.block_size)
    again = find.plan._replace(used=replace(used, profile=profile))
    return again.walker().replay(find.wrong.path)

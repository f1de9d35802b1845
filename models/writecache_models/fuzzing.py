"""Fuzzing: many walks, each in a setting of its own, and what they found, shrunk and named.

A profile without repairs breaks the contract in so many ways that the first hides the others.  So
a walk keeps to one of them: it is the profile with every repair but one, drawn for the walk.  What
goes wrong there is what that repair mends; with no repair missing nothing may go wrong.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Final, NamedTuple

from writecache_models.cells import Cell, cells
from writecache_models.walking import Bounds, Walker, Wrong, usual_ops
from writecache_models.world import Setting, with_memory
from writecache_spec.profile import Profile
from writecache_spec.repairs import ALL_REPAIRS, NO_REPAIRS, OF_MEMORY, Repair
from writecache_spec.units import ByteCount

OPTIONS: Final = (
    "0",
    "4 high_watermark 100 low_watermark 100",
    "4 high_watermark 0 low_watermark 0",
    "2 autocommit_blocks 1",
    "2 writeback_jobs 1",
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
    setting: Setting
    bounds: Bounds
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
    """Crashes by what was in the cache and what was being done."""
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


def draw(profile: Profile, random: Random, repaired: bool) -> tuple[Repair | None, Setting, Bounds]:
    """The setting of a walk, and the repair that is missing in it."""
    pmem_mode = random.random() < MEMORY_SHARE
    acting = ALL_REPAIRS if pmem_mode else ALL_REPAIRS - OF_MEMORY
    missing = None if repaired else random.choice(sorted(acting, key=lambda one: one.name))
    without = NO_REPAIRS if missing is None else frozenset({missing})
    block_size = ByteCount(random.choice((512, 512, 512, 1024)))
    setting = Setting(
        with_memory(profile, block_size) if pmem_mode else profile,
        random.choice(MEMORY_OPTIONS if pmem_mode else OPTIONS),
        random.randint(2, 6),
        random.randint(2, 4) * block_size // 512,
        block_size,
        pmem_mode,
    )
    setting = replace(setting, profile=setting.profile.repaired(without=without))
    bounds = Bounds(usual_ops(setting), random.randint(1, 3), random.choice((0, 0, 1, 2)))
    return missing, setting, bounds


def work(task: Task) -> Done:
    """Do some walks; what is found a second time is not shrunk again."""
    done = Done()
    known: set[tuple[Repair | None, str]] = set()
    for seed in task.seeds:
        random = Random(seed)
        missing, setting, bounds = draw(task.profile, random, task.repaired)
        walker = Walker(setting, bounds)
        walker.note = lambda world, event, _done=done: _done.cells.update(cells(world, event))
        wrong = walker.walk(random, LONGEST)
        done.n_walks += 1
        done.n_events += walker.n_steps
        done.n_states += walker.judge.n_states
        if wrong is None or (missing, wrong.what) in known:
            continue
        known.add((missing, wrong.what))
        walker.note = None
        shrunk = walker.shrink(wrong)
        done.finds.append(Find(missing, setting, bounds, shrunk, seed, len(wrong.path)))
    return done


def as_found(find: Find, profile: Profile) -> Wrong | None:
    """What the profile itself, without any repair, comes to on the path of a find."""
    if find.setting.pmem_mode:
        profile = with_memory(profile, find.setting.block_size)
    return Walker(replace(find.setting, profile=profile), find.bounds).replay(find.wrong.path)

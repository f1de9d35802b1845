"""Hunting mutants: random walks over the repaired reference, or the vectors of real kernels.

A walk has a seed, and everything about it is drawn from that: `walk(mutant, seed)` is the same walk
whenever and wherever it is made.  What goes wrong on it is shrunk while the mutant is planted, and
then tried without: only what the mutant causes counts.

Time is the processor's, so that what else runs does not matter.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import combinations
from random import Random
from time import process_time
from typing import Final, NamedTuple

from writecache_models.activating import draw_table, judge
from writecache_models.candidates import Turn
from writecache_models.mutants import Mutant, planted, profile_of
from writecache_models.mutants.aims import aim_of, among, named
from writecache_models.mutants.replaying import replay
from writecache_models.stocked import Plan, QuickJudge, StockedWalker, TimeIsUpError
from writecache_models.walking import Bounds, Wrong, events_of, usual_ops
from writecache_models.world import Setting, with_memory
from writecache_spec.units import ByteCount

LONGEST: Final = 80
"""Events of a walk."""
SHRINKING: Final = 3.0
"""Seconds for it."""


class Hunted(NamedTuple):
    """What became of a mutant."""

    mutant: Mutant
    seconds: float
    walks: int = 0
    caught_by: str | None = None
    what: str = ""
    """What was seen."""
    seed: str = ""
    """Of the walk, or the trace and its file."""
    n_ops: int = 0
    n_events: int = 0
    """Of the shrunk trace; a recorded trace has operations only, up to the one that differs."""
    n_crashes: int = 0
    """On its way, and at its end where that is what shows what is wrong."""
    path: tuple[Turn, ...] = ()
    not_the_mutants: tuple[str, ...] = ()
    """What went wrong on walks without the mutant, too."""

    @property
    def as_expected(self) -> bool:
        """Whether it was caught, or if nobody can see it was not."""
        return (self.caught_by is None) == (self.mutant.equivalent is not None)


def hunt(mutant: Mutant, seed: str, seconds: float) -> Hunted:
    """Look for something that a mutant does wrong, for so many seconds."""
    start = process_time()

    def in_time() -> bool:
        return process_time() - start < seconds

    if mutant.caught_by == "vectors" and mutant.equivalent is None:
        return _replayed(mutant, seconds)
    if mutant.caught_by == "activations":
        return _activated(mutant, seed, in_time)
    others: Counter[str] = Counter()
    walks = 0
    while in_time():
        name = f"{seed}/{mutant.name}/{walks}"
        walks += 1
        wrong = walk(mutant, name, in_time)
        if wrong is None:
            continue
        taken = process_time() - start
        wrong, other = shrink(mutant, name, wrong)
        at_end = _shows_in_a_crash(mutant, name, wrong)
        if other:
            others[other.what] += 1
            continue
        caught = Hunted(mutant, taken, walks, "walks", wrong.what, name)
        n_ops = sum(is_operation(event) for event in wrong.path)
        n_crashes = sum(event[0] == "crash" for event in wrong.path) + at_end
        caught = caught._replace(
            n_ops=n_ops, n_events=len(wrong.path), n_crashes=n_crashes, path=wrong.path
        )
        return caught._replace(not_the_mutants=tuple(others))
    return Hunted(mutant, process_time() - start, walks, not_the_mutants=tuple(others))


def walk(mutant: Mutant, seed: str, in_time: Callable[[], bool]) -> Wrong | None:
    """Walk once with a mutant: what went wrong."""
    random = Random(seed)
    plan = draw(mutant, random)
    with planted(mutant), suppress(TimeIsUpError):
        walker = _walker(plan)
        walker.in_time = in_time
        return walker.walk(random, LONGEST)
    return None


def shrink(mutant: Mutant, seed: str, wrong: Wrong) -> tuple[Wrong, Wrong | None]:
    """What is needed of what went wrong on a walk, and what goes wrong there without the mutant."""
    plan = draw(mutant, Random(seed))
    end = process_time() + SHRINKING
    with planted(mutant):
        walker = _walker(plan)
        walker.in_time = lambda: process_time() < end
        wrong = walker.shrink(wrong)
    whole = plan._replace(used=replace(plan.used, profile=plan.used.profile.repaired()))
    return wrong, _walker(whole).replay(wrong.path)


def _shows_in_a_crash(mutant: Mutant, seed: str, wrong: Wrong) -> bool:
    """Whether it takes a loss of power after the path's last event to see what is wrong."""
    with planted(mutant):
        return _walker(draw(mutant, Random(seed))).replay(wrong.path, crashes=False) != wrong


def draw(mutant: Mutant, random: Random) -> Plan:
    """Everything about a walk but its events."""
    aim = aim_of(mutant)
    block_size = ByteCount(random.choice(aim.block_sizes))
    n_blocks = random.choice(aim.n_blocks)
    n_entries = random.choice(aim.n_entries)
    n_stocked = max(n_entries - random.choice(aim.n_free), 0) if aim.n_free else 0
    size = block_size // 512
    profile = profile_of(mutant)
    used = Setting(
        with_memory(profile, block_size) if aim.pmem_mode else profile,
        random.choice(aim.options),
        n_entries,
        n_blocks * size,
        block_size,
        aim.pmem_mode,
    )
    theme = random.choice(aim.themes)
    ends = range(0, (n_blocks + 1) * size, size)
    discards = [("discard", begin, end - begin) for begin, end in combinations(ends, 2)]
    usual = {*usual_ops(used), *(op for op in discards if op[2] == size)}
    # Longer discards only where a theme has them by name.
    known = dict.fromkeys((*usual_ops(used), *discards))
    ops = tuple(op for op in known if among(theme, op) and (op in usual or named(theme, op)))
    bounds = Bounds(ops, random.choice(aim.n_clients), random.choice(aim.failures))
    crashes = random.choice(aim.crashes)
    start = events_of(aim.start) if aim.start else ()
    return Plan(used, bounds, n_stocked, aim.twice, crashes, aim.failing, aim.late, start)


def _walker(plan: Plan) -> StockedWalker:
    # Persistent memory has too many words to look at contents that are spread evenly.
    return plan.walker(None if plan.used.pmem_mode else QuickJudge(plan.setting, depth=1))


def is_operation(event: Turn) -> bool:
    """Whether somebody outside asks for it."""
    if event[0] == "crash":
        return is_operation(event[1])
    return event[0] in ("begin", "open")


def _activated(mutant: Mutant, seed: str, in_time: Callable[[], bool]) -> Hunted:
    start = process_time()
    number = 0
    with planted(mutant):
        while in_time():
            name = f"{seed}/{mutant.name}/{number}"
            number += 1
            wrong = judge(table := draw_table(Random(name)), profile_of(mutant))
            if wrong is None:
                continue
            hunted = Hunted(mutant, process_time() - start, number, "activations", wrong, name)
            return hunted._replace(n_ops=1, n_events=1, path=(("open", table.line),))
    return Hunted(mutant, process_time() - start, number)


def _replayed(mutant: Mutant, seconds: float) -> Hunted:
    start = process_time()
    found = replay(mutant, process_time, seconds)
    hunted = Hunted(mutant, process_time() - start)
    if found is None:
        return hunted
    what = f"{found.op[0]} differs in {', '.join(found.keys)}"
    return hunted._replace(caught_by="vectors", what=what, seed=found.where, n_ops=found.step + 1)

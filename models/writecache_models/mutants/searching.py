"""Searching mutants: the explorer, breadth first, over a small bound and for a few seconds.

Its path is a shortest one within the bound, as it goes level by level, one event a level.  What it
finds counts only where the repaired reference does not do the same on that path.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from time import process_time
from typing import Any, NamedTuple

from writecache_models.candidates import Turn
from writecache_models.expanding import Bound, forget
from writecache_models.exploring import Progress, explore
from writecache_models.mutants import Mutant, planted, profile_of
from writecache_models.mutants.aims import EAGER, aim_of
from writecache_models.release import bound
from writecache_models.walking import Bounds, Walker

BLOCKS, ENTRIES, OPERATIONS = 2, 3, 3


class Searched(NamedTuple):
    """What the explorer came to on a mutant."""

    seconds: float
    level: int
    """It took every path of up to so many events."""
    complete: bool
    """Whether there are no longer ones."""
    what: str = ""
    """What was seen; empty where the mutant was missed."""
    path: tuple[Turn, ...] = ()


class InProcess(Executor):
    """Does at once what it is given, where the mutant is planted."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Do it."""
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def search(mutant: Mutant, seconds: float) -> Searched:
    """Explore with a mutant until something is wrong, all is explored, or the time is up."""
    start = process_time()
    searched = bound_for(mutant)

    def go_on(reached: Progress) -> bool:
        return not reached.found and process_time() - start < seconds

    # What was configured without the mutant, or with another, is not to be met again.
    forget()
    with planted(mutant):
        progress = Progress.at_first(searched)
        explore(progress, InProcess(), 1, go_on)
    forget()
    made = Searched(process_time() - start, progress.level, progress.done)
    mended = replace(searched.setting, profile=searched.setting.profile.repaired())
    for found in progress.found.values():
        bounds = Bounds(searched.ops, searched.n_clients, searched.failures)
        if Walker(mended, bounds).replay(found.path) is None:
            return made._replace(what=found.what, path=found.path)
    return made


def bound_for(mutant: Mutant) -> Bound:
    """Few blocks, entries and operations; writeback as eager as where the mutant is hunted."""
    eager = aim_of(mutant).options[-1] == EAGER
    small = bound(
        blocks=BLOCKS,
        entries=ENTRIES,
        block_size=512,
        n_ops=OPERATIONS,
        n_clients=1,
        failures=mutant.failures,
        watermark=0 if eager else 100,
    )
    return small._replace(depth=1, setting=replace(small.setting, profile=profile_of(mutant)))

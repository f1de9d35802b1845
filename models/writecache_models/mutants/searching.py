"""Searching mutants: the explorer, breadth first, over a small bound and for a few seconds.

Its path is a shortest one within the bound, of fewest operations and then fewest events.  What it
finds counts only where the repaired reference does not do the same on that path.
"""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import replace
from time import process_time
from typing import Any, Final, NamedTuple

from writecache_models.candidates import Turn
from writecache_models.expanding import Bound, forget
from writecache_models.exploring import Progress, explore
from writecache_models.mutants import Mutant, planted, profile_of
from writecache_models.mutants.aims import EAGER, aim_of, among, has_aim
from writecache_models.release import bound
from writecache_models.walking import Bounds, Walker, usual_ops
from writecache_models.world import with_memory

BLOCKS, ENTRIES, OPERATIONS = 2, 3, 3
LIMIT: Final = 12
"""Contents of one crash of persistent memory that are judged: it has many words."""


class Searched(NamedTuple):
    """What the explorer came to on a mutant."""

    seconds: float
    layer: int
    """It took every path of fewer operations than this."""
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
    bounds = bounds_for(mutant)
    made = [
        _search(mutant, bound, start + seconds * number / len(bounds))
        for number, bound in enumerate(bounds, 1)
    ]
    caught = next((one for one in made if one.path), made[-1])
    complete = all(one.complete for one in made)
    return caught._replace(seconds=process_time() - start, complete=complete)


def _search(mutant: Mutant, searched: Bound, end: float) -> Searched:
    """Explore one bound until the processor's time is `end`."""

    def go_on(reached: Progress) -> bool:
        return not reached.found and process_time() < end

    # What was configured without the mutant, or with another, is not to be met again.
    forget()
    try:
        with planted(mutant):
            progress = Progress.at_first(searched)
            explore(progress, InProcess(), 1, go_on)
    finally:
        forget()
    made = Searched(0.0, progress.layer, progress.done)
    mended = replace(searched.setting, profile=searched.setting.profile.repaired())
    for found in progress.found.values():
        bounds = Bounds(searched.ops, searched.n_clients, searched.failures)
        if Walker(mended, bounds).replay(found.path) is None:
            return made._replace(what=found.what, path=found.path)
    return made


def bounds_for(mutant: Mutant) -> tuple[Bound, ...]:
    """One request at a time with few operations; then several, those with which it is hunted."""
    aim = aim_of(mutant)
    small = bound(
        blocks=BLOCKS,
        entries=ENTRIES,
        block_size=512,
        n_ops=OPERATIONS,
        n_clients=1,
        failures=mutant.failures,
        watermark=0 if aim.options[-1] == EAGER else 100,
    )
    profile = profile_of(mutant)
    memory = with_memory(profile, small.setting.block_size) if aim.pmem_mode else profile
    setting = replace(small.setting, profile=memory, pmem_mode=aim.pmem_mode)
    limit = LIMIT if aim.pmem_mode else None
    ops = (*small.ops, ("read", 0, setting.origin_sectors), ("write_fua", 0, 1))
    small = small._replace(depth=1, setting=setting, limit=limit, ops=ops)
    if not has_aim(mutant):
        return (small, small._replace(n_clients=2))
    # A stocked cache is too large for a search.
    n_entries = min(aim.n_entries) if not aim.n_free else min(aim.n_free)
    aimed = replace(setting, n_entries=n_entries, origin_sectors=min(aim.n_blocks))
    ops = tuple(op for op in usual_ops(aimed) if among(aim.themes[0], op))
    return (small, small._replace(setting=aimed, ops=ops, n_clients=max(aim.n_clients)))

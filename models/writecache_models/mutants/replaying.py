"""Replaying what kernels did on a mutant: the first trace on which it does something else.

The search for schedules is shorter than the judge's, so that a trace is done with soon.  So it is
the reference that says whether it suffices: a trace counts where the reference explains it in the
same search, and the mutant does not.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from writecache_models.checker import Candidate, Checker, Verdict
from writecache_models.fixtures import shipped_vectors
from writecache_models.mutants import Mutant, planted
from writecache_models.observations import UnusableStepError, profile_of
from writecache_models.stocked import TimeIsUpError
from writecache_models.vectors import Op, Trace, read_traces

EFFORT: Final = 64
"""Schedules of one step that are tried on one machine."""
_CHECKPOINTS: Final = 3
"""Earlier steps that are taken up again."""
_FAMILIES: Final = ("tables", "sleeps", "crafted", "aimed", "", "searched")
"""Quick ones first."""
_AIMED: Final = {"suspended-pass-without-limit": "copies_and_limit"}
"""By mutant: how the names of traces begin that were recorded for it."""


class Diverged(NamedTuple):
    """What a mutant does that the kernel did not do."""

    where: str
    """The trace and its file."""
    step: int
    op: Op
    keys: tuple[str, ...]
    """What differs."""


class _QuickChecker(Checker):
    """Looks at fewer schedules, and ends with TimeIsUpError where it takes long."""

    in_time: Callable[[], bool] = staticmethod(lambda: True)

    def _reconsider(self, number: int, verdict: Verdict) -> list[Candidate]:
        for taken_up, candidates in reversed(self._checkpoints[-_CHECKPOINTS:]):
            kept = self._explore(candidates, taken_up, verdict, EFFORT)
            for again in range(taken_up + 1, number + 1):
                kept, _ = self._again(kept, again, verdict, EFFORT)
            if kept:
                return kept
        return []

    def _explore_one(
        self, candidate: Candidate, number: int, verdict: Verdict, effort: int
    ) -> Iterator[Candidate]:
        for found in super()._explore_one(candidate, number, verdict, effort):
            if not self.in_time():
                raise TimeIsUpError
            yield found


def first_difference(
    trace: Trace, where: str, in_time: Callable[[], bool] = lambda: True
) -> Diverged | None:
    """The first step that no schedule explains; raises TimeIsUpError."""
    checker = _QuickChecker(trace, profile_of(trace))
    checker.in_time = in_time
    for number, (op, seen) in enumerate(trace.steps):
        if not in_time():
            raise TimeIsUpError
        try:
            verdict = checker.step(op, seen)
        except UnusableStepError:
            return None
        if not verdict.explained:
            keys = (key for key in seen if seen[key] != verdict.expected.get(key))
            panics = ("panic",) if verdict.expected.get("panic") else ()
            return Diverged(where, number, op, (*keys, *panics))
        if seen.get("panic") or seen.get("hang"):
            return None
    return None


@cache
def _traces(file: Path) -> tuple[Trace, ...]:
    return tuple(read_traces(file))


def traces(mutant: Mutant) -> Iterator[tuple[str, Trace]]:
    """All recorded traces; those with the mutant's options and of its kernel first."""
    found = [(file, trace) for file in shipped_vectors() for trace in _traces(file)]

    def order(one: tuple[Path, Trace]) -> tuple[bool, bool, bool, int]:
        file, trace = one
        family = file.name.removesuffix(".jsonl.xz").partition("-")[2]
        other_kernel = profile_of(trace).name != mutant.profile
        not_aimed = not trace.name.startswith(_AIMED.get(mutant.name, ""))
        no_options = mutant.options not in trace.table
        # A suite's flavour, such as persistent memory, comes last.
        place = _FAMILIES.index(family) if family in _FAMILIES else len(_FAMILIES)
        return not_aimed, no_options, other_kernel, place

    for file, trace in sorted(found, key=order):
        yield f"{trace.name} in {file.name}", trace


def replay(mutant: Mutant, clock: Callable[[], float], seconds: float) -> Diverged | None:
    """Replay traces until one differs; each with the profile of the kernel that recorded it."""
    end = clock() + seconds
    for where, trace in traces(mutant):
        now = clock()
        if now > end:
            break
        limit = min(end, now + seconds / 4)
        try:
            with planted(mutant):
                found = first_difference(trace, where, lambda limit=limit: clock() < limit)  # type: ignore[misc]
        except TimeIsUpError:
            continue
        if found is not None and first_difference(trace, where) is None:
            return found
    return None

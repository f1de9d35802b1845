"""What a crash kept and what it lost, in a few words, and which of its contents come first."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from writecache_models.trace_states.words import span

MOST_NAMED: Final = 4
"""Runs of sectors that a label names."""


def rank(kept: Iterable[tuple[int, int]]) -> int:
    """How far a content is from nothing kept, or from everything: the nearest are shown first.

    `kept`: of each place that has several ways to come out, which was kept, and of how many.

    >>> rank([(0, 2), (0, 3)]), rank([(1, 2), (2, 3)]), rank([(1, 2), (0, 3), (0, 2)])
    (0, 0, 1)
    """
    n_not_first = n_not_last = 0
    for way, count in kept:
        n_not_first += way > 0
        n_not_last += way < count - 1
    return min(n_not_first, n_not_last)


def label(ways: Sequence[tuple[str, int, int, int]], names: Any = None) -> str:
    """What a crash kept of places that had several ways to come out.

    `ways`: the device, the place, which of its contents was kept, and of how many; 0 is what was
    durable, the last is the latest.

    >>> label([("cache", 3, 1, 2), ("cache", 4, 0, 2), ("cache", 5, 0, 2)])
    'only cache 3 kept'
    >>> label([("cache", 3, 0, 2), ("cache", 4, 1, 3)])
    'cache 3 lost; cache 4 an older write'
    """
    if not ways:
        return "nothing was pending"
    lost = [(device, place) for device, place, kept, _ in ways if kept == 0]
    kept = [(device, place) for device, place, way, count in ways if 0 < way == count - 1]
    others = [(device, place) for device, place, way, count in ways if 0 < way < count - 1]
    if len(lost) == len(ways):
        return "everything pending is lost"
    if len(kept) == len(ways):
        return "everything pending is kept"
    if others:
        parts = [f"{_named(lost, names)} lost"] if lost else []
        parts += [f"{_named(others, names)} an older write"]
        return "; ".join(parts)
    if len(lost) <= len(kept):
        return f"all but {_named(lost, names)} kept"
    return f"only {_named(kept, names)} kept"


def _named(places: list[tuple[str, int]], names: Any) -> str:
    runs: list[tuple[str, int, int]] = []
    for device, place in sorted(places):
        if runs and runs[-1][0] == device and runs[-1][1] + runs[-1][2] == place:
            runs[-1] = (device, runs[-1][1], runs[-1][2] + 1)
        else:
            runs.append((device, place, 1))
    said = [f"{device} {names(device, first, count) if names else span(first, count)}"
            for device, first, count in runs[:MOST_NAMED]]  # fmt: skip
    more = [f"{len(runs) - MOST_NAMED} runs more"] if len(runs) > MOST_NAMED else []
    return ", ".join([*said, *more])

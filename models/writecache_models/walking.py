"""Walks: random paths through a world's events, what goes wrong on them, and how little is needed.

A path is a list of events.  It is *replayed* leniently: what cannot happen is left out.  So a path
that goes wrong can be shrunk by leaving out events, one after the other, and be tried on another
profile: it belongs to the findings whose repairs, each missing alone, let it go wrong.
"""

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from itertools import combinations
from random import Random
from typing import Any, Final, NamedTuple

from writecache_models.candidates import Turn, candidates, op_of
from writecache_models.clients import Op
from writecache_models.recovery import Judge
from writecache_models.turns import turn
from writecache_models.world import Setting, World, new_world
from writecache_spec.repairs import Repair

HANG: Final = "an operation never ends"
MOST_IN_PAIRS: Final = 40
"""The longest path of which events are left out two by two."""
LIMIT: Final = 64
"""Contents of one crash that a walk looks at."""
MEMORY_LIMIT: Final = 12
"""The same of a crash of a recovery of persistent memory, which has many words; it crashes once."""


class Bounds(NamedTuple):
    """What a walk may do."""

    ops: tuple[Op, ...]
    n_clients: int = 3
    failures: int = 0


class Wrong(NamedTuple):
    """What went wrong, at the end of a path."""

    what: str
    path: tuple[Turn, ...]


def usual_ops(setting: Setting) -> tuple[Op, ...]:
    """Operations on every run of neighbouring blocks, and everything else once."""
    size = setting.block_sectors
    n_blocks = setting.origin_sectors // size
    runs = [
        (first * size, count * size)
        for first in range(n_blocks)
        for count in range(1, n_blocks - first + 1)
    ]
    return (
        *(("write", *run) for run in runs),
        *(("write_fua", *run) for run in (runs if setting.pmem_mode else runs[:1])),
        ("read", 0, setting.origin_sectors),
        ("discard", *runs[-1]),
        ("discard", 0, setting.origin_sectors),
        ("flush",),
        ("message", "flush"),
        ("message", "flush_on_suspend"),
        ("message", "cleaner"),
        *((("message", "clear_stats"),) if setting.profile.has_statistics else ()),
        ("suspend",),
        ("resume",),
        ("open",),
        ("load",),
    )


class Walker:
    """Walks in one setting."""

    def __init__(self, setting: Setting, bounds: Bounds, judge: Judge | None = None) -> None:
        self.setting, self.bounds = setting, bounds
        if judge is None and setting.pmem_mode:
            judge = Judge(setting, depth=1, limit=LIMIT, recovery_limit=MEMORY_LIMIT)
        self.judge = judge or Judge(setting, limit=LIMIT)
        self.n_steps = 0
        self.n_moments = 0
        """Of the event that happened last."""
        self.note: Callable[[World, Turn], None] | None = None
        """Who wants to know of each event, with the world before it."""

    def walk(self, random: Random, n_steps: int) -> Wrong | None:
        """Go at random, until something is wrong or for so many events."""
        world, path = new_world(self.setting), list[Turn]()
        for _ in range(n_steps):
            chosen = self._next(world, random)
            if chosen is None:
                return Wrong(HANG, tuple(path)) if world.clients or world.control else None
            event, following, what = chosen
            if self.note is not None:
                self.note(world, event)
            world = following
            path.append(event)
            self.n_steps += 1
            if what:
                return Wrong(what, tuple(path))
        return None

    def _next(self, world: World, random: Random) -> tuple[Turn, World, str | None] | None:
        for event in self.options(world, random):
            happened = self.happen(world, event)
            if happened is not None:
                return event, *happened
        return None

    def options(self, world: World, random: Random) -> Iterator[Turn]:
        """What may be next, at random; what is under way before what is new, half of the time."""
        ops = self.bounds.ops if len(world.clients) < self.bounds.n_clients else ()
        events = list(candidates(self.setting, world, ops, self.bounds.failures))
        random.shuffle(events)
        if random.random() < 0.5:
            events.sort(key=lambda event: event[0] == "begin")
        return iter(events)

    def possible(self, world: World, event: Turn) -> bool:
        """Whether an event is one of those that may be next."""
        ops = (op_of(event),) if event[0] == "begin" else ()
        return event in candidates(self.setting, world, ops, self.bounds.failures)

    def happen(
        self, world: World, event: Turn, crash: bool = True
    ) -> tuple[World, str | None] | None:
        """Let an event happen, and the power fail at each of its moments."""
        after = turn(self.setting, world, event)
        if after is None:
            return None
        self.n_moments = len(after.moments)
        if after.violations:
            return after.world, after.violations[0]
        for moment in after.moments if crash else ():
            if found := self.judge.fail_at(moment):
                return after.world, found[0]
        return after.world, None

    def replay(
        self, path: Sequence[Turn], crashes: bool = True, crash_in_format: bool = True
    ) -> Wrong | None:
        """Follow a path as far as it goes; the first thing that is wrong."""
        world, followed = new_world(self.setting), list[Turn]()
        for event in path:
            if not self.possible(world, event):
                # A piece, a copy or a request that is not there now.
                continue
            crash = crashes and (crash_in_format or world.wc is not None)
            happened = self.happen(world, event, crash)
            if happened is None:
                continue
            world, what = happened
            followed.append(event)
            if what:
                return Wrong(what, tuple(followed))
        if (world.clients or world.control) and self._is_stuck(world):
            return Wrong(HANG, tuple(followed))
        return None

    def _is_stuck(self, world: World) -> bool:
        return not any(
            turn(self.setting, world, event, reads=False) is not None
            for event in candidates(self.setting, world, (), 0)
        )

    def shrink(self, wrong: Wrong) -> Wrong:
        """Leave out what is not needed for the same thing to go wrong."""
        size = max(len(wrong.path) // 2, 1)
        while size:
            at = 0
            while at < len(wrong.path):
                shorter = self._shorter(wrong, range(at, at + size))
                if shorter is None:
                    at += size
                wrong = shorter or wrong
            size //= 2
        # What goes together: a suspend and its resume.
        while len(wrong.path) <= MOST_IN_PAIRS:
            pairs = combinations(range(len(wrong.path)), 2)
            found = next(filter(None, (self._shorter(wrong, pair) for pair in pairs)), None)
            if found is None:
                break
            wrong = found
        return wrong

    def _shorter(self, wrong: Wrong, left_out: Container[int]) -> Wrong | None:
        """The same thing gone wrong without some events, if it does."""
        shorter = self.replay(_without(wrong.path, left_out))
        if shorter and shorter.what == wrong.what and len(shorter.path) < len(wrong.path):
            return shorter
        return None


_TWO_WORDS: Final = ("go on", "flush thread", "endio take")
_VALUES: Final[dict[str, Any]] = {"True": True, "False": False, "None": None}


def events_of(path: str) -> tuple[Turn, ...]:
    """A path from how it is printed; raises ValueError for an empty event.

    >>> events_of("open; begin write 0 2; io 0 False; flush thread None")
    (('open',), ('begin', 'write', 0, 2), ('io', 0, False), ('flush thread', None))
    """
    return tuple(_event_of(event.strip()) for event in path.rstrip("; ").split(";"))


def _event_of(text: str) -> Turn:
    if not text:
        raise ValueError("an event is empty")
    name = next((one for one in _TWO_WORDS if text.startswith(one)), text.split()[0])
    words = text.removeprefix(name).split()
    return (name, *(_VALUES.get(word, int(word) if word.isdigit() else word) for word in words))


def _without(path: Sequence[Turn], left_out: Container[int]) -> list[Turn]:
    """A path without some events; requests are numbered as they begin, so those after it anew."""
    kept: list[Turn] = []
    numbers: dict[int, int] = {}
    n_begun = 0
    for at, event in enumerate(path):
        if event[0] == "begin":
            if at not in left_out:
                numbers[n_begun] = len(numbers)
            n_begun += 1
        if at in left_out:
            continue
        if event[0] == "map":
            if event[1] not in numbers:
                continue
            event = ("map", numbers[event[1]])
        kept.append(event)
    return kept


def blame(setting: Setting, bounds: Bounds, wrong: Wrong) -> list[Repair]:
    """The repairs of which each, missing alone, lets the same go wrong on this path."""
    found = []
    for repair in Repair:
        profile = setting.profile.repaired(without=frozenset({repair}))
        again = Walker(replace(setting, profile=profile), bounds).replay(wrong.path)
        if again is not None and again.what == wrong.what:
            found.append(repair)
    return found

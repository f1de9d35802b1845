"""The explorer: every sequence of operations and every schedule, breadth first, up to a bound.

Worlds that are equal up to names are met once (`canonical`).  At every moment of every event the
power may fail; every content that it may leave is judged (`recovery`).  The search goes level by
level, one event a level; a level is cut into chunks, and a chunk is all that another process needs.
So any executor can do it, and what was reached can be kept and gone on from.
"""

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import uuid4

from writecache_models.canonical import digest
from writecache_models.clients import Op
from writecache_models.recovery import Judge
from writecache_models.turns import Turn, candidates, turn, wrong_reads
from writecache_models.world import Setting, World, new_world
from writecache_spec.state import Config

CHUNK: Final = 250
"""Worlds that a process gets at once."""


class Bound(NamedTuple):
    """What is explored."""

    setting: Setting
    ops: tuple[Op, ...]
    """Operations that may begin."""
    n_ops: int
    """How many begin."""
    n_clients: int = 1
    """How many requests are under way at once."""
    failures: int = 0
    """I/Os that fail."""
    depth: int = 2
    """How often recovery crashes."""


class Found(NamedTuple):
    """A violation, and the events that lead to it."""

    what: str
    path: tuple[Turn, ...]


class Expanded(NamedTuple):
    """What came of a chunk."""

    worlds: list[tuple[int, int, Turn, bytes]]
    """Successors: digest, the parent's place in the chunk, the event, the world."""
    violations: list[tuple[int, Turn, str]]
    n_turns: int
    n_states: int
    pairs: list[int]
    """Digests of distinct pairs of image and contract that this process had not met."""
    named: list[int]
    """Those of pairs that are distinct up to names."""


_judges: dict[str, Judge] = {}


def expand(run: str, bound: Bound, worlds: list[bytes]) -> Expanded:
    """Let everything happen that can happen next in these worlds.

    What this process has met before, in the same run, it leaves out of the result.
    """
    judge = _judges.get(run)
    if judge is None:
        _judges.clear()
        judge = _judges[run] = Judge(bound.setting, bound.depth)
    states_before = judge.n_states
    judge.new_pairs, judge.new_named = [], []
    made = Expanded([], [], 0, 0, [], [])
    n_turns = 0
    config = _config(bound)
    for place, packed in enumerate(worlds):
        world = _unpack(packed, config)
        for event, after in _successors(bound, world):
            n_turns += 1
            found = dict.fromkeys(after.violations)
            for moment in after.moments:
                found |= dict.fromkeys(judge.fail_at(moment))
            made.violations.extend((place, event, what) for what in found)
            if after.violations:
                # What follows a broken promise says nothing more.
                continue
            number = digest(after.world)
            if number in judge.met:
                continue
            judge.met.add(number)
            wrong = wrong_reads(bound.setting, after.world)
            made.violations.extend((place, event, what) for what in wrong)
            if not wrong:
                made.worlds.append((number, place, event, _pack(after.world)))
        if _hangs(bound, world):
            made.violations.append((place, ("nothing",), "an operation never ends"))
    return made._replace(
        n_turns=n_turns,
        n_states=judge.n_states - states_before,
        pairs=judge.new_pairs,
        named=judge.new_named,
    )


def _successors(bound: Bound, world: World) -> Iterator[tuple[Turn, Any]]:
    may_begin = world.n_begun < bound.n_ops and len(world.clients) < bound.n_clients
    ops = bound.ops if may_begin else ()
    for event in candidates(bound.setting, world, ops, bound.failures):
        after = turn(bound.setting, world, event, reads=False)
        if after is not None:
            yield event, after


def _hangs(bound: Bound, world: World) -> bool:
    """Whether something waits that nothing ends."""
    if not (world.clients or world.control):
        return False
    return not any(
        turn(bound.setting, world, event, reads=False) is not None
        for event in candidates(bound.setting, world, (), 0)
    )


def _pack(world: World) -> bytes:
    """A world, to be kept or sent, but for its configuration: the table is the same for all."""
    world = _with(world, None)  # type: ignore[arg-type]
    return pickle.dumps(world, pickle.HIGHEST_PROTOCOL)


def _unpack(packed: bytes, config: Config) -> World:
    world: World = pickle.loads(packed)
    return _with(world, config)


def _with(world: World, config: Config) -> World:
    """A world whose caches have this configuration."""
    if world.wc is not None:
        world = world._replace(wc=world.wc._replace(config=config))
    if world.loaded is not None:
        world = world._replace(loaded=world.loaded._replace(config=config))
    return world


@lru_cache(maxsize=4)
def _config(bound: Bound) -> Config:
    """What the table comes to."""
    after = turn(bound.setting, new_world(bound.setting), ("open",))
    assert after is not None
    assert after.world.wc is not None
    return after.world.wc.config


@dataclass(slots=True)
class Progress:
    """How far an exploration has come; everything that is needed to go on."""

    bound: Bound
    seen: set[int] = field(default_factory=set)
    frontier: list[tuple[int, bytes]] = field(default_factory=list)
    """Worlds of this level that are to be expanded."""
    following: list[tuple[int, bytes]] = field(default_factory=list)
    """Those of the next level, as far as they are known."""
    parents: dict[int, tuple[int, Turn]] = field(default_factory=dict)
    level: int = 0
    n_worlds: int = 0
    n_turns: int = 0
    n_states: int = 0
    """Contents that crashes left, one by one."""
    pairs: set[int] = field(default_factory=set)
    """Distinct pairs of content and contract."""
    named: set[int] = field(default_factory=set)
    """Those that are distinct up to names."""
    counts: Counter[str] = field(default_factory=Counter)
    """Violations of each kind."""
    found: dict[str, Found] = field(default_factory=dict)
    """The first, and so a shortest one, of each kind."""
    seconds: float = 0.0

    @classmethod
    def at_first(cls, bound: Bound) -> "Progress":
        """Nothing has been explored."""
        made = cls(bound)
        world = new_world(bound.setting)
        number = digest(world)
        made.seen.add(number)
        made.frontier.append((number, _pack(world)))
        return made

    @property
    def done(self) -> bool:
        """Whether everything within the bound has been explored."""
        return not self.frontier and not self.following

    def path(self, number: int) -> tuple[Turn, ...]:
        """The events that led to a world."""
        events: list[Turn] = []
        while number in self.parents:
            number, event = self.parents[number]
            events.append(event)
        return tuple(reversed(events))

    def save(self, file: Path) -> None:
        """Keep it; whatever was kept there stays whole until this is."""
        beside = file.with_name(file.name + ".new")
        with beside.open("wb") as stream:
            pickle.dump(self, stream, pickle.HIGHEST_PROTOCOL)
        beside.replace(file)

    @classmethod
    def load(cls, file: Path) -> "Progress":
        """What `save` kept.  Only for files of one's own: a pickle can run anything."""
        with file.open("rb") as stream:
            loaded = pickle.load(stream)
        if not isinstance(loaded, cls):
            raise ValueError(f"{file}: no exploration")
        return loaded


def explore(
    progress: Progress, executor: Executor, n_at_once: int, go_on: Callable[[Progress], bool]
) -> None:
    """Explore until everything is, or until `go_on`, asked after each chunk, says no."""
    run = uuid4().hex
    flying: dict[Future[Expanded], list[tuple[int, bytes]]] = {}
    try:
        while not progress.done:
            chunks = _chunks(progress.frontier)
            wanted = True
            for chunk in islice(chunks, n_at_once):
                flying[_submit(executor, run, progress.bound, chunk)] = chunk
            while flying:
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    _take(progress, flying.pop(future), future.result())
                    wanted = wanted and go_on(progress)
                    for following in islice(chunks, int(wanted)):
                        flying[_submit(executor, run, progress.bound, following)] = following
            if not wanted:
                return
            progress.frontier, progress.following = progress.following, []
            progress.level += 1
    finally:
        for future, chunk in flying.items():
            # What was not finished is to be done again.
            future.cancel()
            progress.frontier.extend(chunk)


def _chunks(frontier: list[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Take the frontier apart; what is not taken stays in it."""
    while frontier:
        chunk = frontier[-CHUNK:]
        del frontier[-CHUNK:]
        yield chunk


def _submit(
    executor: Executor, run: str, bound: Bound, chunk: Iterable[tuple[int, bytes]]
) -> "Future[Expanded]":
    return executor.submit(expand, run, bound, [packed for _, packed in chunk])


def _take(progress: Progress, chunk: list[tuple[int, bytes]], made: Expanded) -> None:
    """Add what came of a chunk."""
    progress.n_worlds += len(chunk)
    progress.n_turns += made.n_turns
    progress.n_states += made.n_states
    progress.pairs.update(made.pairs)
    progress.named.update(made.named)
    for number, place, event, packed in made.worlds:
        if number not in progress.seen:
            progress.seen.add(number)
            progress.parents[number] = (chunk[place][0], event)
            progress.following.append((number, packed))
    for place, event, what in made.violations:
        progress.counts[what] += 1
        if what not in progress.found:
            progress.found[what] = Found(what, (*progress.path(chunk[place][0]), event))

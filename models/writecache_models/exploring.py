"""The explorer: every sequence of operations and every schedule, breadth first, up to a bound.

Worlds that are equal up to names are met once (`canonical`).  At every moment of every event the
power may fail; every content that it may leave is judged (`recovery`).  The search goes in
*layers*: first everything that can happen with no operation begun, then with one, and so on, each
until nothing new happens.  A world that was met with fewer operations is not met again: what it
does with more of them left is more.  Where a layer brings no new world, no further operation does:
then the search holds for histories of any length.

Within a layer it goes level by level, one event a level; a level is cut into chunks, and a chunk
is all that another process needs.  So any executor can do it, and what was reached can be kept and
gone on from.
"""

import pickle
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, field
from errno import EEXIST
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple
from uuid import uuid4

from writecache_models.candidates import Turn
from writecache_models.canonical import digest
from writecache_models.expanding import Bound, Expanded, expand
from writecache_models.packing import pack, words_of
from writecache_models.world import new_world

_MAGIC: Final = b"writecache exploration 3\n"
_DIGEST_SIZE: Final = 32
CHUNK: Final = 250
"""Worlds that a process gets at once."""


class Found(NamedTuple):
    """A violation, and the events that lead to it."""

    what: str
    path: tuple[Turn, ...]


@dataclass(slots=True)
class Progress:
    """How far an exploration has come; everything that is needed to go on."""

    bound: Bound
    words: bytes = b""
    """What the packed worlds have in common (`packing`)."""
    seen: set[int] = field(default_factory=set)
    frontier: list[tuple[int, bytes]] = field(default_factory=list)
    """Worlds of this level that are to be expanded."""
    following: list[tuple[int, bytes]] = field(default_factory=list)
    """Those of the next level, as far as they are known."""
    later: dict[int, bytes] = field(default_factory=dict)
    """Those of the next layer, as far as they are known."""
    parents: dict[int, tuple[int, Turn]] = field(default_factory=dict)
    events: dict[Turn, Turn] = field(default_factory=dict)
    """Those of the parents, each of which is kept once."""
    level: int = 0
    """Events of the layer's longest path so far."""
    layer: int = 0
    """Operations that have begun."""
    layers: list[int] = field(default_factory=lambda: [0])
    """Worlds expanded in each layer."""
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
        made = cls(bound, words_of(bound.setting, bound.ops))
        world = new_world(bound.setting)
        number = digest(world)
        made.seen.add(number)
        made.frontier.append((number, pack(world, made.words)))
        return made

    @property
    def done(self) -> bool:
        """Whether everything within the bound has been explored."""
        return not self.frontier and not self.following and not self.later

    @property
    def closed(self) -> bool:
        """Whether no further operation leads anywhere new: it holds for any number of them."""
        return self.done and self.layer <= self.bound.n_ops and self.layers[-1] == 0

    def path(self, number: int) -> tuple[Turn, ...]:
        """The events that led to a world."""
        events: list[Turn] = []
        while number in self.parents:
            number, event = self.parents[number]
            events.append(event)
        return tuple(reversed(events))

    def save(self, file: Path) -> None:
        """Keep it; whatever was kept there stays whole until this is.

        Raises OSError, also where something is that must not be replaced: a device, say.
        """
        file = file.resolve()
        check_replaceable(file)
        beside = file.with_name(file.name + ".new")
        try:
            with beside.open("wb") as stream:
                stream.write(_MAGIC)
                hashing = _Hashing(stream)
                pickle.dump(self, hashing, pickle.HIGHEST_PROTOCOL)
                stream.write(hashing.sum.digest())
            beside.replace(file)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise

    @classmethod
    def load(cls, file: Path) -> "Progress":
        """What `save` kept; raises ValueError for anything else, and for what was damaged since.

        Only for files of one's own: who can write one can have it run anything.
        """
        with file.open("rb") as stream:
            if stream.read(len(_MAGIC)) != _MAGIC:
                raise ValueError(f"{file}: no exploration")
            kept = stream.read()
        content, digest = kept[:-_DIGEST_SIZE], kept[-_DIGEST_SIZE:]
        if sha256(content).digest() != digest:
            raise ValueError(f"{file}: damaged, or cut")
        loaded: Progress = pickle.loads(content)
        return loaded


class _Hashing:
    """Passes on what is written, and hashes it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream, self.sum = stream, sha256()

    def write(self, data: bytes) -> int:
        self.sum.update(data)
        return self.stream.write(data)


def check_replaceable(file: Path) -> None:
    """Raise OSError where something is that is neither empty nor an exploration."""
    if not file.exists():
        return
    if not file.is_file():
        raise FileExistsError(EEXIST, "Not a file that could be replaced", str(file))
    with file.open("rb") as stream:
        if stream.read(len(_MAGIC)) not in (b"", _MAGIC):
            raise FileExistsError(EEXIST, "There is something else in it", str(file))


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
                flying[_submit(executor, run, progress, chunk)] = chunk
            while flying:
                for future in wait(flying, return_when=FIRST_COMPLETED).done:
                    _take(progress, flying.pop(future), future.result())
                    wanted = wanted and go_on(progress)
                    for following in islice(chunks, int(wanted)):
                        flying[_submit(executor, run, progress, following)] = following
            if not wanted:
                return
            _advance(progress)
    finally:
        for future, chunk in flying.items():
            # What was not finished is to be done again.
            future.cancel()
            progress.frontier.extend(chunk)


def _advance(progress: Progress) -> None:
    """To the next level, or where that is empty to the next layer."""
    progress.frontier, progress.following = progress.following, []
    progress.level += 1
    if not progress.frontier:
        new = {number: one for number, one in progress.later.items() if number not in progress.seen}
        progress.seen.update(new)
        progress.frontier, progress.later = list(new.items()), {}
        progress.level = 0
        if progress.layer < progress.bound.n_ops:
            progress.layer += 1
            progress.layers.append(0)


def _chunks(frontier: list[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Take the frontier apart; what is not taken stays in it."""
    while frontier:
        chunk = frontier[-CHUNK:]
        del frontier[-CHUNK:]
        yield chunk


def _submit(
    executor: Executor, run: str, progress: Progress, chunk: Iterable[tuple[int, bytes]]
) -> "Future[Expanded]":
    worlds = [packed for _, packed in chunk]
    return executor.submit(expand, run, progress.bound, progress.words, worlds)


def _take(progress: Progress, chunk: list[tuple[int, bytes]], made: Expanded) -> None:
    """Add what came of a chunk."""
    progress.n_worlds += len(chunk)
    progress.layers[-1] += len(chunk)
    progress.n_turns += made.n_turns
    progress.n_states += made.n_states
    progress.pairs.update(made.pairs)
    progress.named.update(made.named)
    for number, n_begun, place, one, packed in made.worlds:
        if number in progress.seen:
            continue
        event = progress.events.setdefault(one, one)
        if n_begun > progress.layer:
            if number not in progress.later:
                progress.later[number] = packed
                progress.parents[number] = chunk[place][0], event
            continue
        progress.seen.add(number)
        progress.parents[number] = chunk[place][0], event
        progress.following.append((number, packed))
    for place, event, what in made.violations:
        progress.counts[what] += 1
        if what not in progress.found:
            progress.found[what] = Found(what, (*progress.path(chunk[place][0]), event))

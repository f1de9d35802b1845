"""Expanding: everything that can happen next in some worlds, crashes judged; a process's work."""

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from writecache_models.alike import plain
from writecache_models.candidates import Turn, candidates
from writecache_models.canonical import digest
from writecache_models.clients import Op
from writecache_models.packing import pack, unpack
from writecache_models.recovery import Judge
from writecache_models.turns import After, turn, wrong_reads
from writecache_models.walking import HANG
from writecache_models.world import Setting, World, after_crash, new_world, visible
from writecache_spec.state import Config


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
    limit: int | None = None
    """How many contents of one crash are judged; None: all of them."""
    goes_on: bool = False
    """Whether what a crash has left is activated and goes on; a crash counts as an operation."""


class Made(NamedTuple):
    """A successor."""

    number: int
    """Its digest."""
    n_begun: int
    place: int
    """Its parent's, in the chunk."""
    event: Turn
    packed: bytes


class Expanded(NamedTuple):
    """What came of a chunk."""

    worlds: list[Made]
    violations: list[tuple[int, Turn, str]]
    n_turns: int
    n_states: int
    pairs: list[int]
    """Digests of distinct pairs of image and contract that this process had not met."""
    named: list[int]
    """Those of pairs that are distinct up to names."""


_judges: dict[str, Judge] = {}


def _judge_of(run: str, bound: Bound) -> Judge:
    """A run's own, which knows what this process has met in it."""
    if run not in _judges:
        _judges.clear()
        _judges[run] = Judge(bound.setting, bound.depth, bound.limit, bound.limit)
    return _judges[run]


def expand(run: str, bound: Bound, words: bytes, worlds: list[bytes]) -> Expanded:
    """Let everything happen that can happen next in these worlds.

    What this process has met before, in the same run, it leaves out of the result.
    """
    judge = _judge_of(run, bound)
    states_before = judge.n_states
    judge.new_pairs, judge.new_named = [], []
    made = Expanded([], [], 0, 0, [], [])
    n_turns = 0
    config = _config(bound)
    for place, packed in enumerate(worlds):
        world = unpack(packed, words, config)
        for event, after in _successors(bound, world):
            n_turns += 1
            found = dict.fromkeys(after.violations)
            for moment in after.moments:
                found |= dict.fromkeys(judge.fail_at(moment))
            made.violations.extend((place, event, what) for what in found)
            # What follows a broken promise says nothing more.
            following = [] if after.violations else [(event, _read(bound, event, after.world))]
            if bound.goes_on and not found and world.n_begun < bound.n_ops:
                following += _crashed(world, event, after, judge)
            for led, other in following:
                follows = plain(other)
                number = digest(follows)
                if (number, follows.n_begun) in judge.met:
                    continue
                judge.met.add((number, follows.n_begun))
                wrong = wrong_reads(bound.setting, follows)
                made.violations.extend((place, led, what) for what in wrong)
                if not wrong:
                    made.worlds.append(
                        Made(number, follows.n_begun, place, led, pack(follows, words))
                    )
        if _hangs(bound, world):
            made.violations.append((place, ("nothing",), HANG))
    return made._replace(
        n_turns=n_turns,
        n_states=judge.n_states - states_before,
        pairs=judge.new_pairs,
        named=judge.new_named,
    )


def _crashed(world: World, event: Turn, after: After, judge: Judge) -> Iterator[tuple[Turn, World]]:
    """The power fails within the event: what is left that was not met yet."""
    for at, moment in enumerate(after.moments):
        for number, image in judge.left_by(moment):
            left = after_crash(world._replace(contract=moment.contract), image)
            yield ("crash", event, at, number), left._replace(n_begun=world.n_begun + 1)


def _read(bound: Bound, event: Turn, world: World) -> World:
    """What a crash has left is read whole when it is activated: from then on it is known."""
    if event != ("open",) or not world.n_crashes or world.wc is None or world.wc.error:
        return world
    contract = world.contract.fork()
    for sector, value in visible(bound.setting, world):
        contract.read(sector, [value])
    return world._replace(contract=contract)


def _successors(bound: Bound, world: World) -> Iterator[tuple[Turn, After]]:
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


@lru_cache(maxsize=4)
def _config(bound: Bound) -> Config:
    """What the table comes to."""
    after = turn(bound.setting, new_world(bound.setting), ("open",))
    assert after is not None
    assert after.world.wc is not None
    return after.world.wc.config


def forget() -> None:
    """Forget what tables came to, for whoever changes what they come to."""
    _config.cache_clear()

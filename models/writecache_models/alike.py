"""What makes no difference: worlds that differ only in it have the same future.

`contract_key` names what decides the future of a contract.  `plain` leaves out of a world

  * values that no disk holds and none has been given: nothing can ever read them again;
  * which of several older versions of a sector is which, where no request under way remembers a
    moment between them: whatever supersedes one of them supersedes all;
  * all but one of values that nothing tells apart: pending on one sector of one disk, none of them
    its latest, allowed by the same versions.  A crash that leaves one of them is, but for a name, a
    crash that leaves another.

So the worlds of a cache of a few blocks are finite in number, however long their histories.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from writecache_models.contract import ZERO, Contract, Value, Version
from writecache_models.symbolic import Disk, Symbol
from writecache_models.world import World
from writecache_spec.layout import MemoryEntry
from writecache_spec.units import U64_MAX

Name = Callable[[Iterable[Value]], Hashable]
"""Names a set of values."""


class Counts(NamedTuple):
    """Sequence counts, as far as anything compares them.

    A superblock's is compared with those of other superblocks and of entries; an entry's with those
    of superblocks, and of entries with the same original sector.
    """

    commits: Mapping[int, int]
    """Those of superblocks, each to its place among them."""
    places: Mapping[tuple[int, int], tuple[int, int, bool]]
    """Original sector and count of an entry: its place among those of the same sector, how many of
    `commits` are below it, and whether one is equal."""

    @classmethod
    def of(
        cls, symbols: Iterable[Symbol], commits: Iterable[int], entries: Iterable[tuple[int, int]]
    ) -> "Counts":
        """Those in what a disk holds, and some more."""
        commits, entries = set(commits), set(entries)
        for symbol in symbols:
            if not isinstance(symbol, int):
                commits |= {superblock.seq_count for superblock in symbol[0]}
                entries |= {(one.original_sector, one.seq_count) for one in symbol[1]}
        order = sorted(commits)
        places: dict[tuple[int, int], tuple[int, int, bool]] = {}
        met: Counter[int] = Counter()
        for sector, count in sorted(entries):
            if count != U64_MAX:
                places[sector, count] = met[sector], bisect_left(order, count), count in commits
                met[sector] += 1
        return cls({count: place for place, count in enumerate(order)}, places)

    def entry(self, entry: MemoryEntry) -> tuple[int, ...]:
        """What matters of an entry; free ones are alike."""
        if entry.seq_count == U64_MAX:
            return (-1,)
        return entry.original_sector, *self.places[entry.original_sector, entry.seq_count]


def contract_key(
    contract: Contract, name: Name = frozenset, others: Iterable[int] = ()
) -> tuple[Hashable, ...]:
    """What decides everything from now on; equal contracts have equal keys.

    `others` are moments that requests under way remember; their places among each other come last.
    Moments of two sectors are compared by nobody.
    """
    moments = sorted(set(others))
    order = {moment: number for number, moment in enumerate(moments)}
    sectors = tuple(
        (sector, name(contract.ever.get(sector, ())), _versions_key(versions, name, moments))
        for sector, versions in sorted(contract.versions.items())
    )
    return sectors, tuple(order[moment] for moment in others)


def _versions_key(
    versions: tuple[Version, ...], name: Name, others: list[int]
) -> tuple[Hashable, ...]:
    """Each moment by its place among those of this sector and the others."""
    kept = {moment for one in versions for moment in (one.began, one.ended) if moment is not None}
    order = {moment: number for number, moment in enumerate(sorted({*kept, *others}))}
    return tuple(
        (
            name(one.values),
            order[one.began],
            -1 if one.ended is None else order[one.ended],
            one.succeeded,
            one.discards,
            one.settled,
        )
        for one in versions
    )


def plain(world: World) -> World:
    """The same world without what makes no difference."""
    alive = alive_in(world)
    moments = [client.request.began for client in world.clients]
    if world.control is not None:
        moments.append(world.control.message.began)
    before = world.contract
    versions = {
        sector: _without_names(held, alive, moments) for sector, held in before.versions.items()
    }
    kept = alive.union(
        *(one.values for held in versions.values() for one in held if one.ended is None)
    )
    ever = {sector: held & kept for sector, held in before.ever.items()}
    if superfluous := frozenset(_superfluous(world, versions, ever)):
        world = world._replace(
            cache=_without(world.cache, superfluous), origin=_without(world.origin, superfluous)
        )
        versions = {
            sector: tuple(one._replace(values=one.values - superfluous) for one in held)
            for sector, held in versions.items()
        }
        ever = {sector: held - superfluous for sector, held in ever.items()}
    if versions == before.versions and ever == before.ever:
        return world
    return world._replace(contract=before.holding(versions, ever))


def alive_in(world: World) -> set[Any]:
    """Values that some disk holds, or has been given."""
    found: set[Any] = set()
    for disk in (world.cache, world.origin):
        found.update(one for one in disk.durable if isinstance(one, int))
        for pending in disk.pending:
            found.update(one for one in pending if isinstance(one, int))
    for piece in world.pieces:
        found.update(value for _, value in piece.writes if isinstance(value, int))
    # What is written by requests whose pieces are still to come.
    for client in world.clients:
        if client.rest:
            found.update(value for one in client.readable for value in one)
    return found


def _without_names(
    versions: tuple[Version, ...], alive: set[Any], moments: list[int]
) -> tuple[Version, ...]:
    """The versions of one sector, those that stand and fall together as one."""
    firm = [one for one in versions if one.succeeded and one.ended is not None]
    if not firm:
        return versions
    latest = max(firm, key=lambda one: one.began)
    older: list[Version] = []
    rest: list[Version] = []
    for one in versions:
        ended = one.ended
        together = (
            one is not latest
            and ended is not None
            and one.succeeded
            and ended <= latest.began
            and not any(ended < moment <= (latest.ended or 0) for moment in moments)
        )
        if together:
            older.append(one)
        elif ended is None or one.succeeded or one.values & alive:
            # That a discard was one matters while it is under way; so do values on their way.
            over = one._replace(values=one.values & alive, discards=False)
            rest.append(one if ended is None else over)
    values = frozenset().union(*(one.values for one in older)) & alive
    if not values:
        return tuple(rest)
    ends = [one.ended or 0 for one in older]
    return Version(values, min(one.began for one in older), max(ends), succeeded=True), *rest


def _superfluous(
    world: World, versions: Mapping[int, tuple[Version, ...]], ever: Mapping[int, frozenset[Value]]
) -> Iterator[Value]:
    """All but one of values that nothing tells apart."""
    flying = {value for piece in world.pieces for _, value in piece.writes}
    places: defaultdict[Value, set[tuple[int, int, bool]]] = defaultdict(set)
    for number, disk in enumerate((world.cache, world.origin)):
        for place, (durable, pending) in enumerate(zip(*disk, strict=True)):
            for latest in (durable, *pending[-1:]):
                places[latest].add((number, place, True))
            for earlier in pending[:-1]:
                places[earlier].add((number, place, False))
    kept: set[Hashable] = set()
    for value, at in places.items():
        one_place = next(iter(at)) if len(at) == 1 else None
        if not isinstance(value, int) or value in (ZERO, *flying) or not one_place or one_place[2]:
            continue
        role = one_place, tuple(_roles(value, world, versions, ever))
        if role in kept:
            yield value
        kept.add(role)


def _roles(
    value: Value,
    world: World,
    versions: Mapping[int, tuple[Version, ...]],
    ever: Mapping[int, frozenset[Value]],
) -> Iterator[Hashable]:
    """Where a value is allowed."""
    for sector, held in versions.items():
        yield sector, value in ever[sector], tuple(value in one.values for one in held)
    for client in world.clients:
        yield tuple(value in one for one in client.readable)
    if world.control is not None:
        yield tuple(sorted(sector for sector, one in world.control.message.allowed.items()
                           if value in one))  # fmt: skip


def _without(disk: Disk, values: frozenset[Value]) -> Disk:
    return disk._replace(
        pending=tuple(
            tuple(one for one in pending if one not in values) for pending in disk.pending
        )
    )

"""Keys of worlds: equal where two worlds will do the same, up to names.

What does not matter is left out, or named by its place in an order:
  * values: those that no disk holds any more are all alike, and can never be read again;
  * sequence counts: only how entries of one sector compare, and each with superblocks, matters;
  * places in the LRU, moments: only their order matters;
  * how much was begun, which only bounds a search;
  * the original sector of a free entry, counters of the status line, ages (time is left out), and
    the autocommit counter: it only asks for what the timer may ask for as well.

A key is made of numbers alone, so that its hash is the same in every process.
"""

from collections.abc import Hashable, Iterable
from typing import Any, Final

from writecache_models.alike import Counts, alive_in, contract_key
from writecache_models.symbolic import Disk, Symbol
from writecache_models.world import World
from writecache_spec.effects import Timer, Work
from writecache_spec.events import BioPrivate, Device, Op
from writecache_spec.layout import MemoryEntry
from writecache_spec.state import Phase, State, Waiter

_NUMBERS: Final[dict[Any, int]] = {
    member: number
    for kind in (Timer, Work, BioPrivate, Device, Op, Phase, Waiter)
    for number, member in enumerate(kind)
}
_NAMES: Final = {
    name: number
    for number, name in enumerate(
        ("read", "write", "write_fua", "flush", "discard", "message", "suspend", "cleaner",
         "flush_on_suspend", "clear_stats")
    )
}  # fmt: skip


def key(world: World) -> tuple[Hashable, ...]:
    """The key of a world."""
    return _Key(world).whole()


def digest(world: World) -> int:
    """A number of 61 bits that is the same for worlds with equal keys, and hardly ever else."""
    return hash(key(world))


class _Key:
    def __init__(self, world: World) -> None:
        self.world = world
        self.alive = alive_in(world)
        self.values: dict[int, int] = {}
        self.counts = _counts(world)
        self.tags = {client.tag: i for i, client in enumerate(world.clients)}
        self.tags[-1] = -1

    def whole(self) -> tuple[Hashable, ...]:
        world = self.world
        moments = [client.request.began for client in world.clients]
        if world.control is not None:
            moments.append(world.control.message.began)
        contract = contract_key(world.contract, self._named, moments)
        return (
            contract,
            self._control(),
            self._disk(world.cache),
            self._disk(world.origin),
            () if world.wc is None else self._state(world.wc),
            self._loaded(),
            tuple(_NUMBERS[work] for work in world.queue),
            tuple(sorted(_NUMBERS[timer] for timer in world.timers)),
            tuple(copy[1:] + copy.job for copy in world.copies),
            tuple(
                (*self._bio(one.bio), _NUMBERS[one.device], one.sector, one.n_sectors,
                 _NUMBERS[one.private], tuple((p, self._value(v)) for p, v in one.writes))
                for one in world.pieces
            ),
            tuple(self._client(client) for client in world.clients),
            world.n_failed, world.n_crashes,
        )  # fmt: skip

    def _loaded(self) -> Hashable:
        """A table that was loaded: all are the same but for the superblock that was found."""
        if self.world.loaded is None:
            return ()
        superblock = self.world.loaded.superblock
        return superblock.magic, superblock.version, self.counts.commits[superblock.seq_count]

    def _value(self, value: Any) -> int:
        return 0 if value == 0 else self.values.setdefault(value, len(self.values) + 1)

    def _named(self, values: Iterable[Any]) -> tuple[int, ...]:
        """A set of values: those that can still be read."""
        return tuple([self._value(value) for value in sorted(self.alive.intersection(values))])

    def _symbol(self, symbol: Symbol) -> Hashable:
        if isinstance(symbol, int):
            return self._value(symbol)
        superblock, entries = symbol
        return (
            tuple(
                (one.magic, one.version, self.counts.commits[one.seq_count]) for one in superblock
            ),
            tuple(self.counts.entry(entry) for entry in entries),
        )

    def _disk(self, disk: Disk) -> Hashable:
        return (
            tuple(self._symbol(one) for one in disk.durable),
            tuple(tuple(self._symbol(one) for one in pending) for pending in disk.pending),
        )

    def _bio(self, bio: Any) -> tuple[int, ...]:
        return (
            _NUMBERS[bio.op], bio.sector, bio.n_sectors, bio.fua, bio.flush_number,
            self.tags[bio.tag],
        )  # fmt: skip

    def _client(self, client: Any) -> Hashable:
        return (
            _NAMES[client.op[0]],
            *client.op[1:],
            tuple(self._bio(bio) for bio in client.rest),
            client.n_flying,
            client.errno is not None,
            tuple(self._named(one) for one in client.readable),
        )

    def _control(self) -> Hashable:
        control = self.world.control
        if control is None:
            return ()
        allowed = control.message.allowed
        named = tuple((sector, self._named(allowed[sector])) for sector in sorted(allowed))
        return tuple(_NAMES[word] for word in control.op), control.works, named

    def _state(self, wc: State) -> Hashable:
        entries = tuple(
            (
                *self.counts.entry(MemoryEntry(one.original_sector, one.seq_count)),
                one.write_in_progress,
            )
            for one in wc.entries
        )
        writeback: tuple[Any, ...] = ()
        if wc.writeback is not None:
            writeback = (_NUMBERS[wc.writeback.phase], wc.writeback.jobs)
        sleeping = sorted(
            (0, _NUMBERS[one]) if isinstance(one, Waiter) else (1, self.tags[one])
            for one in wc.sleeping
        )
        return (
            entries, self.counts.commits[wc.seq_count], wc.superblock.magic, wc.superblock.version,
            tuple(wc.tree.items()), tuple(index for _, index in wc.lru.items()),
            tuple(index for _, index in wc.freelist.items()),
            -1 if wc.current_free is None else wc.current_free,
            wc.writeback_size, wc.freelist_high_watermark, wc.freelist_low_watermark,
            wc.dirty_regions, wc.overwrote_committed, wc.error, wc.reads_in_progress,
            wc.writes_in_progress, tuple(self._bio(bio) for bio in wc.flush_list),
            wc.writeback_all, wc.flush_on_suspend, wc.suspend_writes_all, wc.cleaner,
            wc.suspended, wc.poisoned, wc.data_device_sectors, writeback, wc.endio_list,
            wc.endio_taken, tuple(sleeping), wc.origin_writes_in_flight,
            tuple(sorted(wc.unwritten)),
        )  # fmt: skip


def _counts(world: World) -> Counts:
    """The sequence counts of a world."""
    pending = (one for sector in world.cache.pending for one in sector)
    commits: list[int] = []
    entries: list[tuple[int, int]] = []
    if world.wc is not None:
        commits.append(world.wc.seq_count)
        entries += [(one.original_sector, one.seq_count) for one in world.wc.entries]
    if world.loaded is not None:
        commits.append(world.loaded.superblock.seq_count)
    return Counts.of((*world.cache.durable, *pending), commits, entries)

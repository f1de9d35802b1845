"""The moments of a kernel's log at which the power may fail, and what each may leave.

The log is one, of both devices, and says of each flush whose it is: so it says what is durable
where at each moment, and in which order.  At each of its entries the power fails: a device keeps
what was flushed or written with FUA, and of the rest any sectors.  A write with FUA may be torn
until it is in the log.  What was complete but not in the log yet counts with the flush that logs
it: until then nothing of it was promised.

Of persistent memory the log has each store and each fence: a crash keeps any words of 8 bytes that
were stored since the last fence, each as any of its stores left it.  What it leaves before a fence
it may leave after any store that came before, so the moment before the fence stands for them all.
"""

from collections import deque
from collections.abc import Hashable, Iterable, Iterator
from itertools import islice
from random import Random
from typing import NamedTuple

from writecache_models.contract import Contract, Request
from writecache_models.crashing import begin
from writecache_models.log_lines import FLUSH, FUA, Fenced, Stored
from writecache_models.trace import BEGIN, Op
from writecache_models.volatile import Sectors, Volatile, crashes
from writecache_spec.events import Device
from writecache_spec.units import SECTOR_SIZE


class Written(NamedTuple):
    """An entry of a disk's log."""

    device: Device
    flags: int
    sector: int = 0
    content: bytes = b""
    """What the sectors hold then: of a discard zeros, of a flush nothing."""


class Returned(NamedTuple):
    """The first operation that was begun and had not returned has returned."""


Logged = Written | Stored | Fenced | Returned


class Happened(NamedTuple):
    """An operation of the kernel, and what was logged meanwhile."""

    op: Op
    failed: bool
    log: tuple[Logged, ...]


class Image(NamedTuple):
    """What a crash left of both devices; zeros behind it may be missing."""

    cache: bytes
    origin: bytes


class Moment(NamedTuple):
    """Between two entries of the log."""

    step: int
    disks: tuple[Volatile, Volatile]
    contract: Contract
    memory: bytes | None = None
    """What persistent memory is sure to hold; then `disks` has of the cache only the words that are
    pending, by their places."""

    def images(self, limit: int, random: Random) -> Iterator[Image]:
        """Contents that may be left (`volatile.crashes`), half of them those known to matter.

        Of persistent memory come as many again that are drawn by runs of words that adjoin.
        """
        for left in crashes(self.disks, limit, random, favoured=limit // 2):
            cache, origin = (disk.durable for disk in left.disks)
            if self.memory is None:
                yield Image(image_of(cache), image_of(origin))
            else:
                yield Image(_patched(self.memory, cache), image_of(origin))
        if self.memory is not None and len(self.disks[0].pending) > limit:
            yield from islice(self._by_runs(self.memory, random), limit)

    def _by_runs(self, memory: bytes, random: Random) -> Iterator[Image]:
        """Contents in which most runs of words are whole: entries and blocks, old or new."""
        cache, origin = self.disks
        runs = list(_runs(sorted(cache.pending)))
        while True:
            words: dict[int, Hashable] = {}
            for run in runs:
                kept = random.choice((0.0, 0.0, 1.0, 1.0, 0.5))
                for place in run:
                    if random.random() < kept:
                        words[place] = random.choice(cache.pending[place][-2:])
            (left,) = crashes((origin,), 1, random) if random.random() < 0.5 else (None,)
            sectors = left.disks[0].durable if left else origin.flush().durable
            yield Image(_patched(memory, words), image_of(sectors))


class _Memory:
    """Persistent memory: what is durable, and words that are not yet."""

    def __init__(self, size: int) -> None:
        self.durable = bytes(size)
        self.pending: dict[int, tuple[bytes, ...]] = {}

    def store(self, entry: Stored) -> None:
        """Store a word."""
        self.pending[entry.place] = (*self.pending.get(entry.place, ()), entry.word)

    def fence(self) -> None:
        """Make everything durable."""
        latest = {place: words[-1] for place, words in self.pending.items()}
        self.durable, self.pending = _patched(self.durable, latest), {}

    def as_disk(self) -> Volatile:
        """The words that are pending, as a disk of which they are the sectors."""
        places = ((place, len(words[-1])) for place, words in self.pending.items())
        durable = {place: self.durable[place : place + size] for place, size in places}
        return Volatile(durable, dict(self.pending))


class _Machine:
    """Both devices and the contract, on the way through a log."""

    def __init__(self, memory_bytes: int | None) -> None:
        self.contract = Contract()
        self.disks = {Device.CACHE: Volatile({}), Device.ORIGIN: Volatile({})}
        self.memory = None if memory_bytes is None else _Memory(memory_bytes)

    def now(self, step: int) -> Moment:
        """This moment."""
        cache, origin = self.disks[Device.CACHE], self.disks[Device.ORIGIN]
        if self.memory is None:
            return Moment(step, (cache, origin), self.contract.fork())
        pair = self.memory.as_disk(), origin
        return Moment(step, pair, self.contract.fork(), self.memory.durable)

    def use_memory(self, entry: Stored | Fenced, step: int) -> Iterator[Moment]:
        """The processor stores a word, or waits for its stores."""
        assert self.memory is not None
        if isinstance(entry, Stored):
            self.memory.store(entry)
            return
        if self.memory.pending:
            yield self.now(step)
        self.memory.fence()

    def use_disk(self, entry: Written, step: int) -> Iterator[Moment]:
        """A disk has done something."""
        disk = self.disks[entry.device]
        sectors = _sectors(entry.content)
        if entry.flags & FLUSH:
            self.disks[entry.device] = disk.flush()
        elif entry.flags & FUA:
            self.disks[entry.device] = disk.write(entry.sector, sectors)
            yield self.now(step)
            self.disks[entry.device] = disk.write(entry.sector, sectors, fua=True)
        else:
            self.disks[entry.device] = disk.write(entry.sector, sectors)
        yield self.now(step)


def moments(happened: Iterable[Happened], memory_bytes: int | None = None) -> Iterator[Moment]:
    """Every moment at which the power may fail: after each entry, and after each operation.

    With `memory_bytes` the cache device is persistent memory: before each fence, too.  Where an
    operation that was begun has returned, the log says.
    """
    machine = _Machine(memory_bytes)
    begun: deque[tuple[Op, bool, Request]] = deque()
    for step, (op, failed, log) in enumerate(happened):
        is_begun = op[0] == BEGIN
        asked = op[1:] if is_begun else op
        under_way = asked, failed, begin(machine.contract, asked)
        if is_begun:
            begun.append(under_way)
        for entry in log:
            if isinstance(entry, Returned):
                _end(machine.contract, *begun.popleft())
                yield machine.now(step)
            elif isinstance(entry, Written):
                yield from machine.use_disk(entry, step)
            else:
                yield from machine.use_memory(entry, step)
        if not is_begun:
            _end(machine.contract, *under_way)
        yield machine.now(step)


def _end(contract: Contract, op: Op, failed: bool, request: Request) -> None:
    """Tell the contract that an operation has ended."""
    if op[0] == "flush":
        contract.end_flush(request, failed)
    elif op[0].startswith("write") or op[0] == "discard":
        contract.end(request, failed)
        if op[0] == "write_dsync" and not failed:
            contract.end_flush(contract.flush())


def promises(entry: Logged) -> bool:
    """Whether something is durable by it."""
    if isinstance(entry, Written):
        return bool(entry.flags & FLUSH)
    return isinstance(entry, Fenced)


def image_of(durable: Sectors) -> bytes:
    """The bytes of a device up to its last sector that was written."""
    end = max(durable, default=-1) + 1
    zeros = bytes(SECTOR_SIZE)
    sectors = (durable.get(sector) for sector in range(end))
    return b"".join(one if isinstance(one, bytes) else zeros for one in sectors)


def _patched(content: bytes, words: Sectors) -> bytes:
    """A content with some words replaced, by their places."""
    changed = bytearray(content)
    for place, word in words.items():
        assert isinstance(word, bytes)
        changed[place : place + len(word)] = word
    return bytes(changed)


def _runs(places: Iterable[int]) -> Iterator[list[int]]:
    """Part places of words, in their order, into those that adjoin."""
    run: list[int] = []
    for place in places:
        if run and place != run[-1] + 8:
            yield run
            run = []
        run.append(place)
    if run:
        yield run


def _sectors(content: bytes) -> list[Hashable]:
    """Contents sector by sector; None is a sector of zeros."""
    size, zeros = SECTOR_SIZE, bytes(SECTOR_SIZE)
    sectors = (content[at : at + size] for at in range(0, len(content), size))
    return [None if one == zeros else one for one in sectors]

"""Crashes of a machine, at every boundary between its effects, judged by the contract.

`run` plays operations one by one on disks with volatile caches and keeps, at each effect, what the
disks hold and what the contract says.  `judge` lets the power fail there: every content that may be
left (`volatile`) is activated and read to its end, and recovery, too, fails at each of its effects.
States that are equal, contract and all, are judged once.
"""

from collections.abc import Hashable, Iterator, Sequence
from random import Random
from typing import Final, NamedTuple

from writecache_models.actions import HangError, Outcome, PanicError
from writecache_models.alike import contract_key
from writecache_models.content import Content, blank
from writecache_models.contract import ZERO, Contract, FlushMessage, Request, Value
from writecache_models.devices import Devices, pattern
from writecache_models.machine import Machine
from writecache_models.observations import perform
from writecache_models.trace import BEGIN, Op
from writecache_models.volatile import ZEROS, Volatile, crashes
from writecache_spec.effects import WriteMetadata
from writecache_spec.events import Device
from writecache_spec.profile import Profile
from writecache_spec.units import SECTOR_SIZE, Sector, bytes_of

_ZEROS: Final = bytes(SECTOR_SIZE)
MISTOLD: Final = "an activation that fails is reported as success"
_DISKS: Final = (Device.CACHE, Device.ORIGIN)


class Moment(NamedTuple):
    """Between two effects."""

    disks: tuple[Volatile, ...]
    contract: Contract


class Violation(NamedTuple):
    """How a machine breaks the contract."""

    what: str
    moment: int
    """After how many effects the power failed, or how many there had been; from 0."""
    lost: tuple[int, ...] = ()
    """The number of the state that each crash left, the first crash first."""
    sector: int | None = None


class Journal(Devices):
    """Devices that keep what is durable and what is not, and every moment of it."""

    __slots__ = ("contract", "disks", "moments")

    def __init__(self, disks: tuple[Volatile, ...], sizes: tuple[int, int], at: Contract) -> None:
        super().__init__(*(content_of(one, size) for one, size in zip(disks, sizes, strict=True)))
        self.disks = disks
        self.contract = at
        self.moments = [Moment(disks, at.fork())]

    def write(self, device: Device, sector: int, content: bytes, fua: bool = False) -> None:
        """Write whole sectors; raises OutOfRangeError."""
        super().write(device, sector, content)
        self._note(device, sector, content, fua)

    def flush(self, device: Device) -> None:
        """Make durable what was written."""
        self._become(device, self.disks[_DISKS.index(device)].flush())

    def write_metadata(self, start_sector: Sector, effect: WriteMetadata) -> None:
        """Write a part of the metadata area."""
        super().write_metadata(start_sector, effect)
        first = start_sector + effect.first_sector
        # As it is there, whether sectors fail or not.
        content = self.cache.read(bytes_of(first), bytes_of(effect.n_sectors))
        self._note(Device.CACHE, first, content, effect.fua)

    def _note(self, device: Device, sector: int, content: bytes, fua: bool) -> None:
        disk = self.disks[_DISKS.index(device)]
        self._become(device, disk.write(sector, sectors_in(content), fua))

    def _become(self, device: Device, disk: Volatile) -> None:
        cache, origin = self.disks
        self.disks = (disk, origin) if device is Device.CACHE else (cache, disk)
        self.moments.append(Moment(self.disks, self.contract.fork()))


class Setting(NamedTuple):
    """What stays the same whatever is done."""

    profile: Profile
    table: str
    cache_sectors: int
    origin_sectors: int
    """Whole cache blocks."""

    def machine(self, disks: tuple[Volatile, ...], contract: Contract) -> tuple[Machine, Journal]:
        """A machine on disks, before its first table."""
        sizes = self.cache_sectors * SECTOR_SIZE, self.origin_sectors * SECTOR_SIZE
        journal = Journal(disks, sizes, contract)
        return Machine(self.profile, journal), journal


class Run(NamedTuple):
    """What became of operations."""

    moments: list[Moment]
    """At first, and after each effect."""
    violations: list[Violation]
    """Without any crash; the first one ends the run."""
    ends: list[int]
    """The number of the moment at which each operation had ended."""


def run(setting: Setting, ops: Sequence[Op], cache_image: bytes = b"") -> Run:
    """Play operations, the first of which opens the device, one after the other.

    What the cache device holds at first is in `cache_image`, and zeros behind it.
    """
    contract = Contract()
    whole = cache_image.ljust(-(-len(cache_image) // SECTOR_SIZE) * SECTOR_SIZE, b"\0")
    cache = Volatile(dict(enumerate(sectors_in(whole))))
    machine, journal = setting.machine((cache, Volatile({})), contract)
    ends: list[int] = []
    for op in ops:
        found = _play(setting, machine, contract, op, len(journal.moments) - 1)
        # The end of an operation is a moment, too: what it promised holds from there on.
        ends.append(len(journal.moments))
        journal.moments.append(Moment(journal.disks, contract.fork()))
        if found:
            return Run(journal.moments, found, ends)
    return Run(journal.moments, [], ends)


def judge(
    setting: Setting, moments: Sequence[Moment], *, limit: int, random: Random, depth: int = 1
) -> "Judgement":
    """Let the power fail at every moment, and in recovery, `depth` times in all."""
    judgement = Judgement(setting, limit, random)
    for number, moment in enumerate(moments):
        judgement.fail_at(moment, number, (), depth)
    return judgement


class Judgement:
    """Crashes judged so far."""

    def __init__(self, setting: Setting, limit: int, random: Random) -> None:
        self.setting, self.limit, self.random = setting, limit, random
        self.n_states = 0
        """Contents that crashes left, one by one."""
        self.violations: list[Violation] = []
        self._seen: dict[Hashable, int] = {}
        # The depth to which each state has been judged.

    @property
    def n_distinct(self) -> int:
        """Distinct pairs of contents and contract among them."""
        return len(self._seen)

    def fail_at(self, moment: Moment, number: int, lost: tuple[int, ...], depth: int) -> None:
        """Judge what may be left of one moment."""
        contract = moment.contract.fork()
        contract.crash()
        key = contract_key(contract)
        for left in crashes(moment.disks, self.limit, self.random):
            self.n_states += 1
            state = (*(frozenset(disk.durable.items()) for disk in left.disks), key)
            if self._seen.get(state, 0) >= depth:
                continue
            self._seen[state] = depth
            recovery, found = self._recover(left.disks, contract, number, (*lost, left.number))
            self.violations += found
            if depth > 1 and not found:
                for again in recovery[1:]:
                    self.fail_at(again, number, (*lost, left.number), depth - 1)

    def _recover(
        self, disks: tuple[Volatile, ...], contract: Contract, number: int, lost: tuple[int, ...]
    ) -> tuple[list[Moment], list[Violation]]:
        """Activate what was left, and read it to its end."""
        machine, journal = self.setting.machine(disks, contract.fork())
        try:
            outcome = machine.open(self.setting.table)
            if outcome.errno:
                return [], [Violation(f"activation fails: {outcome.errno}", number, lost)]
            if machine.wc is not None and machine.wc.error:
                return [], [Violation("activation ends with an error", number, lost)]
            moments = list(journal.moments)
            wrong = read_everything(self.setting, machine, journal.contract)
        except (PanicError, HangError) as death:
            return [], [Violation(f"activation ends in {name_of(death)}", number, lost)]
        return moments, [Violation(what, number, lost, sector) for what, sector in wrong]


def _play(
    setting: Setting, machine: Machine, contract: Contract, op: Op, moment: int
) -> list[Violation]:
    """Play one operation and ask the contract about its result."""
    whole, op = op, op[1:] if op[0] == BEGIN else op
    message = contract.flush_message()
    request = begin(contract, op)
    try:
        outcome = perform(machine, whole, setting.table)
    except (PanicError, HangError) as death:
        return [Violation(f"{op[0]} ends in {name_of(death)}", moment)]
    wrong = end(setting, machine, contract, op, (request, message), outcome)
    return [Violation(what, moment, (), sector) for what, sector in wrong]


def end(
    setting: Setting,
    machine: Machine,
    contract: Contract,
    op: Op,
    begun: tuple[Request, FlushMessage],
    outcome: Outcome,
) -> list[tuple[str, int | None]]:
    """Tell the contract that an operation has ended; what it has to say against it, and where."""
    request, message = begun
    failed = outcome.errno is not None
    if outcome.returned:
        return [(MISTOLD, None)]
    if outcome.errno == "EIO" and not machine.devices.faults:
        # No disk fails here: nothing may.
        return [(_refused(op[0], outcome.errno), None)]
    match op[0]:
        case "read" if outcome.data is not None:
            values = map(value_of, sectors_in(outcome.data))
            return [(_wrong(value), sector) for sector, value in contract.read(op[1], values)]
        case "flush":
            contract.end_flush(request, failed)
        case "message" if op[1:] == ["flush"] and not failed:
            return list(_kept_from_origin(setting, machine, contract, message))
        case "discard":
            contract.end(request, failed)
        case "write" | "write_fua" | "write_dsync":
            contract.end(request, failed)
            if op[0] == "write_dsync" and not failed:
                # A write, then a flush.
                contract.end_flush(contract.flush())
    return []


def begin(contract: Contract, op: Op) -> Request:
    """Tell the contract that an operation begins."""
    name, *arguments = op
    if name.startswith("write"):
        sector, n_sectors, tag = arguments
        values = map(value_of, sectors_in(pattern(sector, n_sectors, tag)))
        return contract.write(sector, values, fua=name == "write_fua")
    if name == "discard":
        return contract.discard(*arguments)
    return contract.flush()


def _kept_from_origin(
    setting: Setting, machine: Machine, contract: Contract, message: FlushMessage
) -> Iterator[tuple[str, int | None]]:
    """What a `flush` message should have brought to the origin."""
    for sector in range(setting.origin_sectors):
        value = value_of(machine.devices.read(Device.ORIGIN, sector, 1))
        if value not in contract.in_origin(sector, message):
            yield "the flush message left the origin out of date", sector


def read_everything(
    setting: Setting, machine: Machine, contract: Contract, at_once: int | None = None
) -> list[tuple[str, int | None]]:
    """Read everything, so many sectors at once or all, and say what is wrong with it."""
    n_sectors = at_once or setting.origin_sectors
    wrong: list[tuple[str, int | None]] = []
    for first in range(0, setting.origin_sectors, n_sectors):
        outcome = machine.read(first, min(n_sectors, setting.origin_sectors - first))
        if outcome.data is None:
            return [(_refused("read", outcome.errno), None)]
        values = map(value_of, sectors_in(outcome.data))
        wrong += ((_wrong(value), sector) for sector, value in contract.read(first, values))
    return wrong


def _refused(name: str, errno: str | None) -> str:
    return f"{name} fails though no disk does: {errno}"


def _wrong(value: Value) -> str:
    return "zeros are read" if value == ZERO else "what is read is not the last that was written"


def name_of(death: PanicError | HangError) -> str:
    """How it ended, in words."""
    return f"a panic: {death.reason.name}" if isinstance(death, PanicError) else "a hang"


def value_of(content: bytes) -> Value:
    """A sector's content, as the contract names it."""
    return ZERO if content == _ZEROS else content


def sectors_in(content: bytes) -> list[bytes]:
    """Whole sectors, one by one."""
    return [content[at : at + SECTOR_SIZE] for at in range(0, len(content), SECTOR_SIZE)]


def content_of(disk: Volatile, size: int) -> Content:
    """What a device of `size` bytes holds now."""
    content = blank(size)
    run: list[bytes] = []
    begin = 0
    for sector in sorted({*disk.durable, *disk.pending}):
        held = disk.read(sector)
        if held is ZEROS or sector >= size // SECTOR_SIZE:
            continue
        assert isinstance(held, bytes)
        if sector != begin + len(run):
            content = content.write(bytes_of(begin), b"".join(run))
            run, begin = [], sector
        run.append(held)
    return content.write(bytes_of(begin), b"".join(run))

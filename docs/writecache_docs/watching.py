"""A machine that is watched: each event, each effect, and what the disks hold after it."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from writecache_models.contract import Contract
from writecache_models.crashing import Journal
from writecache_models.machine import Machine
from writecache_models.observations import perform
from writecache_models.trace import Op
from writecache_models.volatile import Volatile
from writecache_spec.effects import Effect, FlushDevice, WriteMetadata
from writecache_spec.events import Device, Event
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.state import State
from writecache_spec.step import Step
from writecache_spec.units import SECTOR_SIZE, Sector


class Data(NamedTuple):
    """A device writes data, of a request or of a copy."""

    device: Device
    sector: int
    n_sectors: int


class Seen(NamedTuple):
    """One effect, and what there is behind it."""

    event: str
    """Empty for what the constructor does, and for what a device does."""
    effect: Effect | Data
    disks: tuple[Volatile, ...]
    """Cache and origin."""


class _Noting(Journal):
    """Devices that say of each write and flush that it has happened."""

    __slots__ = ("note",)

    note: Callable[[Effect | Data], None]

    def write(self, device: Device, sector: int, content: bytes, fua: bool = False) -> None:
        super().write(device, sector, content, fua)
        self.note(Data(device, sector, len(content) // SECTOR_SIZE))

    def write_metadata(self, start_sector: Sector, effect: WriteMetadata) -> None:
        super().write_metadata(start_sector, effect)
        self.note(effect)

    def flush(self, device: Device) -> None:
        super().flush(device)
        self.note(FlushDevice(device))


class Watched(Machine):
    """A machine that notes what it does."""

    def __init__(self, profile: Profile, journal: _Noting) -> None:
        super().__init__(profile, journal)
        self.journal = journal
        journal.note = self._note
        self.seen: list[Seen] = []
        self._event = ""

    def _note(self, effect: Effect | Data) -> None:
        self.seen.append(Seen(self._event, effect, self.journal.disks))

    def _outcome(self, event: Event) -> Step:
        self._event = type(event).__name__
        return super()._outcome(event)

    def _take(self, wc: State, effects: tuple[Effect, ...]) -> None:
        self.wc = wc
        for effect in effects:
            super()._take(wc, (effect,))
            if not isinstance(effect, WriteMetadata | FlushDevice):  # the devices note these
                self._note(effect)
        self._event = ""


class Setting(NamedTuple):
    """Sizes, table and kernel."""

    table: str
    cache_sectors: int
    origin_sectors: int
    profile: Profile = PROFILES["1.6.0"]

    def machine(self, disks: tuple[Volatile, ...]) -> Watched:
        """A machine on disks, before its first table."""
        sizes = self.cache_sectors * SECTOR_SIZE, self.origin_sectors * SECTOR_SIZE
        return Watched(self.profile, _Noting(disks, sizes, Contract()))


_ZEROS: Final[tuple[Volatile, ...]] = (Volatile({}), Volatile({}))


def play(setting: Setting, ops: Sequence[Op], disks: tuple[Volatile, ...] = _ZEROS) -> Watched:
    """Play operations, one after the other; the last one's effects are kept.

    Raises AssertionError where one of them but the last fails.
    """
    machine = setting.machine(disks)
    for op in ops[:-1]:
        outcome = perform(machine, op, setting.table)
        assert outcome.errno is None, f"{op}: {outcome.errno}"
    machine.seen.clear()
    perform(machine, ops[-1], setting.table)
    return machine

"""Faults: sectors of a device whose I/O fails, as device-mapper's own targets make it fail.

A device has at most one fault, a run of sectors under a target that fails.  Device-mapper splits
what crosses the run's ends: a read fails whole, a write still writes the sectors outside of it.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from writecache_spec.events import Device


class FaultKind(Enum):
    """Which target lies under the sectors; the value is its name."""

    ERROR = "error"
    """Reads and writes fail; a flush is not sent there, and succeeds."""
    FLAKEY = "flakey"
    """With `error_writes`: writes fail, and every flush of the device; reads succeed."""
    POISON = "poison"
    """No target but persistent memory itself: what the processor loads from there fails, stores
    and what a disk reads by itself do not."""


OF_DISKS: Final = (FaultKind.ERROR, FaultKind.FLAKEY)
"""The kinds that a target makes."""


class Fault(NamedTuple):
    """A run of sectors that fails."""

    kind: FaultKind
    sectors: range

    @property
    def fails_flushes(self) -> bool:
        """Whether flushes of the device fail."""
        return self.kind is FaultKind.FLAKEY

    def hit(self, sector: int, n_sectors: int, writes: bool) -> range:
        """The sectors among these on which an I/O fails."""
        if self.kind is FaultKind.POISON or (not writes and self.kind is FaultKind.FLAKEY):
            return range(0)
        return self._among(sector, n_sectors)

    def spoils(self, sector: int, n_sectors: int) -> bool:
        """Whether the processor cannot load these sectors whole."""
        return self.kind is FaultKind.POISON and bool(self._among(sector, n_sectors))

    def _among(self, sector: int, n_sectors: int) -> range:
        return range(max(sector, self.sectors.start), min(sector + n_sectors, self.sectors.stop))


Faults = Mapping[Device, Fault]
"""By device; one that is not there works."""


def fault_of(kind: str, sector: int, n_sectors: int) -> Fault:
    """A fault as an operation `fail` names it; raises ValueError for an unknown kind."""
    return Fault(FaultKind(kind), range(sector, sector + n_sectors))

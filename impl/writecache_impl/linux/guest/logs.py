"""Logs of what is written to the two disks, by dm-log-writes.

Kernel facts: a log begins with its table, and ends when the table goes: then what no flush has
logged yet is logged, and a mark. With one log the target's disks are two regions of one device,
which has the log; the origin comes first. A flush of either then flushes both, and is logged with
the first sector of its region: if dm-flakey, always up, makes the region. dm-linear lets flushes
bypass it since Linux 6.11, and then they have no place.
"""

from collections.abc import Mapping

from .devicemapper import DeviceMapper
from .disks import Disk, Under

NONE, EACH, ONE = "none", "each", "one"
"""How a trace is logged: not at all, with a log for each disk, with one log for both."""


class Logs:
    """What lies between the target's disks and the machine's own ("major:minor", by their use)."""

    def __init__(
        self, mapper: DeviceMapper, cache: Disk, origin: Disk, numbers: Mapping[str, str]
    ) -> None:
        self.mapper, self.cache, self.origin, self.numbers = mapper, cache, origin, numbers
        self.below: Disk | None = None
        self.pair = ""
        self.kind = NONE

    def begin(
        self, kind: str, cache_sectors: int, origin_sectors: int, delays: tuple[int, int]
    ) -> None:
        """Give the target's disks these sizes, and let logs begin."""
        numbers = self.numbers
        if kind == ONE:
            self._join(cache_sectors, origin_sectors)
            assert self.below is not None
            self.cache.lie_on(Under(self.below.dev, origin_sectors))
            self.origin.lie_on(Under(self.below.dev))
        else:
            logged = kind == EACH
            for use, disk in (("cache", self.cache), ("origin", self.origin)):
                log = numbers[f"{use}-log"] if logged else None
                disk.lie_on(Under(numbers[use], 0, log))
        self.cache.become(cache_sectors, (delays[0], 0))
        self.origin.become(origin_sectors, (0, delays[1]))
        self.kind = kind

    def _join(self, cache_sectors: int, origin_sectors: int) -> None:
        """Make one device of both disks, with a log."""
        if self.below is None:
            self.pair = self.mapper.create(b"pair")[1]
            self.below = Disk(self.mapper, b"logged-pair", Under(self.pair))
        for disk in (self.cache, self.origin):  # who lies on it must not see it shrink
            use = "cache" if disk is self.cache else "origin"
            disk.lie_on(Under(self.numbers[use]))
            disk.become(1)
        parts = (("origin", origin_sectors), ("cache", cache_sectors))
        targets = [(size, b"linear", f"{self.numbers[use]} 0") for use, size in parts]
        self.mapper.load_all(b"pair", targets)
        self.mapper.suspend(b"pair")
        self.mapper.resume(b"pair")
        self.below.lie_on(Under(self.pair, 0, self.numbers["cache-log"]))
        self.below.become(cache_sectors + origin_sectors)

    def mark(self, text: str) -> None:
        """Note in the one log that something has happened; where there is none, nowhere."""
        if self.kind == ONE and self.below is not None:
            self.mapper.message(self.below.name, f"mark {text}")

    def end(self) -> None:
        """Let the logs end; the disks stay what they are."""
        logged = [self.cache, self.origin] if self.kind == EACH else []
        if self.kind == ONE and self.below is not None:
            logged = [self.below]
        for disk in logged:
            size = disk.sectors
            disk.lie_on(disk.under._replace(log=None))
            disk.become(size)
        self.kind = NONE

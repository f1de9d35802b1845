"""The engine as a target: on devices in memory whose power can fail, its background stepped.

It claims level 3, by the repaired reference.  `writecache conform --target mmap` judges it with
more means than a target offers (`mmap_target`); this one is for whoever judges targets alike.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

from writecache_impl.engine import Engine, EngineError
from writecache_impl.engine import RefusedError as ConstructorError
from writecache_impl.engine.background import Stepper
from writecache_impl.mmap_target.player import FIRST_MOMENT, PROFILE, LoggedDevice
from writecache_models.conformance.target import (
    Ability,
    Devices,
    Facts,
    Level,
    PowerFailedError,
    RefusedError,
    Target,
)
from writecache_models.digests import Range, named_start_sectors, undefined_ranges
from writecache_models.logged import line_of
from writecache_models.requests import LARGEST_DISCARD
from writecache_spec.units import SECTOR_SIZE, Sector, jiffies_of

_NO_RANGES: Final = frozenset[Range]()


class Power:
    """Of both devices: it fails at an I/O, or it does not."""

    def __init__(self) -> None:
        self.left = 0
        """I/Os until it fails; 0: it does not."""

    def count(self) -> None:
        """An I/O; raises PowerFailedError at the last one."""
        if self.left:
            self.left -= 1
            if not self.left:
                raise PowerFailedError


class FailingPowerDevice(LoggedDevice):
    """A device with a volatile write cache."""

    def __init__(self, content: bytes, power: Power) -> None:
        super().__init__(len(content), content)
        self._power = power
        self._durable: dict[int, bytes] = {}
        """What the medium holds of sectors that are pending."""

    def write(self, offset: int, data: bytes | memoryview, fua: bool = False) -> None:
        """Write; what is pending when the power fails may be kept."""
        sectors = range(offset // SECTOR_SIZE, (offset + len(data)) // SECTOR_SIZE)
        for sector in sectors:
            self._durable.setdefault(sector, self._sector(sector))
        super().write(offset, data, fua)
        self._power.count()
        if fua:
            for sector in sectors:
                del self._durable[sector]

    def flush(self) -> None:
        """Make everything durable."""
        self._power.count()
        super().flush()
        self._durable.clear()

    def lose(self, random: Random) -> bytes:
        """What the medium holds when the power has failed: any of what was pending."""
        content = bytearray(self.content)
        for sector, held in sorted(self._durable.items()):
            if random.random() < 0.5:
                content[sector * SECTOR_SIZE : (sector + 1) * SECTOR_SIZE] = held
        return bytes(content)

    def _sector(self, sector: int) -> bytes:
        return bytes(self.content[sector * SECTOR_SIZE : (sector + 1) * SECTOR_SIZE])


def engine_target(_name: str, _operation_seconds: float) -> Target:
    """The target `mmap`."""
    return EngineTarget()


class EngineTarget(Target):
    """An engine, made anew with each pair of devices."""

    facts = Facts(
        "mmap", Level.EXACT, frozenset(Ability) - {Ability.TOGETHER}, "1.6.0", repaired=True
    )

    def __init__(self) -> None:
        self._random = Random(0)
        self.start(Devices(b"", b""))

    def start(self, devices: Devices) -> None:
        """Take new devices."""
        self._power = Power()
        self._starts = frozenset({Sector(0)})
        self._undefined: frozenset[Range] = frozenset()
        self._take(devices)

    def _take(self, devices: Devices) -> None:
        self._devices = tuple(FailingPowerDevice(content, self._power) for content in devices)
        self._stepper = Stepper(FIRST_MOMENT)
        cache, origin = self._devices
        self._engine = Engine(
            {"CACHE": cache, "ORIGIN": origin},
            background=self._stepper,
            profile=PROFILE,
            strict=False,
        )

    @contextmanager
    def _asked(self) -> Iterator[Engine]:
        """The engine does something, and then all that is left to do; what fails is told."""
        try:
            try:
                yield self._engine
            finally:
                self._stepper.settle()
        except PowerFailedError:
            self._fail()
            raise
        except EngineError as error:
            name = errno.errorcode[error.errno or errno.EIO].replace("EOPNOTSUPP", "ENOTSUP")
            said = error.message if isinstance(error, ConstructorError) else ""
            raise RefusedError(name, said) from None

    def open(self, table: str) -> None:
        """Construct and resume."""
        self._starts |= named_start_sectors(table)
        with self._asked() as engine:
            engine.reload(table)

    def read(self, sector: int, n_sectors: int) -> bytes:
        """Read."""
        with self._asked() as engine:
            return engine.read(sector * SECTOR_SIZE, n_sectors * SECTOR_SIZE)

    def write(self, sector: int, data: bytes, fua: bool = False) -> None:
        """Write."""
        with self._asked() as engine:
            engine.write(sector * SECTOR_SIZE, data, fua=fua)

    def flush(self) -> None:
        """Flush."""
        with self._asked() as engine:
            engine.flush()

    def discard(self, sector: int, n_sectors: int) -> None:
        """Discard as much at a time as Linux's disks take."""
        end = sector + n_sectors
        longest = n_sectors if end * SECTOR_SIZE > self._devices[1].size else LARGEST_DISCARD
        with self._asked() as engine:
            for first in range(sector, end, longest):
                count = min(longest, end - first)
                engine.discard(first * SECTOR_SIZE, count * SECTOR_SIZE)

    def zeroes(self, sector: int, n_sectors: int) -> None:
        """Write zeros."""
        self.write(sector, bytes(n_sectors * SECTOR_SIZE))

    def message(self, *words: str) -> None:
        """Take a message."""
        with self._asked() as engine:
            engine.message(*words)

    def suspend(self) -> None:
        """Suspend."""
        with self._asked() as engine:
            engine.suspend()

    def resume(self) -> None:
        """Resume."""
        with self._asked() as engine:
            engine.resume()

    def sleep(self, milliseconds: int) -> None:
        """Let time pass."""
        with self._asked():
            self._stepper.advance(jiffies_of(milliseconds, PROFILE.environment.hz))

    def status(self) -> str:
        """The status line."""
        with self._asked() as engine:
            return engine.status()

    def table(self) -> str:
        """The table line."""
        with self._asked() as engine:
            return engine.table()

    def snapshot(self) -> Devices:
        """What the devices hold."""
        return Devices(*(bytes(device.content) for device in self._devices))

    def log(self) -> dict[str, list[list[object]]]:
        """What was written since the last call."""
        self._undefined |= undefined_ranges(bytes(self._devices[0].content), self._starts)
        told: dict[str, list[list[object]]] = {}
        for name, device, ranges in zip(
            ("cache", "origin"), self._devices, (self._undefined, _NO_RANGES), strict=True
        ):
            lines = (line_of(ranges, entry) for entry in device.log)
            told[name] = [
                [one if isinstance(one, str) else int(one) for one in line] for line in lines
            ]
            device.log.clear()
        return told

    def crash(self, seed: int, after: int = 0) -> None:
        """Let the power fail."""
        self._random, self._power.left = Random(seed), after
        if not after:
            self._fail()

    def _fail(self) -> None:
        self._power.left = 0
        left = Devices(*(device.lose(self._random) for device in self._devices))
        self._take(left)

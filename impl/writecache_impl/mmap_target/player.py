"""Playing traces on the engine, one thing after the other, and noting what a recorder would.

The engine's background is stepped: after each operation everything is done that is left to do but
timers, as on a kernel that has settled.  What is noted is then judged like a live kernel's steps.
"""

import errno
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from writecache_impl.engine import Engine, EngineError, RefusedError, UnusableDeviceError
from writecache_impl.engine.background import Stepper
from writecache_impl.engine.construct import FASTEST
from writecache_impl.engine.devices import Device
from writecache_impl.engine.entries import Entries
from writecache_impl.engine.memory import MemoryDevice
from writecache_models.devices import pattern
from writecache_models.digests import (
    Range,
    content_digest,
    masked_digest,
    named_start_sectors,
    undefined_ranges,
)
from writecache_models.faults import Fault, fault_of
from writecache_models.log_lines import DISCARD, FLUSH, FUA, Entry
from writecache_models.logged import line_of
from writecache_models.requests import LARGEST_DISCARD
from writecache_models.trace import BEGIN, TOGETHER, Observation, Op, Trace, script_of
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.units import SECTOR_SIZE, Sector, jiffies_of

PROFILE: Final = PROFILES["1.6.0"]
"""Whose tables a trace is written in, where it was recorded by nobody."""
FIRST_MOMENT: Final = 2**32 - 300 * 100
"""Where the kernel's clock begins."""
_TARGET: Final = "1.6.0"


class FaultyDevice(MemoryDevice):
    """A device in memory of which sectors fail as device-mapper's own targets make them fail."""

    fault: Fault | None = None

    def read(self, offset: int, size: int) -> bytes:
        """Read; fails whole where it meets sectors that fail."""
        # What is loaded from memory may be less than a sector.
        place = offset // SECTOR_SIZE, -(-size // SECTOR_SIZE)
        if self.fault and (self.fault.hit(*place, writes=False) or self.fault.spoils(*place)):
            raise OSError(errno.EIO, "a sector fails")
        return super().read(offset, size)

    def write(self, offset: int, data: bytes | memoryview, fua: bool = False) -> None:
        """Write; where it meets sectors that fail the others are written, and it fails."""
        first, n_sectors = offset // SECTOR_SIZE, len(data) // SECTOR_SIZE
        hit = self.fault.hit(first, n_sectors, writes=True) if self.fault else range(0)
        if not hit:
            super().write(offset, data, fua)
            return
        before, after = (at * SECTOR_SIZE for at in (hit.start - first, hit.stop - first))
        super().write(offset, data[:before], fua)
        super().write(offset + after, data[after:], fua)
        raise OSError(errno.EIO, "a sector fails")

    def flush(self) -> None:
        """Flush, unless the fault is of a kind that fails flushes."""
        if self.fault and self.fault.fails_flushes:
            raise OSError(errno.EIO, "a flush fails")
        super().flush()


class LoggedDevice(FaultyDevice):
    """A device that also says what was written to it, as dm-log-writes has it (`log_lines`)."""

    def __init__(self, size: int, content: bytes = b"") -> None:
        super().__init__(size, content)
        self.log: list[Entry] = []
        """A write without FUA comes with the flush behind it."""
        self._complete: list[Entry] = []

    def write(self, offset: int, data: bytes | memoryview, fua: bool = False) -> None:
        """Write."""
        super().write(offset, data, fua)
        place = offset // SECTOR_SIZE, len(data) // SECTOR_SIZE
        (self.log if fua else self._complete).append(Entry(FUA * fua, *place, bytes(data)))

    def flush(self) -> None:
        """Flush."""
        super().flush()
        self.log += [*self._complete, Entry(FLUSH)]
        self._complete.clear()

    def discard(self, offset: int, size: int) -> None:
        """Zero it."""
        FaultyDevice.write(self, offset, bytes(size))
        self._complete.append(Entry(DISCARD, offset // SECTOR_SIZE, size // SECTOR_SIZE))


class Player:
    """One trace's devices, and the engine over them."""

    def __init__(
        self, trace: Trace, profile: Profile = PROFILE, entries: type[Entries] = FASTEST
    ) -> None:
        self.trace = trace
        self.profile = profile
        device = LoggedDevice if "logs" in trace.extra else FaultyDevice
        self.cache = device(trace.cache_sectors * SECTOR_SIZE, trace.cache_image)
        self.origin = device(trace.origin_sectors * SECTOR_SIZE, trace.origin_image)
        self.stepper = Stepper(FIRST_MOMENT)
        devices: dict[str, Device] = {"CACHE": self.cache, "ORIGIN": self.origin}
        self.engine = Engine(
            devices, background=self.stepper, profile=profile, entries=entries, strict=False
        )
        self.is_open = False
        self._suspended = False
        self._starts = frozenset({Sector(0)})
        self._undefined: frozenset[Range] = frozenset()

    def steps(self, ops: Sequence[Op]) -> Iterator[tuple[Op, Observation]]:
        """Play operations; those for which there is no device are left out."""
        for op in ops:
            if op[0] == BEGIN:
                op = op[1:]
            if op[0] in ("open", "fail", "heal") or self.is_open:
                if self._suspended and op[0] in _REQUESTS:
                    continue
                yield op, self.step(op)

    def step(self, op: Op) -> Observation:
        """Play one operation, settle, and look."""
        if op[0] == TOGETHER:
            # One after the other is one of the orders in which they can go.
            seen: Observation = {TOGETHER: [self._of_client(client) for client in op[1:]]}
        else:
            seen = self._returned(op)
        self.stepper.settle()
        seen["status"] = self.engine.status() if self.is_open else None
        cache = bytes(self.cache.content)
        self._undefined |= undefined_ranges(cache, self._starts)
        seen["cache"] = masked_digest(cache, self._undefined)
        seen["origin"] = content_digest(bytes(self.origin.content))
        if isinstance(self.cache, LoggedDevice) and isinstance(self.origin, LoggedDevice):
            logs = self.cache.log, self.origin.log
            ranges = self._undefined, frozenset[Range]()
            seen["log"] = {
                name: [list(line_of(undefined, entry)) for entry in log]
                for name, log, undefined in zip(("cache", "origin"), logs, ranges, strict=True)
            }
            for log in logs:
                log.clear()
        return seen

    def _of_client(self, client: list[Any]) -> Observation | list[Observation]:
        """Do what one client does: a request, or a script of several."""
        returned = [self._returned(request) for request in script_of(client)]
        return returned if isinstance(client[0], list) else returned[0]

    def _returned(self, op: Op) -> Observation:
        """Do an operation; what it returns."""
        try:
            data = self._perform(op)
        except EngineError as error:
            name = errno.errorcode[error.errno or 0].replace("EOPNOTSUPP", "ENOTSUP")
            refused = op[0] == "open" and isinstance(error, RefusedError)
            return {"errno": name, **({"error": error.message} if refused else {})}
        if op[0] == "open":
            return {"table": self.engine.table()}
        return {} if data is None else {"read": content_digest(data)}

    def _perform(self, op: Op) -> bytes | None:
        name, *arguments = op
        match name:
            case "open":
                self._open(arguments[0] if arguments else self.trace.table)
            case "fail" | "heal":
                device = self.cache if arguments[0] == "cache" else self.origin
                device.fault = fault_of(*arguments[1:]) if name == "fail" else None
            case "message":
                self.engine.message(*arguments)
            case "suspend":
                self._suspended = True
                self.engine.suspend()
            case "resume":
                self.engine.resume()
                self._suspended = False
            case "sleep":
                self.stepper.advance(jiffies_of(arguments[0], self.profile.environment.hz))
            case "flush":
                self.engine.flush()
            case "read":
                return self.engine.read(*(512 * number for number in arguments))
            case "discard":
                self._discard(*arguments)
            case _:
                self._write(name, *arguments)
        return None

    def _open(self, table: str) -> None:
        self._starts |= named_start_sectors(table)
        try:
            self.engine.reload(table)
        except EngineError as error:
            self._suspended |= isinstance(error, UnusableDeviceError)
            # The table is loaded already where its metadata cannot be read.
            self.is_open |= error.errno == errno.EIO and not isinstance(error, RefusedError)
            raise
        self.is_open, self._suspended = True, False

    def _discard(self, sector: int, n_sectors: int) -> None:
        """Discard as much at a time as the disks of a trace take; the first error is the result."""
        end = sector + n_sectors
        whole = self.profile.environment.persistent_memory or end > self.trace.origin_sectors
        longest = n_sectors if whole else LARGEST_DISCARD
        errors: list[EngineError] = []
        for first in range(sector, end, longest):
            count = min(longest, end - first)
            try:
                self.engine.discard(first * SECTOR_SIZE, count * SECTOR_SIZE)
            except EngineError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _write(self, name: str, sector: int, n_sectors: int, tag: int) -> None:
        data = pattern(sector, n_sectors, tag)
        self.engine.write(sector * SECTOR_SIZE, data, fua=name != "write")
        if name == "write_dsync":
            # The kernel sends a write with FUA and then a flush; by then everything has run.
            self.stepper.settle()
            self.engine.flush()


_REQUESTS: Final = ("read", "write", "write_fua", "write_dsync", "flush", "discard", TOGETHER)


def play(trace: Trace, profile: Profile = PROFILE, entries: type[Entries] = FASTEST) -> Trace:
    """The trace with what the engine did."""
    steps = tuple(Player(trace, profile, entries).steps(trace.ops))
    return replace(trace, kernel=None, target=_TARGET, steps=steps)

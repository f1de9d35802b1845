"""Targets: what is judged, in the words of a vector's operations.

A target is a pair of devices, the cache and the origin, and whatever makes one device of them.  It
says which level of conformance it claims and what it can do; it is asked for nothing else.
"""

from abc import ABC, abstractmethod
from enum import IntEnum, StrEnum
from typing import NamedTuple

from writecache_models.trace import Trace
from writecache_spec.units import bytes_of


class Level(IntEnum):
    """What a target claims; each level includes those before."""

    CONTRACT = 1
    """It keeps the contract of a block device (`writecache_models.contract`)."""
    IMAGES = 2
    """It also exchanges images with Linux, both ways."""
    EXACT = 3
    """It also shows the same status, tables, messages and bytes after every operation."""


class Ability(StrEnum):
    """What not every target can do; it is asked for what it names."""

    FUA = "fua"
    """Writes that are durable themselves."""
    DISCARD = "discard"
    ZEROES = "zeroes"
    """Writes of zeros without data."""
    MESSAGE = "message"
    """Messages, of which all know `flush`."""
    SUSPEND = "suspend"
    """Suspend and resume, and `open` on an open device, which is a reload."""
    STATUS = "status"
    SNAPSHOT = "snapshot"
    """What the two devices hold now, whoever holds it; level 2 is judged by it."""
    CRASH = "crash"
    """The power fails between two operations."""
    CRASH_WITHIN = "crash-within"
    """The power fails at a chosen I/O."""
    SLEEP = "sleep"
    """Lets time pass, in its own view of it."""
    TOGETHER = "together"
    """Several requests at once."""
    LOG = "log"
    """What is written to the devices, in its order; level 3 is judged by it, too."""


class Facts(NamedTuple):
    """What a target says of itself."""

    name: str
    level: Level
    abilities: frozenset[Ability]
    profile: str | None = None
    """Level 3: the profile by which it is judged."""
    repaired: bool = False
    """Level 3: whether it is judged by the reference with all repairs."""


class RefusedError(Exception):
    """An operation failed, and says so with an errno's name; what it meant to do may be done."""

    def __init__(self, errno: str, message: str = "") -> None:
        super().__init__(f"{errno}: {message}" if message not in ("", errno) else errno)
        self.errno, self.message = errno, message


class PowerFailedError(Exception):
    """The power failed within the operation: the device is closed, and can be opened again."""


class LostError(Exception):
    """The target is no more, or does not do as a target does; the text says why, in a line."""


class UnavailableError(Exception):
    """There is no target to be had; the text says why, in a line."""


class MalformedNameError(UnavailableError):
    """The target's name is none that its kind can have."""


class Devices(NamedTuple):
    """What the two devices hold."""

    cache: bytes
    origin: bytes

    @classmethod
    def of(cls, trace: Trace) -> "Devices":
        """Those that a trace begins with."""
        return cls(
            trace.cache_image.ljust(bytes_of(trace.cache_sectors), b"\0"),
            trace.origin_image.ljust(bytes_of(trace.origin_sectors), b"\0"),
        )


class Target(ABC):
    """A target, to be subclassed; sectors are of 512 bytes.

    An operation raises RefusedError if it fails, PowerFailedError where a crash had been asked for
    that met it, and LostError if the target is gone.  What `facts` does not name is not called.
    """

    facts: Facts
    fixed_sectors: int | None = None
    """Of a device that is there already, its size; then `start` gives it no new devices, and what
    it holds at first is read."""
    block_size: int = 0
    """Bytes of which requests have to be a multiple; 0: it is ours to choose, with the table."""

    def window(self, first_sector: int) -> None:
        """Of a device that is there already: sector 0 is this one, from now on."""
        raise NotImplementedError

    @abstractmethod
    def start(self, devices: Devices) -> None:
        """Take new devices that hold this; whatever was before is gone.  Nothing is open yet."""

    @abstractmethod
    def open(self, table: str) -> None:
        """Construct and resume with a table `s ORIGIN CACHE BLOCK_SIZE N OPTION...`."""

    @abstractmethod
    def read(self, sector: int, n_sectors: int) -> bytes:
        """Read."""

    @abstractmethod
    def write(self, sector: int, data: bytes, fua: bool = False) -> None:
        """Write; with `fua` it is durable when it ends."""

    @abstractmethod
    def flush(self) -> None:
        """Make durable what writes that have ended wrote."""

    def discard(self, sector: int, n_sectors: int) -> None:
        """Forget a range: it may keep what it holds, or hold zeros."""
        raise NotImplementedError

    def zeroes(self, sector: int, n_sectors: int) -> None:
        """Write zeros."""
        raise NotImplementedError

    def message(self, *words: str) -> None:
        """Take a message; after `flush` the origin holds what was written before it."""
        raise NotImplementedError

    def suspend(self) -> None:
        """Suspend."""
        raise NotImplementedError

    def resume(self) -> None:
        """Resume."""
        raise NotImplementedError

    def sleep(self, milliseconds: int) -> None:
        """Let time pass, in the target's own view of it."""
        raise NotImplementedError

    def status(self) -> str:
        """The status line, when all that was set in motion has been done."""
        raise NotImplementedError

    def table(self) -> str:
        """The table line."""
        raise NotImplementedError

    def snapshot(self) -> Devices:
        """What the devices hold now, durable or not."""
        raise NotImplementedError

    def crash(self, seed: int, after: int = 0) -> None:
        """Let the power fail: now, or at the I/O of this number, from 1, from now on.

        The devices keep what was flushed; of the rest the seed decides.  The device is closed.
        """
        raise NotImplementedError

    def together(self, requests: list[list[object]]) -> "list[bytes | RefusedError | None]":
        """Begin requests at once; what each returned when all have ended."""
        raise NotImplementedError

    def log(self) -> dict[str, list[list[object]]]:
        """What was written since the last call, by device, as a vector's key `log` has it."""
        raise NotImplementedError

    def close(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of everything; the target is not used again."""

"""A target that is a program: it speaks the line protocol of docs/line-protocol.md.

A request is a JSON array, an operation as a vector has it; the reply is a JSON object.  The two
devices are files, which the program may use as it likes: they count when they are handed over, at
`new` and at `snapshot`.
"""

import errno
import json
import shlex
import struct
import tempfile
from pathlib import Path
from typing import Any, Final

from writecache_impl.targets.lines import LineProgram
from writecache_models.conformance.needs import claims_problem
from writecache_models.conformance.target import (
    Ability,
    Devices,
    Facts,
    Level,
    LostError,
    MalformedNameError,
    PowerFailedError,
    RefusedError,
    Target,
    UnavailableError,
)
from writecache_models.devices import pattern
from writecache_models.trace import VectorError, shown
from writecache_models.vector_lines import parse_object
from writecache_spec.profile import PROFILES
from writecache_spec.units import SECTOR_SIZE

PROTOCOL: Final = 1
SHARED_MEMORY: Final = Path("/dev/shm")
"""Where the files are, if there is such a place: no disk is waited for."""
NOT_SPOKEN: Final = frozenset({Ability.TOGETHER})
"""Abilities that the protocol has no words for."""


def command_target(name: str, operation_seconds: float) -> Target:
    """The target `cmd:PROGRAM ARGS`, its words quoted as for a shell.

    Raises UnavailableError, and of it MalformedNameError.
    """
    try:
        arguments = shlex.split(name.partition(":")[2])
    except ValueError as error:
        raise MalformedNameError(f"{name}: {error}") from None
    if not arguments:
        raise MalformedNameError(f"{name}: no program is named")
    return CommandTarget(arguments, operation_seconds)


class CommandTarget(Target):
    """A program and the two files."""

    def __init__(self, arguments: list[str], operation_seconds: float) -> None:
        """Start it and hear what it says of itself; raises UnavailableError."""
        self._program = LineProgram(arguments, operation_seconds)
        folder = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
        self._folder = tempfile.TemporaryDirectory(prefix="writecache-", dir=folder)
        self._files = [Path(self._folder.name) / device for device in ("cache", "origin")]
        try:
            self.facts = _facts(self._ask("hello", PROTOCOL), arguments[0])
        except LostError as error:
            self.close()
            raise UnavailableError(f"it speaks no line protocol: {error}") from None
        except BaseException:
            self.close()
            raise

    def start(self, devices: Devices) -> None:
        """Take new devices."""
        for file, content in zip(self._files, devices, strict=True):
            file.unlink(missing_ok=True)
            file.write_bytes(content)
        self._ask("new", *map(str, self._files))

    def open(self, table: str) -> None:
        """Construct and resume."""
        self._ask("open", table)

    def read(self, sector: int, n_sectors: int) -> bytes:
        """Read."""
        text = self._key("data", "read", sector, n_sectors)
        try:
            data = bytes.fromhex(text)
        except ValueError:
            data = None
        if data is None or len(text) != 2 * n_sectors * SECTOR_SIZE:
            size = n_sectors * SECTOR_SIZE
            what = f'["read", {sector}, {n_sectors}]'
            raise LostError(f"its data for {what} is not {size} bytes in hex: {shown(text)}")
        return data

    def write(self, sector: int, data: bytes, fua: bool = False) -> None:
        """Write a pattern: of all that could be written only its tag is sent."""
        n_sectors = len(data) // SECTOR_SIZE
        (tag,) = struct.unpack_from("<Q", data)
        if data != pattern(sector, n_sectors, tag):
            raise ValueError("the line protocol writes only patterns of a vector")
        self._ask("write_fua" if fua else "write", sector, n_sectors, tag)

    def flush(self) -> None:
        """Flush."""
        self._ask("flush")

    def discard(self, sector: int, n_sectors: int) -> None:
        """Discard."""
        self._ask("discard", sector, n_sectors)

    def zeroes(self, sector: int, n_sectors: int) -> None:
        """Write zeros."""
        self._ask("zeroes", sector, n_sectors)

    def message(self, *words: str) -> None:
        """Send a message."""
        self._ask("message", *words)

    def suspend(self) -> None:
        """Suspend."""
        self._ask("suspend")

    def resume(self) -> None:
        """Resume."""
        self._ask("resume")

    def sleep(self, milliseconds: int) -> None:
        """Let time pass."""
        self._ask("sleep", milliseconds)

    def status(self) -> str:
        """Ask for the status line."""
        return self._key("status", "status")

    def table(self) -> str:
        """Ask for the table line."""
        return self._key("table", "table")

    def snapshot(self) -> Devices:
        """What the files hold, after they have been brought up to date."""
        self._ask("snapshot")
        try:
            return Devices(*(file.read_bytes() for file in self._files))
        except OSError as error:
            raise LostError(f"after a snapshot: {error.filename}: {error.strerror}") from None

    def crash(self, seed: int, after: int = 0) -> None:
        """Let the power fail."""
        self._ask("crash", seed, after)

    def log(self) -> dict[str, list[list[object]]]:
        """What was written since the last call."""
        value = self._ask("log").get("log")
        if not isinstance(value, dict):
            raise LostError(f'its reply to ["log"] has no log: {shown(value)}')
        return value

    def close(self) -> None:
        """End the program, and remove the files."""
        self._program.close()
        self._folder.cleanup()

    def _key(self, key: str, *request: object) -> str:
        """Ask for a text."""
        value = self._ask(*request).get(key)
        if not isinstance(value, str):
            raise LostError(f"its reply to {json.dumps(request)} has no text {key!r}")
        return value

    def _ask(self, *request: object) -> dict[str, Any]:
        """Send a request; its reply, or what it raises."""
        line = json.dumps(request)
        reply = _parsed(self._program.ask(line), line)
        if reply.get("crashed") is True:
            raise PowerFailedError
        if (name := reply.get("errno")) is not None:
            if not isinstance(name, str) or not hasattr(errno, name):
                raise LostError(f"its reply to {line} has an errno that is none: {shown(name)}")
            raise RefusedError(name, str(reply.get("error", "")))
        return reply


def _parsed(reply: bytes, request: str) -> dict[str, Any]:
    where = f"its reply to {request}"
    try:
        return parse_object(reply.decode(), where)
    except UnicodeDecodeError:
        raise LostError(f"{where} is not UTF-8: {shown(reply)}") from None
    except VectorError as error:
        raise LostError(f"{error}: {shown(reply.decode(errors='replace'))}") from None


def _facts(hello: dict[str, Any], program: str) -> Facts:
    """What a program says of itself; raises LostError."""
    level, name, words = hello.get("level"), hello.get("name", program), hello.get("can", [])
    if type(level) is not int or level not in list(Level):
        raise LostError(f"it claims level {shown(level)}, which is not 1, 2 or 3")
    known = set(Ability) - NOT_SPOKEN
    if not isinstance(words, list) or not all(word in known for word in words):
        raise LostError(f"it can {shown(words)}, of which is known: {', '.join(sorted(known))}")
    abilities = frozenset(map(Ability, words))
    profile = hello.get("profile", "1.6.0")
    if profile not in PROFILES:
        raise LostError(f"its profile {shown(profile)} is none of {', '.join(PROFILES)}")
    repaired = hello.get("repaired", False)
    facts = Facts(str(name), Level(level), abilities, profile, repaired is True)
    if problem := claims_problem(facts):
        raise LostError(problem)
    return facts

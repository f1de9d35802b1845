"""Observations: an operation on a machine, and what a recorder would have written down of it."""

from typing import Any, Final

from writecache_models.actions import Outcome
from writecache_models.content import Content
from writecache_models.devices import Devices
from writecache_models.digests import content_digest
from writecache_models.faults import fault_of
from writecache_models.logged import LoggedDevices
from writecache_models.machine import Machine
from writecache_models.memory_log import MemoryLoggedDevices
from writecache_models.trace import (
    BEGIN,
    MEMORY_LOG,
    NO_LOGS,
    ONE_LOG,
    TARGETS_OWN,
    TOGETHER,
    Observation,
    Op,
    Trace,
    script_of,
)
from writecache_spec.events import Device
from writecache_spec.numbers import split_words
from writecache_spec.profile import Profile, profile_for_kernel
from writecache_spec.units import SECTOR_SIZE

_SWAPPED: Final = (("CACHE", "ORIGIN"), ("ORIGIN", "ORIGIN"), ("CACHE", "CACHE"))


class UnusableStepError(ValueError):
    """The operation has no place in a trace here: no device, or across its end."""


def new_machine(trace: Trace, profile: Profile) -> Machine:
    """A machine with a trace's devices, before its first step."""
    cache = Content(trace.cache_sectors * SECTOR_SIZE, trace.cache_image)
    origin = Content(trace.origin_sectors * SECTOR_SIZE, trace.origin_image)
    logs = trace.extra.get("logs", NO_LOGS)
    if logs == NO_LOGS:
        machine = Machine(profile, Devices(cache, origin))
        machine.cache_reads_slowly = bool(trace.extra.get("cache_delay"))
        return machine
    if logs == MEMORY_LOG:
        return Machine(profile, MemoryLoggedDevices(cache, origin))
    return Machine(profile, LoggedDevices(cache, origin, together=logs == ONE_LOG))


def profile_of(trace: Trace) -> Profile:
    """The profile of the kernel that recorded a trace."""
    return profile_for_kernel(trace.kernel or "6.12", trace.target or "1.6.0")


def perform(machine: Machine, op: Op, table: str) -> Outcome:
    """Do one operation; raises UnusableStepError, PanicError or HangError."""
    if op[0] in TARGETS_OWN:
        raise UnusableStepError(f"{op[0]}: it is asked only of a target that is named")
    if op[0] == BEGIN:
        machine.copies_held = True
        return _perform(machine, op[1:], table)
    outcome = _perform(machine, op, table)
    machine.copies_held = False
    machine.settle()
    return outcome


def _perform(machine: Machine, op: Op, table: str) -> Outcome:
    name, *arguments = op
    if name == "open":
        line = arguments[0] if arguments else table
        named = split_words(line)[1:3]
        if named in _SWAPPED:
            raise UnusableStepError("open: a trace's devices have places: s ORIGIN CACHE")
        return machine.open(line)
    if name in ("fail", "heal"):
        device, *fault = arguments
        machine.fail(Device(device), fault_of(*fault) if fault else None)
        return Outcome()
    if machine.wc is None:
        raise UnusableStepError(f"{name}: there is no device")
    if name == "message":
        return machine.message(tuple(arguments))
    if name in ("suspend", "resume"):
        return machine.suspend() if name == "suspend" else machine.resume()
    if name == "sleep":
        return machine.sleep(*arguments)
    if machine.wc.suspended:
        raise UnusableStepError(f"{name}: the device is suspended, the request would wait")
    for client in arguments if name == TOGETHER else [op]:
        for request in script_of(client):
            _require_inside(machine, *request)
    if name == TOGETHER:
        return Outcome(parts=machine.together(arguments))
    return _request(machine, name, arguments)


def _require_inside(machine: Machine, name: str, *arguments: int) -> None:
    if name == "flush":
        return
    sector, n_sectors = arguments[:2]
    end = len(machine.devices.origin) // SECTOR_SIZE
    writes_at_end = name != "read" and sector >= end
    if name != "discard" and sector + n_sectors > end and not writes_at_end:
        raise UnusableStepError(f"{name}: the request crosses the end of the device")


def _request(machine: Machine, name: str, arguments: list[Any]) -> Outcome:
    if name == "flush":
        return machine.flush()
    sector, n_sectors = arguments[:2]
    match name:
        case "read":
            return machine.read(sector, n_sectors)
        case "discard":
            return machine.discard(sector, n_sectors)
        case _:
            fua, dsync = name == "write_fua", name == "write_dsync"
            return machine.write(sector, n_sectors, arguments[2], fua, dsync)


def observe(machine: Machine, op: Op, outcome: Outcome, digests: bool = True) -> Observation:
    """What a recorder would have written down after an operation."""
    begun = op[0] == BEGIN
    if begun:
        op = op[1:]
    seen: Observation = {} if begun else {"status": machine.status()}
    if outcome.message:
        seen["error"] = outcome.message
    if outcome.returned:
        seen["returned"] = outcome.returned
    if op[0] == "open" and not (outcome.errno or outcome.returned):
        seen["table"] = machine.table()
    seen |= _returned(outcome)
    if outcome.parts:
        seen[TOGETHER] = [_part(part) for part in outcome.parts]
    if digests and not begun:
        seen["cache"], seen["origin"] = machine.digests()
        if (logs := machine.devices.logged()) is not None:
            seen["log"] = logs
    return seen


def _returned(outcome: Outcome) -> Observation:
    """What one request returned."""
    seen = {}
    if outcome.errno:
        seen["errno"] = outcome.errno
    if outcome.data is not None:
        seen["read"] = content_digest(outcome.data)
    return seen


def _part(outcome: Outcome) -> Observation | list[Observation]:
    """What one client's request returned, or each of its requests."""
    if outcome.parts:
        return [_returned(part) for part in outcome.parts]
    return _returned(outcome)


def still_possible(machine: Machine, seen: Observation) -> bool:
    """Whether a write under way can still end as it was seen to end: counters never go down, and a
    log that was seen is not contradicted."""
    if machine.devices.contradicted:
        return False
    status = machine.status()
    counters = [int(field) for field in (status or "").split()[4:]]
    expected = [int(field) for field in (seen.get("status") or "").split()[4:]]
    return all(a <= b for a, b in zip(counters, expected, strict=False))


_DIGESTS: Final = ("cache", "origin", "log")
"""What a recorder may leave out."""
_COMPARED: Final = (
    *("panic", "hang", "status", "table", "errno", "returned", "error", "read"),
    TOGETHER,
)


def agrees(expected: Observation, seen: Observation) -> bool:
    """Whether two observations say the same, as far as the second says anything."""
    if seen.get("panic") or expected.get("panic"):
        return bool(seen.get("panic")) == bool(expected.get("panic"))
    if any(expected.get(key) != seen.get(key) for key in _COMPARED):
        return False
    return all(key not in seen or expected.get(key) == seen[key] for key in _DIGESTS)

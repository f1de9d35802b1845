"""The checker: whether what was seen is something that the reference does.

It carries the *set* of machines that fit everything seen so far: nearly always one.  At each step
every machine does the operation by the canonical schedule.  Where that met a choice (`kernel`), the
other schedules are tried too, and all that fit are kept: they may differ in what does not show yet.
The search is bounded by `MAXIMUM_SCHEDULES` for a step; what it did is counted.  A step that
nothing explains is a *divergence*.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from writecache_models.devices import Devices, content_digest
from writecache_models.kernel import HangError, PanicError
from writecache_models.machine import Machine, Outcome
from writecache_models.vectors import Observation, Op, Trace
from writecache_spec.profile import Profile, profile_for_kernel
from writecache_spec.units import SECTOR_SIZE

MAXIMUM_SCHEDULES: Final = 512
"""Schedules of one operation that are tried on one machine."""
MAXIMUM_MACHINES: Final = 64
"""Machines that are carried from one step to the next."""


class UnusableStepError(ValueError):
    """The operation has no place in a trace here: no device, or across its end."""


def new_machine(trace: Trace, profile: Profile) -> Machine:
    """A machine with a trace's devices, before its first step."""
    return Machine(
        profile,
        Devices(
            _image(trace.cache_image, trace.cache_sectors),
            _image(trace.origin_image, trace.origin_sectors),
        ),
    )


def _image(content: bytes, sectors: int) -> bytearray:
    return bytearray(content.ljust(sectors * SECTOR_SIZE, b"\0"))


def profile_of(trace: Trace) -> Profile:
    """The profile of the kernel that recorded a trace."""
    return profile_for_kernel(trace.kernel or "6.12", trace.target or "1.6.0")


def perform(machine: Machine, op: Op, table: str) -> Outcome:
    """Do one operation; raises UnusableStepError, PanicError or HangError."""
    name, *arguments = op
    if name == "open":
        return machine.open(arguments[0] if arguments else table)
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
    return _request(machine, name, arguments)


def _request(machine: Machine, name: str, arguments: list[Any]) -> Outcome:
    if name == "flush":
        return machine.flush()
    sector, n_sectors = arguments[:2]
    end = len(machine.devices.origin) // SECTOR_SIZE
    if name != "discard" and sector < end < sector + n_sectors:
        raise UnusableStepError(f"{name}: the request crosses the end of the device")
    match name:
        case "read":
            return machine.read(sector, n_sectors)
        case "discard":
            return machine.discard(sector, n_sectors)
        case "write_dsync":
            return machine.write_dsync(*arguments)
        case _:
            return machine.write(sector, n_sectors, arguments[2], fua=name == "write_fua")


def observe(machine: Machine, op: Op, outcome: Outcome, digests: bool = True) -> Observation:
    """What a recorder would have written down after an operation."""
    seen: Observation = {"status": machine.status()}
    if outcome.errno:
        seen["errno"] = outcome.errno
    if outcome.message:
        seen["error"] = outcome.message
    if op[0] == "open" and not outcome.errno:
        seen["table"] = machine.table()
    if op[0] == "read" and outcome.data is not None:
        seen["read"] = content_digest(outcome.data)
    if digests:
        seen["cache"], seen["origin"] = machine.digests()
    return seen


@dataclass(slots=True)
class Verdict:
    """What became of one step."""

    explained: bool = False
    schedules: int = 0
    """How many were tried."""
    expected: Observation = field(default_factory=dict)
    """What the canonical schedule would have shown."""


class Candidate(NamedTuple):
    """A machine that fits everything seen so far, and how it came to be so."""

    machine: Machine
    deviations: Mapping[int, tuple[int, ...]]
    """The choices made, by step, where the schedule was not the canonical one."""


class Checker:
    """Judges one trace's observations, step by step."""

    def __init__(self, trace: Trace, profile: Profile) -> None:
        self.trace = trace
        self.candidates = [Candidate(new_machine(trace, profile), {})]
        """Those with the fewest deviations first."""
        self._number = 0

    def step(self, op: Op, seen: Observation) -> Verdict:
        """Judge one observation; raises UnusableStepError."""
        verdict = Verdict()
        kept: list[Candidate] = []
        for candidate in self.candidates:
            for choices, after, expected in self._schedules(candidate.machine, op, seen):
                if not verdict.schedules:
                    verdict.expected = expected
                verdict.schedules += 1
                if not agrees(expected, seen):
                    continue
                verdict.explained = True
                deviations = candidate.deviations
                if any(choices):
                    deviations = {**deviations, self._number: choices}
                kept.append(Candidate(after, deviations))
        self._number += 1
        self.candidates = _distinct(kept)
        return verdict

    def _schedules(
        self, machine: Machine, op: Op, seen: Observation
    ) -> Iterator[tuple[tuple[int, ...], Machine, Observation]]:
        """Every schedule of one operation, the canonical one first, up to the bound."""
        pristine = machine.fork()
        agenda: list[tuple[int, ...]] = [()]
        tried = 0
        while agenda and tried < MAXIMUM_SCHEDULES:
            choices = agenda.pop(0)
            tried += 1
            after = pristine.fork() if choices else machine
            expected = self._run(after, op, choices, seen)
            for number in range(len(choices), len(after.alternatives)):
                canonical = (0,) * (number - len(choices))
                for choice in range(1, after.alternatives[number]):
                    agenda.append((*choices, *canonical, choice))
            yield choices, after, expected

    def _run(
        self, machine: Machine, op: Op, choices: tuple[int, ...], seen: Observation
    ) -> Observation:
        machine.choices, machine.alternatives = choices, []
        try:
            outcome = perform(machine, op, self.trace.table)
        except PanicError as panic:
            return {"panic": True, "reason": panic.reason.value}
        except HangError:
            return {"hang": True}
        return observe(machine, op, outcome, digests="cache" in seen or "origin" in seen)


def _distinct(candidates: list[Candidate]) -> list[Candidate]:
    """Candidates without those that will do the same as one with fewer deviations."""
    distinct: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: len(one.deviations)):
        if len(distinct) == MAXIMUM_MACHINES:
            break
        if not any(candidate.machine.same_as(other.machine) for other in distinct):
            distinct.append(candidate)
    return distinct


_COMPARED: Final = ("panic", "hang", "status", "table", "errno", "error", "read")


def agrees(expected: Observation, seen: Observation) -> bool:
    """Whether two observations say the same, as far as the second says anything."""
    if seen.get("panic") or expected.get("panic"):
        return bool(seen.get("panic")) == bool(expected.get("panic"))
    if any(expected.get(key) != seen.get(key) for key in _COMPARED):
        return False
    return all(key not in seen or expected.get(key) == seen[key] for key in ("cache", "origin"))

"""The checker: whether what was seen is something that the reference does.

It carries the *set* of machines that fit everything seen so far: nearly always one.  At each step
every machine does the operation by the canonical schedule.  Where a request met a gap at which
something was pending, the other schedules are tried too, and all that fit are kept: they may differ
in what does not show yet.  The search is bounded by `MAXIMUM_SCHEDULES` for a step; what it did is
counted.  A step that nothing explains is a *divergence*.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

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
    if op[0] == "open" and machine.wc is not None:
        seen["table"] = machine.table()
    if op[0] == "read" and outcome.data is not None:
        seen["read"] = content_digest(outcome.data)
    if digests:
        seen["cache"], seen["origin"] = machine.digests()
    return seen


@dataclass(slots=True)
class Verdict:
    """What became of one step."""

    explained: bool
    canonical: bool
    """The canonical schedule explains it."""
    schedules: int
    """How many were tried."""
    expected: Observation
    """What the canonical schedule would have shown."""


@dataclass(slots=True)
class Checker:
    """Judges one trace's observations, step by step."""

    trace: Trace
    profile: Profile
    machines: list[Machine] = field(init=False)

    def __post_init__(self) -> None:
        self.machines = [new_machine(self.trace, self.profile)]

    def step(self, op: Op, seen: Observation) -> Verdict:
        """Judge one observation; raises UnusableStepError."""
        verdict = Verdict(explained=False, canonical=False, schedules=0, expected={})
        kept: list[Machine] = []
        for number, machine in enumerate(self.machines):
            for choices, after, expected in self._schedules(machine, op, seen):
                verdict.schedules += 1
                if number == 0 and not choices:
                    verdict.expected = expected
                if not agrees(expected, seen):
                    continue
                verdict.explained = True
                verdict.canonical |= not any(choices)
                if not any(after.same_as(other) for other in kept[:MAXIMUM_MACHINES]):
                    kept.append(after)
        self.machines = kept[:MAXIMUM_MACHINES]
        return verdict

    def _schedules(
        self, machine: Machine, op: Op, seen: Observation
    ) -> Iterator[tuple[tuple[bool, ...], Machine, Observation]]:
        """Every schedule of one operation, the canonical one first, up to the bound."""
        agenda: list[tuple[bool, ...]] = [()]
        tried = 0
        # Only a request of several pieces has gaps; anything else need not be undone.
        forks = op[0] in ("write", "write_fua", "write_dsync", "read")
        pristine = machine.fork() if forks and op[2] > self._piece(machine) else None
        while agenda and tried < MAXIMUM_SCHEDULES:
            choices = agenda.pop(0)
            tried += 1
            after = pristine.fork() if pristine is not None and choices else machine
            expected = self._run(after, op, choices, seen)
            yield choices, after, expected
            if pristine is not None:
                for gap in range(len(choices), after.gaps):
                    agenda.append((*choices, *(False,) * (gap - len(choices)), True))

    def _piece(self, machine: Machine) -> int:
        return machine.wc.config.block_sectors if machine.wc else 0

    def _run(
        self, machine: Machine, op: Op, choices: tuple[bool, ...], seen: Observation
    ) -> Observation:
        machine.choices, machine.gaps = choices, 0
        try:
            outcome = perform(machine, op, self.trace.table)
        except PanicError as panic:
            return {"panic": True, "reason": panic.reason.value}
        except HangError:
            return {"hang": True}
        return observe(machine, op, outcome, digests="cache" in seen or "origin" in seen)


_COMPARED: Final = ("panic", "hang", "status", "table", "errno", "error", "read")


def agrees(expected: Observation, seen: Observation) -> bool:
    """Whether two observations say the same, as far as the second says anything."""
    if seen.get("panic") or expected.get("panic"):
        return bool(seen.get("panic")) == bool(expected.get("panic"))
    if any(expected.get(key) != seen.get(key) for key in _COMPARED):
        return False
    return all(key not in seen or expected.get(key) == seen[key] for key in ("cache", "origin"))

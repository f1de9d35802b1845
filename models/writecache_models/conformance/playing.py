"""Playing a trace on a target, and judging by the contract and by images what it shows.

The judge tells a contract what the target is asked and what has ended, and asks it of everything
that is read, before a crash and after it.  Nothing here depends on how a target does its work.
"""

import time
from typing import Final

from writecache_models.conformance.asking import Asked, BrokenError
from writecache_models.conformance.exchange import UnreadableError, read_by_reference
from writecache_models.conformance.target import (
    Ability,
    Devices,
    Level,
    LostError,
    PowerFailedError,
    RefusedError,
    Target,
)
from writecache_models.conformance.verdicts import (
    Verdict,
    Violation,
    values_of,
    with_done,
)
from writecache_models.contract import ZERO, Contract, FlushMessage
from writecache_models.trace import TOGETHER, Observation, Op, Trace
from writecache_spec.units import sectors_of

_NEEDS: Final = {
    "write_fua": Ability.FUA,
    "discard": Ability.DISCARD,
    "zeroes": Ability.ZEROES,
    "message": Ability.MESSAGE,
    "suspend": Ability.SUSPEND,
    "resume": Ability.SUSPEND,
    "sleep": Ability.SLEEP,
    "snapshot": Ability.SNAPSHOT,
    TOGETHER: Ability.TOGETHER,
}
_REQUESTS: Final = ("read", "write", "write_fua", "write_dsync", "flush", "discard", "zeroes",
                    TOGETHER)  # fmt: skip


def play(target: Target, trace: Trace) -> Verdict:
    """Play a trace's operations on a target and judge what it shows, up to the first violation.

    Raises UnreadableError for a trace whose own images the reference does not open.
    """
    return Play(target, trace).run()


class Play(Asked):
    """One trace on its way, an operation at a time: `begin`, then `do` for each."""

    def __init__(self, target: Target, trace: Trace) -> None:
        super().__init__(target, trace)
        self.is_open = self.is_suspended = self.is_armed = False
        self.n_sectors = trace.origin_sectors
        self.steps: list[tuple[Op, Observation]] = []
        """What was done, and what was seen."""

    def run(self) -> Verdict:
        """Play it all."""
        started = time.thread_time()
        verdict = self.verdict
        try:
            self.begin()
            for op, recorded in self.trace.steps:
                self.do(op, recorded)
        except RefusedError as error:
            verdict.violation = Violation(None, f"it does not take its devices: {error}")
        except BrokenError as error:
            verdict.violation = Violation.at_last(self.steps, str(error))
        except LostError as error:
            verdict.violation = Violation.at_last(self.steps, str(error), is_lost=True)
        if verdict.violation is not None and self.steps:
            self.steps[-1][1]["violation"] = verdict.violation.what
        verdict.trace = with_done(self.trace, self.steps)
        verdict.own_seconds += time.thread_time() - started
        return verdict

    def do(self, op: Op, recorded: Observation | None = None) -> None:
        """Do an operation, unless the target cannot; raises BrokenError or LostError.

        An error that was recorded of a kernel is no violation.
        """
        recorded = recorded or {}
        if reason := self._left_out(op, recorded):
            self.verdict.left_out[reason] += 1
            return
        seen: Observation = {}
        self.steps.append((op, seen))
        self._step(op, seen, recorded)
        self.verdict.operations[op[0]] += 1

    def begin(self) -> None:
        """Give the target its devices, and the contract what they hold.

        Raises UnreadableError, RefusedError or LostError.
        """
        trace = self.trace
        devices = Devices.of(trace)
        held = b""
        if trace.cache_image or trace.origin_image:
            held = read_by_reference(devices, trace.table)
            self.verdict.images += 1
        if self.target.fixed_sectors is not None:
            self.ask(self.target.window, int(trace.extra.get("first_sector", 0)))
        self.ask(self.target.start, devices)
        if self.target.fixed_sectors is not None:
            held = self.ask(self.target.read, 0, self.n_sectors)
            self.require_length(held, self.n_sectors)
        self.contract = Contract(
            {sector: value for sector, value in enumerate(values_of(held)) if value != ZERO}
        )

    def _left_out(self, op: Op, recorded: Observation) -> str | None:
        """Why an operation is left out; None if it is not."""
        name = op[0]
        abilities = self.target.facts.abilities
        if name == "crash":
            needed = Ability.CRASH_WITHIN if op[2] else Ability.CRASH
        else:
            needed = _NEEDS.get(name, Ability.FUA)
        if (name in _NEEDS or name == "crash") and needed not in abilities:
            return f"{name}: the target cannot do it"
        if name == "snapshot" and self.target.facts.level < Level.IMAGES:
            return "snapshot: the target claims level 1"
        if name in ("fail", "heal", "begin"):
            return f"{name}: it is not asked of a target"
        if name == "message" and op[1:] != ["flush"]:
            return "message: only flush has a meaning for every target"
        if name == "open":
            if recorded.get("errno"):
                return "open: the kernel refused it"
            can_reload = not self.is_open or Ability.SUSPEND in abilities
            return None if can_reload else "open: the target cannot do it twice"
        if name in _REQUESTS and self.is_suspended:
            return f"{name}: the device is suspended"
        without_device = name == "snapshot" or (name == "crash" and op[2])
        return None if self.is_open or without_device else f"{name}: there is no device"

    def _step(self, op: Op, seen: Observation, recorded: Observation) -> None:
        """Play one operation; raises BrokenError or LostError."""
        try:
            match op[0]:
                case "crash":
                    self._crash(op[1], op[2])
                case "snapshot":
                    self._snapshot()
                case "read":
                    self.read(op[1], op[2], seen)
                case "message":
                    self._message(op[1:])
                case "together":
                    self.together(op[1:], seen)
                case "open" | "suspend" | "resume" | "sleep":
                    self._control(op)
                case _:
                    self.request(op)
            self._check_status()
        except PowerFailedError:
            seen["crashed"] = True
            if not self.is_armed:
                raise BrokenError("its power fails, which nobody asked for") from None
            self._has_crashed()
        except RefusedError as error:
            seen["errno"] = error.errno
            if error.message:
                seen["error"] = error.message
            if not recorded.get("errno"):
                raise BrokenError(f"{op[0]} fails though no disk does: {error}") from None

    def _control(self, op: Op) -> None:
        name, *arguments = op
        match name:
            case "open":
                table = arguments[0] if arguments else self.trace.table
                self.ask(self.target.open, table)
                self.is_open, self.is_suspended = True, False
            case "suspend":
                self.is_suspended = True
                self.ask(self.target.suspend)
            case "resume":
                self.ask(self.target.resume)
                self.is_suspended = False
            case _:
                self.ask(self.target.sleep, arguments[0])

    def _message(self, words: list[str]) -> None:
        message = self.contract.flush_message()
        self.ask(self.target.message, *words)
        if words == ["flush"] and Ability.SNAPSHOT in self.target.facts.abilities:
            self._judge_origin(message)

    def _judge_origin(self, message: FlushMessage) -> None:
        """After a `flush` message the origin holds what was written before."""
        origin = self.ask(self.target.snapshot).origin
        self.require_length(origin, self.n_sectors)
        self.verdict.sectors += self.n_sectors
        for sector, value in enumerate(values_of(origin)):
            if value not in self.contract.in_origin(sector, message):
                raise BrokenError(f"sector {sector}: the flush message left the origin out of date")

    def _crash(self, seed: int, after: int) -> None:
        self.ask(self.target.crash, seed, after)
        self.is_armed = after > 0
        if not after:
            self._has_crashed()

    def _has_crashed(self) -> None:
        self.contract.crash()
        self.is_open = self.is_suspended = self.is_armed = False
        self.has_crashed = True
        self.verdict.crashes += 1

    def _snapshot(self) -> None:
        """Let the reference open what the devices hold, and read it to its end."""
        devices = self.ask(self.target.snapshot)
        for name, data, size in (
            ("cache", devices.cache, self.trace.cache_sectors),
            ("origin", devices.origin, self.trace.origin_sectors),
        ):
            if sectors_of(len(data)) != size:
                raise BrokenError(f"the {name} has {len(data)} bytes, not {size} sectors")
        try:
            data = read_by_reference(devices, self.trace.table)
        except UnreadableError as error:
            raise BrokenError(f"the reference does not open the images: {error}") from None
        self.verdict.images += 1
        contract = self.contract
        if self.is_open:
            # What Linux makes of it is what a loss of power may leave that kept everything.
            contract = contract.fork()
            contract.crash()
        self.judge(0, data, "Linux, given the images,", contract)

    def _check_status(self) -> None:
        if Ability.STATUS not in self.target.facts.abilities or not self.is_open:
            return
        if self.target.facts.level < Level.IMAGES:
            return
        line = self.ask(self.target.status)
        fields = line.split()
        if len(fields) not in (4, 14) or not all(one.isdecimal() for one in fields):
            raise BrokenError(f"the status {line!r} is not of 4 or 14 numbers")
        error, n_blocks, n_free = map(int, fields[:3])
        if error or n_free > n_blocks:
            raise BrokenError(f"the status {line!r} says that something is wrong")

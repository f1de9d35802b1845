"""Playing a trace on a target, and judging by the contract and by images what it shows.

The judge tells a contract what the target is asked and what has ended, and asks it of everything
that is read, before a crash and after it.  Nothing here depends on how a target does its work.
"""

import time

from writecache_models.conformance.asking import Asked, BrokenError
from writecache_models.conformance.exchange import UnreadableError, read_by_reference
from writecache_models.conformance.needs import left_out, needed_by
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
from writecache_models.trace import Observation, Op, Trace
from writecache_spec.units import sectors_of


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
        is_reload = op[0] == "open" and self.is_open
        reason = left_out(
            self.target.facts, op, recorded, is_open=self.is_open, is_suspended=self.is_suspended
        )
        if reason:
            self.verdict.left_out[reason] += 1
            return
        seen: Observation = {}
        self.steps.append((op, seen))
        self.verdict.used.update(needed_by(op), [Ability.SUSPEND] if is_reload else [])
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
        self.at_first = {
            sector: value for sector, value in enumerate(values_of(held)) if value != ZERO
        }
        self.contract = Contract(self.at_first)

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
            self.verdict.used.add(Ability.SNAPSHOT)
            self._judge_origin(message)

    def _judge_origin(self, message: FlushMessage) -> None:
        """After a `flush` message the origin holds what was written before."""
        origin = self.ask(self.target.snapshot).origin
        self.require_length(origin, self.n_sectors)
        self.verdict.sectors += self.n_sectors
        for sector, value in enumerate(values_of(origin)):
            allowed = self.contract.in_origin(sector, message)
            if value not in allowed:
                raise BrokenError(
                    self.told(sector, value, allowed, "after the message the origin has")
                )

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
        self.judge(0, data, "Linux, given the images, finds", contract, crashes_now=self.is_open)

    def _check_status(self) -> None:
        if Ability.STATUS not in self.target.facts.abilities or not self.is_open:
            return
        if self.target.facts.level < Level.IMAGES:
            return
        self.verdict.used.add(Ability.STATUS)
        line = self.ask(self.target.status)
        fields = line.split()
        if len(fields) not in (4, 14) or not all(one.isdecimal() for one in fields):
            raise BrokenError(f"the status {line!r} is not of 4 or 14 numbers")
        error, n_blocks, n_free = map(int, fields[:3])
        if error or n_free > n_blocks:
            raise BrokenError(f"the status {line!r} says that something is wrong")

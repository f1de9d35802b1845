"""Level 3: what a target shows after every operation is what the reference shows.

What is noted is what a vector notes of a kernel: status, table, errno, messages, data, and both
devices' bytes, and where the target can say so the order of its writes.  The judge of kernels'
vectors (`writecache_models.judge`) judges it.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import ParamSpec, TypeVar

from writecache_models.conformance.needs import needed_by
from writecache_models.conformance.target import Ability, Devices, LostError, RefusedError, Target
from writecache_models.conformance.verdicts import Verdict, Violation, returned, with_done
from writecache_models.devices import pattern
from writecache_models.digests import (
    Range,
    content_digest,
    masked_digest,
    named_start_sectors,
    undefined_ranges,
)
from writecache_models.judge import judge
from writecache_models.trace import LOGS, NO_LOGS, TARGETS_OWN, TOGETHER, Observation, Op, Trace
from writecache_models.workloads import generate
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.units import Sector

P = ParamSpec("P")
R = TypeVar("R")
NOT_ASKED = ("fail", "heal", "begin", *TARGETS_OWN)
_REQUESTS = ("read", "write", "write_fua", "write_dsync", "flush", "discard", TOGETHER)


def draw_exact(seed: str, target: Target) -> Trace:
    """The trace that a seed stands for: of all families of workloads that a target can play."""
    abilities = target.facts.abilities
    number = 0
    while True:
        trace = generate(f"{seed}.{number}" if number else seed, None, _version(target))
        number += 1
        if exact_problem(trace, target) is None:
            logged = Ability.LOG in abilities and number % 2 == 1
            return logged_without_fua(trace) if logged else trace


def logged_without_fua(trace: Trace) -> Trace:
    """The trace with a log for each device, and a write and a flush for each write with FUA.

    Who makes data durable by the commit that follows has no need to write it with FUA.
    """
    ops: list[Op] = []
    for op in trace.ops:
        if op[0] in ("write_fua", "write_dsync"):
            ops += [["write", *op[1:]], ["flush"]]
        else:
            ops.append(op)
    return replace(trace.with_logs(LOGS[1]), steps=tuple((op, {}) for op in ops))


def exact_problem(trace: Trace, target: Target) -> str | None:
    """Why a trace is not asked of a target; None if it is."""
    names = {op[0] for op in trace.ops}
    abilities = target.facts.abilities
    if found := sorted(names.intersection(NOT_ASKED)):
        return f"{found[0]} is not asked of a target"
    if trace.extra.get("origin_delay") or trace.extra.get("cache_delay"):
        return "devices that are slow"
    for name, needed in (("sleep", Ability.SLEEP), (TOGETHER, Ability.TOGETHER),
                         ("write_fua", Ability.FUA), ("discard", Ability.DISCARD)):  # fmt: skip
        if name in names and needed not in abilities:
            return f"{name}: the target cannot do it"
    if trace.table.lower().startswith("p"):
        return "a table of mode p"
    return None


def play_exact(target: Target, trace: Trace) -> Verdict:
    """Play a trace on a target and judge it by the reference, up to the first divergence."""
    started = time.thread_time()
    play = _Play(target, trace)
    verdict = Verdict(trace=trace)
    steps: list[tuple[Op, Observation]] = []
    try:
        play.ask(target.start, Devices.of(trace))
        for op in trace.ops:
            if play.can(op):
                steps.append((op, {}))
                verdict.used.update(needed_by(op), play.looks)
                steps[-1] = op, play.step(op)
            else:
                verdict.left_out[f"{op[0]}: there is no device"] += 1
    except RefusedError as error:
        verdict.violation = Violation.at_last(steps, f"it does not say how it is: {error}")
    except LostError as error:
        verdict.violation = Violation.at_last(steps, str(error), is_lost=True)
    played = replace(play.trace, kernel=None, target=_version(target))
    verdict.trace = with_done(played, steps)
    if verdict.violation is None:
        _judge(verdict, profile_for(target))
    verdict.target_seconds = play.seconds
    verdict.own_seconds = time.thread_time() - started - play.seconds_here
    return verdict


def profile_for(target: Target) -> Profile:
    """By which a target asks to be judged."""
    profile = PROFILES[target.facts.profile or "1.6.0"]
    return profile.repaired() if target.facts.repaired else profile


def _version(target: Target) -> str:
    return (target.facts.profile or "1.6.0").partition("-")[0]


def _judge(verdict: Verdict, profile: Profile) -> None:
    report = judge(verdict.trace, profile)
    verdict.operations = Counter(report.operations)
    if (divergence := report.divergence) is not None:
        said = (
            f"{key}: seen {seen!r}, expected {expected!r}"
            for key, (seen, expected) in divergence.differences().items()
        )
        verdict.violation = Violation(divergence.step, "; ".join(said))
        steps = verdict.trace.steps[: divergence.step + 1]
        verdict.trace = replace(verdict.trace, steps=steps)
    elif report.problem:
        verdict.violation = Violation.at_last(verdict.trace.steps[: report.steps], report.problem)


class _Play:
    """One trace on its way."""

    def __init__(self, target: Target, trace: Trace) -> None:
        self.target = target
        self.logs = trace.extra.get("logs", NO_LOGS) == LOGS[1]
        if not self.logs or Ability.LOG not in target.facts.abilities:
            self.logs = False
            extra = {key: value for key, value in trace.extra.items() if key != "logs"}
            trace = replace(trace, extra=extra)
        self.trace = trace
        self.looks = {Ability.STATUS, Ability.SNAPSHOT, *([Ability.LOG] if self.logs else [])}
        """By what it is judged after each operation."""
        self.seconds = self.seconds_here = 0.0
        self.is_open = self.is_suspended = False
        self._starts = frozenset({Sector(0)})
        self._undefined: frozenset[Range] = frozenset()

    def ask(self, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Let the target do something; its time is not ours."""
        began, began_here = time.perf_counter(), time.thread_time()
        try:
            return method(*arguments, **named)
        finally:
            self.seconds += time.perf_counter() - began
            self.seconds_here += time.thread_time() - began_here

    def can(self, op: Op) -> bool:
        """Whether there is a device for it."""
        if op[0] == "open":
            return True
        return self.is_open and not (op[0] in _REQUESTS and self.is_suspended)

    def step(self, op: Op) -> Observation:
        """Do one operation, and look."""
        seen: Observation = {}
        try:
            self._perform(op, seen)
        except RefusedError as error:
            seen["errno"] = error.errno
            if op[0] == "open" and error.message:
                seen["error"] = error.message
            elif op[0] == "open":
                # Not the constructor refused it: the table is loaded, and the device waits.
                self.is_suspended = True
        seen["status"] = self.ask(self.target.status) if self.is_open else None
        devices = self.ask(self.target.snapshot)
        self._undefined |= undefined_ranges(devices.cache, self._starts)
        seen["cache"] = masked_digest(devices.cache, self._undefined)
        seen["origin"] = content_digest(devices.origin)
        if self.logs:
            seen["log"] = self.ask(self.target.log)
        return seen

    def _perform(self, op: Op, seen: Observation) -> None:
        name, *arguments = op
        target = self.target
        match name:
            case "open":
                table = arguments[0] if arguments else self.trace.table
                self._starts |= named_start_sectors(table)
                self.ask(target.open, table)
                self.is_open, self.is_suspended = True, False
                seen["table"] = self.ask(target.table)
            case "read":
                seen["read"] = content_digest(self.ask(target.read, *arguments))
            case "flush":
                self.ask(target.flush)
            case "discard":
                self.ask(target.discard, *arguments)
            case "message":
                self.ask(target.message, *arguments)
            case "suspend":
                self.is_suspended = True
                self.ask(target.suspend)
            case "resume":
                self.ask(target.resume)
                self.is_suspended = False
            case "sleep":
                self.ask(target.sleep, arguments[0])
            case "together":
                results = self.ask(target.together, arguments)
                seen[TOGETHER] = [returned(result) for result in results]
            case _:
                self.ask(target.write, arguments[0], pattern(*arguments), fua=name != "write")
                if name == "write_dsync":
                    self.ask(target.flush)

"""Requests of a target, the contract told of each, and asked of what is read."""

import time
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar

from writecache_models.conformance.explaining import History
from writecache_models.conformance.target import LostError, RefusedError, Target
from writecache_models.conformance.verdicts import Verdict, returned, values_of
from writecache_models.contract import ZERO, Contract, Request, Value
from writecache_models.devices import pattern
from writecache_models.digests import content_digest
from writecache_models.trace import TOGETHER, Observation, Op, Trace
from writecache_spec.units import SECTOR_SIZE, sectors_of

P = ParamSpec("P")
R = TypeVar("R")


class BrokenError(Exception):
    """What a target claims does not hold; the text says how."""


class Asked:
    """A target, what it may show, and what has become of it."""

    def __init__(self, target: Target, trace: Trace) -> None:
        self.target, self.trace = target, trace
        self.contract = Contract()
        self.verdict = Verdict(trace=trace)
        self.has_crashed = False
        self.steps: list[tuple[Op, Observation]] = []
        """What was done, and what was seen."""
        self.at_first: dict[int, Value] = {}
        """What sectors held that did not hold zeros."""

    def ask(self, method: Callable[P, R], *arguments: P.args, **named: P.kwargs) -> R:
        """Let the target do something; its time is not ours."""
        began, began_here = time.perf_counter(), time.thread_time()
        try:
            return method(*arguments, **named)
        finally:
            self.verdict.target_seconds += time.perf_counter() - began
            self.verdict.own_seconds -= time.thread_time() - began_here

    def request(self, op: Op) -> None:
        """A request that returns nothing."""
        name, *arguments = op
        if name == "write_dsync":
            self.request(["write", *arguments])
            name, arguments = "flush", []
        request = self._begin([name, *arguments])
        try:
            self.ask(self._perform, name, arguments)
        except RefusedError:
            self._end(name, request, failed=True)
            raise
        self._end(name, request, failed=False)

    def _begin(self, op: Op) -> Request:
        """Tell the contract of a request that begins."""
        name, *arguments = op
        match name:
            case "write" | "write_fua" | "write_dsync":
                sector, n_sectors, tag = arguments
                values = values_of(pattern(sector, n_sectors, tag))
                return self.contract.write(sector, values, fua=name != "write")
            case "discard":
                return self.contract.discard(*arguments)
            case "zeroes":
                return self.contract.write(arguments[0], [ZERO] * arguments[1])
        return self.contract.flush()

    def _end(self, name: str, request: Request, failed: bool) -> None:
        if name == "flush":
            self.contract.end_flush(request, failed)
        elif name != "read":
            self.contract.end(request, failed)

    def _perform(self, name: str, arguments: list[int]) -> None:
        target = self.target
        match name:
            case "flush":
                target.flush()
            case "discard":
                target.discard(*arguments)
            case "zeroes":
                target.zeroes(*arguments)
            case _:
                target.write(arguments[0], pattern(*arguments), fua=name == "write_fua")

    def read(self, sector: int, n_sectors: int, seen: Observation) -> None:
        """A read."""
        data = self.ask(self.target.read, sector, n_sectors)
        self.require_length(data, n_sectors)
        seen["read"] = content_digest(data)
        self.judge(sector, data, "a read finds")

    def together(self, requests: list[Op], seen: Observation) -> None:
        """Several requests at once: each may come before each other one."""
        begun = [self._begin(request) for request in requests]
        readable = {
            sector: self.contract.readable(sector)
            for name, *place in requests
            if name == "read"
            for sector in range(place[0], place[0] + place[1])
        }
        results = self.ask(self.target.together, requests)
        seen[TOGETHER] = [returned(result) for result in results]
        for (name, *place), request, result in zip(requests, begun, results, strict=True):
            self._end(name, request, failed=isinstance(result, RefusedError))
            if isinstance(result, RefusedError):
                raise result
            if name == "read":
                data = result or b""
                self.require_length(data, place[1])
                self.verdict.sectors += place[1]
                for sector, value in enumerate(values_of(data), place[0]):
                    if value not in readable[sector]:
                        who = "a read among others finds"
                        raise BrokenError(self.told(sector, value, readable[sector], who))

    def judge(
        self,
        sector: int,
        data: bytes,
        who: str,
        contract: Contract | None = None,
        crashes_now: bool = False,
    ) -> None:
        """Compare with what sectors may hold."""
        self.verdict.sectors += sectors_of(len(data))
        contract = contract or self.contract
        wrong = contract.read(sector, values_of(data))
        if wrong:
            where, value = wrong[0]
            text = self.told(where, value, contract.readable(where), who, crashes_now)
            more = f"; sectors that are wrong besides: {len(wrong) - 1}" if len(wrong) > 1 else ""
            raise BrokenError(text + more)

    def told(
        self,
        sector: int,
        value: Value,
        allowed: Iterable[Value],
        who: str,
        crashes_now: bool = False,
    ) -> str:
        """What is wrong with a value that a sector should not hold."""
        history = History(self.steps, self.at_first)
        after = " after a crash" if self.has_crashed else ""
        expected = history.expected(sector, allowed, crashes_now)
        return f"sector {sector}: {who} {history.found(sector, value)}{after}; expected {expected}"

    def require_length(self, data: bytes, n_sectors: int) -> None:
        """Raise LostError for a read that is too long or too short."""
        if len(data) != n_sectors * SECTOR_SIZE:
            raise LostError(f"{len(data)} bytes came of a read of {n_sectors} sectors")

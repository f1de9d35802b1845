"""Traces of operations, played on a machine whose every effect is noted."""

from collections.abc import Iterator
from typing import Any, Final

from writecache_models.actions import ChoiceError, HangError, Outcome, PanicError
from writecache_models.contract import Contract, FlushMessage, Request
from writecache_models.crashing import MISTOLD, Setting, begin, end, sectors_in, value_of
from writecache_models.observations import UnusableStepError, agrees, observe, perform
from writecache_models.trace import BEGIN, TOGETHER, Observation, Op, Trace, script_of
from writecache_models.trace_states.contents import ByteReader, in_words
from writecache_models.trace_states.moments import DEVICE, END, Step
from writecache_models.trace_states.reading import read_rows
from writecache_models.trace_states.watched import WatchedDevices, WatchedMachine
from writecache_models.trace_states.words import (
    op_in_words,
)
from writecache_models.volatile import Volatile
from writecache_spec.profile import Profile
from writecache_spec.units import SECTOR_SIZE

NOT_JUDGED_IMAGE: Final = "the trace begins with an image of a cache: nobody says what it promised"
NOT_JUDGED_FAULT: Final = "a disk fails in this trace"
_ROWS_READ: Final = 3
"""Runs of sectors that a read's result names."""


def play(trace: Trace, profile: Profile) -> Iterator[Step]:
    """Play a trace, one step after the other, until it ends or the kernel dies or hangs.

    Raises UnusableStepError.
    """
    player = _Player(trace, profile)
    for number, (op, seen) in enumerate(trace.steps):
        try:
            step = player.step(op, seen)
        except UnusableStepError as error:
            raise UnusableStepError(f"step {number}: {error}") from None
        yield step
        if player.is_dead:
            return


class _Player:
    def __init__(self, trace: Trace, profile: Profile) -> None:
        self.trace = trace
        disks = tuple(_disk(image) for image in (trace.cache_image, trace.origin_image))
        sizes = trace.cache_sectors * SECTOR_SIZE, trace.origin_sectors * SECTOR_SIZE
        self.setting = Setting(profile, trace.table, trace.cache_sectors, trace.origin_sectors)
        self.machine = WatchedMachine(profile, WatchedDevices(disks, sizes))
        self.machine.cache_reads_slowly = bool(trace.extra.get("cache_delay"))
        self.machine.table_line = trace.table
        self.is_dead = False
        before = dict(enumerate(map(value_of, sectors_in(_whole(trace.origin_image)))))
        self.contract = None if trace.cache_image else Contract(before)

    def step(self, op: Op, seen: Observation) -> Step:
        """Play one operation."""
        machine = self.machine
        machine.noted, machine.n_left_out = [], 0
        whole, op = op, op[1:] if op[0] == BEGIN else op
        if op[0] == "fail":
            self.contract = None
        begun = self._begin(op)
        outcome, result = self._perform(whole, seen)
        wrong = [] if outcome is None else self._end(op, begun, outcome)
        if outcome is None:
            wrong = [(result, None)]
        elif op[0] == "open" and not outcome.errno:
            machine.table_line = op[1] if len(op) > 1 else self.trace.table
        self._show_contract()
        if outcome is not None and outcome.errno and machine.wc is None:
            # No table has been taken yet: nothing is owed to anybody.
            machine.contract = None
            machine.noted = [moment._replace(contract=None) for moment in machine.noted]
        if machine.n_left_out:
            machine.note(DEVICE, f"({machine.n_left_out} moments more are left out)")
        machine.note(END, f"{op_in_words(op)}: {result}")
        # What a load has returned is wrong whatever the contract knows.
        judged = self.contract is not None or outcome is None or outcome.returned
        said = tuple(self._in_words(*one, op, outcome) for one in wrong) if judged else ()
        return Step(
            op_in_words(whole), machine.noted, result, machine.status(), said,
            self._compare(whole, seen, outcome),
        )  # fmt: skip

    def _begin(self, op: Op) -> tuple[FlushMessage, list[Request]] | None:
        contract = self.contract
        if contract is None:
            return None
        message = contract.flush_message()
        requests = (
            [begin(contract, one) for client in op[1:] for one in script_of(client)]
            if op[0] == TOGETHER
            else [begin(contract, op)]
        )
        self._show_contract()
        return message, requests

    def _show_contract(self) -> None:
        self.machine.contract = None if self.contract is None else self.contract.fork()

    def _perform(self, whole: Op, seen: Observation) -> tuple[Outcome | None, str]:
        """Do it; also in words what it returned.  None: the kernel is dead."""
        machine = self.machine
        machine.choices, machine.alternatives = tuple(seen.get("schedule", ())), []
        try:
            outcome = perform(machine, whole, self.trace.table)
        except (PanicError, HangError) as death:
            self.is_dead = True
            what = "panic: " + death.reason.value if isinstance(death, PanicError) else "hang"
            return None, f"the kernel ends in a {what}"
        except ChoiceError:
            self.is_dead = True
            return Outcome(), "the schedule of the recording cannot be followed any further"
        first = whole[-2] if whole[-3:-2] == ["read"] else 0
        return outcome, _returned(outcome, first)

    def _end(
        self, op: Op, begun: tuple[FlushMessage, list[Request]] | None, outcome: Outcome
    ) -> list[tuple[str, int | None]]:
        if outcome.returned:
            return [(MISTOLD, None)]
        contract = self.contract
        if contract is None or begun is None:
            return []
        message, requests = begun
        if op[0] != TOGETHER:
            return end(self.setting, self.machine, contract, op, (requests[0], message), outcome)
        scripts = [one for client in op[1:] for one in script_of(client)]
        parts = [one for part in outcome.parts for one in (part.parts or (part,))]
        for one, request, part in zip(scripts, requests, parts, strict=True):
            # A read beside others is not judged: the contract here knows their beginnings only.
            if one[0] != "read":
                end(self.setting, self.machine, contract, one, (request, message), part)
        return []

    def _in_words(self, what: str, sector: int | None, op: Op, outcome: Outcome | None) -> str:
        """What is wrong, with what is read and what may be."""
        if sector is None or self.contract is None:
            return what
        if op[0] != "read" or outcome is None or outcome.data is None:
            return f"{what}: sector {sector}"
        held = sectors_in(outcome.data)[sector - op[1]]
        allowed = self.contract.readable(sector)
        return (
            f"{what}: sector {sector} reads {words_of(held, sector)}, not {any_of(allowed, sector)}"
        )

    def _compare(self, op: Op, seen: Observation, outcome: Outcome | None) -> str | None:
        """Whether this is what a recording shows."""
        shown = {key: value for key, value in seen.items() if key not in ("schedule", "log")}
        if not shown:
            return None
        if outcome is None:
            return "agrees" if {"panic", "hang"} & shown.keys() else "differs"
        digests = "cache" in seen or "origin" in seen
        expected = observe(self.machine, op, outcome, digests)
        return "agrees" if agrees(expected, shown) else "differs"


def _whole(image: bytes) -> bytes:
    return image.ljust(-(-len(image) // SECTOR_SIZE) * SECTOR_SIZE, b"\0")


def _disk(image: bytes) -> Volatile:
    return Volatile(dict(enumerate(sectors_in(_whole(image)))))


def _returned(outcome: Outcome, first: int = 0) -> str:
    """What an operation returned; a read began at sector `first`."""
    if outcome.parts:
        return " | ".join(map(_returned, outcome.parts))
    if outcome.errno:
        return f"{outcome.errno}: {outcome.message}" if outcome.message else outcome.errno
    if outcome.data is None:
        return "success"
    values = dict(enumerate((value_of(one) or None for one in sectors_in(outcome.data)), first))
    read = read_rows(ByteReader(None), values, None, range(first, first + len(values)))
    said = [f"{where}: {what}" for where, what, *_ in read[:_ROWS_READ]]
    more = [f"{len(read) - _ROWS_READ} runs more"] if len(read) > _ROWS_READ else []
    return f"reads {', '.join([*said, *more])}"


def words_of(value: Any, sector: int) -> str:
    """A value of the contract's, as it would be read from a sector."""
    return in_words(ByteReader(None).kind("origin", sector, value or None), at=sector)


def any_of(values: Any, sector: int) -> str:
    """One of several values."""
    return " or ".join(sorted({words_of(value, sector) for value in values}))

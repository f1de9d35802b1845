"""The checker: whether what was seen is something that the reference does.

It carries the *set* of machines that fit everything seen so far: nearly always one.  At each step
they do the operation by the canonical schedule (`kernel`), or by the one that the trace itself
names.  Where that does not fit, a choice was made otherwise: in this step, or in one before it
without showing.  So the last `MAXIMUM_CHECKPOINTS` steps that had a choice are taken up again, the
latest first; schedules that are nearly canonical come first; all machines that fit are kept, and
everything since is judged anew.

The search is bounded: by `EFFORTS`, states between the pieces of a request, in three rounds, and by
`MAXIMUM_SETTLINGS`, ways in which an operation can end.  What was tried is counted.  A step that
nothing explains is a *divergence*.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import islice
from typing import Any, Final, NamedTuple

from writecache_models.content import Content
from writecache_models.devices import Devices, content_digest
from writecache_models.kernel import Action, HangError, Kind, PanicError
from writecache_models.machine import GOES_ON, Machine, Outcome
from writecache_models.vectors import Observation, Op, Trace
from writecache_spec.profile import Profile, profile_for_kernel
from writecache_spec.units import SECTOR_SIZE

EFFORTS: Final = (64, 1024, 4096)
"""States between the pieces of a write that are looked at, on one machine: first, then, at last."""
MAXIMUM_SETTLINGS: Final = 64
"""Ways to settle that are tried from one state."""
MAXIMUM_CHECKPOINTS: Final = 12
"""Earlier steps that can be taken up again."""
MAXIMUM_MACHINES: Final = 16
"""Machines that are carried from one step to the next."""
MAXIMUM_FITTING: Final = 128
"""Machines that fit a step that is taken up again, with which the later ones are judged anew."""


class UnusableStepError(ValueError):
    """The operation has no place in a trace here: no device, or across its end."""


def new_machine(trace: Trace, profile: Profile) -> Machine:
    """A machine with a trace's devices, before its first step."""
    return Machine(
        profile,
        Devices(
            Content(trace.cache_sectors * SECTOR_SIZE, trace.cache_image),
            Content(trace.origin_sectors * SECTOR_SIZE, trace.origin_image),
        ),
    )


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
    writes_at_end = name != "read" and sector >= end
    if name != "discard" and sector + n_sectors > end and not writes_at_end:
        raise UnusableStepError(f"{name}: the request crosses the end of the device")
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


_Outcome = tuple[tuple[int, ...], Machine, Observation]
"""Choices made, the machine after them, and what it shows."""


_Habit = tuple[Kind, ...]
"""What happens first, of all that can."""

_LAZY: Final = (Kind.SETTLE, Kind.GO_ON, Kind.FLUSH_THREAD, Kind.WORK, Kind.COPY, Kind.ENDIO)
_BACKGROUND: Final = (Kind.FLUSH_THREAD, Kind.WORK, Kind.COPY, Kind.ENDIO, Kind.SETTLE, Kind.GO_ON)
_EAGER: Final = (Kind.ENDIO, Kind.COPY, Kind.FLUSH_THREAD, Kind.WORK, Kind.GO_ON, Kind.SETTLE)
HABITS: Final[tuple[_Habit, ...]] = (_LAZY, _BACKGROUND, _EAGER)
"""Requests before the background, as is canonical; the background before requests; what was begun
before what is new."""


def _habitual(habit: _Habit, options: list[Action]) -> Action:
    """What a habit does of several things; among equal ones the first."""
    return min(options, key=lambda option: habit.index(option.kind))


def _habits_after(habit: _Habit, options: list[Action], option: Action) -> list[_Habit]:
    """Habits that a schedule may have from here on, having done `option`."""
    if _habitual(habit, options) == option:
        return [habit]
    others = [other for other in HABITS if _habitual(other, options) == option]
    return [habit, *others]


class _Node(NamedTuple):
    """A write at a gap; ordered by the first two."""

    cost: int
    number: int
    path: tuple[int, ...]
    machine: Machine
    habit: _Habit


class _Checkpoint(NamedTuple):
    """A step at which there was a choice that the canonical schedule made."""

    number: int
    candidates: list[Candidate]
    """As they were before it."""


class Checker:
    """Judges one trace's observations, step by step."""

    def __init__(self, trace: Trace, profile: Profile) -> None:
        self.trace = trace
        self.candidates = [Candidate(new_machine(trace, profile), {})]
        """Those with the fewest deviations first."""
        self._steps: list[tuple[Op, Observation]] = []
        self._checkpoints: list[_Checkpoint] = []

    def step(self, op: Op, seen: Observation) -> Verdict:
        """Judge one observation; raises UnusableStepError."""
        number = len(self._steps)
        self._steps.append((op, seen))
        verdict = Verdict()
        pristine = [Candidate(one.machine.fork(), one.deviations) for one in self.candidates]
        if "schedule" in seen:
            kept, had_choice = self._as_recorded(number, verdict), True
        else:
            kept, had_choice = self._canonical(self.candidates, op, seen, verdict)
        if had_choice:
            self._checkpoints = [
                *self._checkpoints[1 - MAXIMUM_CHECKPOINTS :],
                _Checkpoint(number, pristine),
            ]
        if not kept:
            kept = self._reconsider(number, verdict)
        verdict.explained = bool(kept)
        self.candidates = kept
        return verdict

    def _canonical(
        self, candidates: list[Candidate], op: Op, seen: Observation, verdict: Verdict
    ) -> tuple[list[Candidate], bool]:
        """Let every candidate do an operation canonically; also whether any met a choice."""
        kept = []
        had_choice = False
        for candidate in candidates:
            expected = self._perform(candidate.machine, op, seen, ())
            if not verdict.schedules:
                verdict.expected = expected
            verdict.schedules += 1
            had_choice |= bool(candidate.machine.alternatives)
            if agrees(expected, seen):
                kept.append(candidate)
        return kept, had_choice

    def _as_recorded(self, number: int, verdict: Verdict) -> list[Candidate]:
        """Try the schedule that the trace itself names."""
        op, seen = self._steps[number]
        choices = tuple(seen["schedule"])
        kept = []
        for candidate in self.candidates:
            machine = candidate.machine.fork()
            verdict.schedules += 1
            if agrees(self._perform(machine, op, seen, choices), seen):
                kept.append(Candidate(machine, {**candidate.deviations, number: choices}))
        return kept

    def _explore(
        self, candidates: list[Candidate], number: int, verdict: Verdict, effort: int
    ) -> list[Candidate]:
        """Try the schedules of one step on every candidate."""
        kept: list[Candidate] = []
        for candidate in candidates:
            fitting = self._explore_one(candidate, number, verdict, effort)
            kept += islice(fitting, MAXIMUM_FITTING)
        return _distinct(kept, MAXIMUM_FITTING)

    def _explore_one(
        self, candidate: Candidate, number: int, verdict: Verdict, effort: int
    ) -> Iterator[Candidate]:
        op, seen = self._steps[number]
        for choices, after, expected in self._schedules(candidate.machine, op, seen, effort):
            verdict.schedules += 1
            if agrees(expected, seen):
                deviations = candidate.deviations
                if any(choices):
                    deviations = {**deviations, number: choices}
                yield Candidate(after, deviations)

    def _reconsider(self, number: int, verdict: Verdict) -> list[Candidate]:
        """Take up choices again, the latest first, and judge anew what came after each."""
        for effort in EFFORTS:
            for position in reversed(range(len(self._checkpoints))):
                taken_up, candidates = self._checkpoints[position]
                kept = self._explore(candidates, taken_up, verdict, effort)
                since: list[_Checkpoint] = []
                for again in range(taken_up + 1, number + 1):
                    kept, checkpoint = self._again(kept, again, verdict, effort)
                    since += [checkpoint] if checkpoint else []
                if kept:
                    self._checkpoints[position + 1 :] = since
                    return kept[:MAXIMUM_MACHINES]
        return []

    def _again(
        self, candidates: list[Candidate], number: int, verdict: Verdict, effort: int
    ) -> tuple[list[Candidate], _Checkpoint | None]:
        """Judge a later step anew: canonically, or if that does not fit by other schedules."""
        forks = [Candidate(one.machine.fork(), one.deviations) for one in candidates]
        op, seen = self._steps[number]
        kept, had_choice = self._canonical(forks, op, seen, verdict)
        if not had_choice:
            return kept, None
        checkpoint = _Checkpoint(number, candidates)
        return kept or self._explore(candidates, number, verdict, effort), checkpoint

    def _perform(
        self, machine: Machine, op: Op, seen: Observation, choices: tuple[int, ...]
    ) -> Observation:
        machine.choices, machine.alternatives = choices, []
        return self._observed(machine, op, seen, lambda: perform(machine, op, self.trace.table))

    def _observed(
        self, machine: Machine, op: Op, seen: Observation, do: Callable[[], Outcome]
    ) -> Observation:
        """Do something and observe what came of it, a death included."""
        try:
            outcome = do()
        except PanicError as panic:
            return {"panic": True, "reason": panic.reason.value}
        except HangError:
            return {"hang": True}
        return observe(machine, op, outcome, digests="cache" in seen or "origin" in seen)

    def _schedules(
        self, machine: Machine, op: Op, seen: Observation, effort: int
    ) -> Iterator[_Outcome]:
        """The schedules of one operation, nearly canonical ones first, up to the bound."""
        if op[0].startswith("write"):
            return self._write_schedules(machine, op, seen, effort)
        return self._settlings(machine, op, seen)

    def _write_schedules(
        self, machine: Machine, op: Op, seen: Observation, effort: int
    ) -> Iterator[_Outcome]:
        """Walk through what may happen between the pieces of a write, and after it.

        A schedule follows a habit, and what it costs is how often it breaks with it: cheap
        schedules come first.  The canonical one costs nothing.
        """
        begun = machine.fork()
        begun.begin_write(op[1], op[2], op[3], op[0] == "write_fua", op[0] == "write_dsync")
        agenda: list[_Node] = [_Node(0, 0, (), begun, HABITS[0])]
        visited: set[object] = set()
        made = 0
        while agenda:
            cost, _, path, node, habit = heappop(agenda)
            death = self._proceed(node)
            options = [] if death else node.options()
            if death or not options:
                yield path, node, death or self._observed(node, op, seen, _written(node))
                continue
            state = (node.request, node.fingerprint(), habit)
            too_many = len(visited) >= effort
            if too_many or state in visited or not still_possible(node, seen):
                continue
            visited.add(state)
            # Where there is one way only there is no choice, unless a request is under way.
            is_choice = node.request is not None or len(options) > 1
            before = made
            for choice, option in enumerate(options):
                child = node.fork()
                child.waiting_at_gap = option.kind not in GOES_ON
                if not self._survives(child, option):
                    continue
                further = (*path, choice) if is_choice else path
                for next_habit in _habits_after(habit, options, option):
                    made += 1
                    # The first habit's way is canonical; to take up another costs once.
                    broken = next_habit is not habit or _habitual(habit, options) != option
                    heappush(agenda, _Node(cost + broken, made, further, child, next_habit))
            if made == before:
                # All that is left to do pauses.
                yield path, node, self._observed(node, op, seen, _written(node))

    def _proceed(self, node: Machine) -> Observation | None:
        """Let a write go on to its next gap or its end; an observation if the kernel dies."""
        if node.death:
            return {"panic": True, "reason": node.death.reason.value}
        try:
            while node.request is not None and not (node.waiting_at_gap and node.options()):
                node.waiting_at_gap = True
                node.proceed()
        except PanicError as panic:
            return {"panic": True, "reason": panic.reason.value}
        except HangError:
            return {"hang": True}
        return None

    def _survives(self, node: Machine, option: Action) -> bool:
        """Let something happen; whether it did.  What kills the kernel is kept for its end."""
        try:
            return node.act(option)
        except PanicError as panic:
            node.death = panic
            return True

    def _settlings(self, machine: Machine, op: Op, seen: Observation) -> Iterator[_Outcome]:
        """Ways to do an operation that is no write, by the choices met while it settles."""
        agenda: deque[tuple[int, ...]] = deque([()])
        tried = 0
        while agenda and tried < MAXIMUM_SETTLINGS:
            choices = agenda.popleft()
            tried += 1
            fork = machine.fork()
            yield choices, fork, self._perform(fork, op, seen, choices)
            for position in range(len(choices), len(fork.alternatives)):
                canonical = (0,) * (position - len(choices))
                for choice in range(1, fork.alternatives[position]):
                    agenda.append((*choices, *canonical, choice))


def _distinct(candidates: list[Candidate], limit: int) -> list[Candidate]:
    """Candidates without those that will do the same as one with fewer deviations."""
    distinct: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda one: len(one.deviations)):
        if len(distinct) == limit:
            break
        if not any(candidate.machine.same_as(other.machine) for other in distinct):
            distinct.append(candidate)
    return distinct


def still_possible(machine: Machine, seen: Observation) -> bool:
    """Whether a write under way can still end as it was seen to end: counters never go down."""
    status = machine.status()
    counters = [int(field) for field in (status or "").split()[4:]]
    expected = [int(field) for field in (seen.get("status") or "").split()[4:]]
    return all(a <= b for a, b in zip(counters, expected, strict=False))


def _written(machine: Machine) -> Callable[[], Outcome]:
    return lambda: Outcome(machine.write_errno)


_COMPARED: Final = ("panic", "hang", "status", "table", "errno", "error", "read")


def agrees(expected: Observation, seen: Observation) -> bool:
    """Whether two observations say the same, as far as the second says anything."""
    if seen.get("panic") or expected.get("panic"):
        return bool(seen.get("panic")) == bool(expected.get("panic"))
    if any(expected.get(key) != seen.get(key) for key in _COMPARED):
        return False
    return all(key not in seen or expected.get(key) == seen[key] for key in ("cache", "origin"))

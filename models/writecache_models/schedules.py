"""Schedules: the ways in which an operation can go, nearly canonical ones first, up to a bound.

A write is searched as a graph: at each gap between its pieces, and after the last of them, any of
the background's critical sections may run; states that will do the same are looked at once.  A
schedule follows a *habit*, and what it costs is how often it breaks with it, and for what.  Any
other operation is searched by the choices that it meets while it settles.
"""

from collections import deque
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from writecache_models.actions import Action, HangError, Kind, PanicError
from writecache_models.machine import Machine
from writecache_models.observations import observe, perform, still_possible
from writecache_models.requests import GOES_ON, Outcome
from writecache_models.vectors import Observation, Op

Played = tuple[tuple[int, ...], Machine, Observation]
"""Choices made, the machine after them, and what it shows."""

_Habit = tuple[Kind, ...]
"""What happens first, of all that can."""

_LAZY: Final = (
    Kind.SETTLE,
    Kind.GO_ON,
    Kind.FLUSH_THREAD,
    Kind.WORK,
    Kind.COPY,
    Kind.ENDIO,
    Kind.COPIES,
)
_BACKGROUND: Final = (
    Kind.FLUSH_THREAD,
    Kind.WORK,
    Kind.COPY,
    Kind.ENDIO,
    Kind.SETTLE,
    Kind.GO_ON,
    Kind.COPIES,
)
_EAGER: Final = (
    Kind.ENDIO,
    Kind.COPY,
    Kind.FLUSH_THREAD,
    Kind.WORK,
    Kind.GO_ON,
    Kind.SETTLE,
    Kind.COPIES,
)
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


class Recorded(NamedTuple):
    """One recorded step: the operation, what was seen of it, and the table it may open."""

    op: Op
    seen: Observation
    table: str

    def perform(self, machine: Machine, choices: tuple[int, ...]) -> Observation:
        """Do the operation with these choices."""
        machine.choices, machine.alternatives = choices, []
        return self._observed(machine, lambda: perform(machine, self.op, self.table))

    def schedules(self, machine: Machine, effort: int) -> Iterator[Played]:
        """Ways to do it, nearly canonical ones first, up to the bound."""
        if self.op[0].startswith("write"):
            return self._write_schedules(machine, effort)
        return self._settlings(machine, effort)

    def _observed(self, machine: Machine, do: Callable[[], Outcome]) -> Observation:
        """Do something and observe what came of it, a death included."""
        try:
            outcome = do()
        except PanicError as panic:
            return {"panic": True, "reason": panic.reason.value}
        except HangError:
            return {"hang": True}
        digests = "cache" in self.seen or "origin" in self.seen
        return observe(machine, self.op, outcome, digests)

    def _end(self, machine: Machine) -> Observation:
        """What a write shows that has come to its end."""
        return self._observed(machine, lambda: Outcome(machine.write_errno))

    def _settlings(self, machine: Machine, effort: int) -> Iterator[Played]:
        """Ways to do an operation that is no write, by the choices met while it settles."""
        agenda: deque[tuple[int, ...]] = deque([()])
        tried = 0
        visited: set[int] = set()
        while agenda and tried < effort:
            choices = agenda.popleft()
            tried += 1
            fork = machine.fork()
            states: list[int] = []
            fork.states = states
            yield choices, fork, self.perform(fork, choices)
            for position in range(len(choices), len(fork.alternatives)):
                if states[position] in visited:
                    # What is chosen from here on has been chosen from there.
                    break
                visited.add(states[position])
                canonical = (0,) * (position - len(choices))
                for choice in range(1, fork.alternatives[position]):
                    agenda.append((*choices, *canonical, choice))

    def _write_schedules(self, machine: Machine, effort: int) -> Iterator[Played]:
        """Walk through what may happen between the pieces of a write, and after it."""
        begun = machine.fork()
        name, sector, n_sectors, tag = self.op
        begun.begin_write(sector, n_sectors, tag, name == "write_fua", name == "write_dsync")
        agenda: list[_Node] = [_Node(0, 0, (), begun, HABITS[0])]
        visited: set[object] = set()
        made = 0
        while agenda:
            node = heappop(agenda)
            death = _proceed(node.machine)
            options = [] if death else node.machine.options()
            if death or not options:
                yield node.path, node.machine, death or self._end(node.machine)
                continue
            state = (node.machine.request, node.machine.fingerprint(), node.habit)
            too_many = len(visited) >= effort
            if too_many or state in visited or not still_possible(node.machine, self.seen):
                continue
            visited.add(state)
            children = list(_children(node, options, made))
            made += len(children)
            for child in children:
                heappush(agenda, child)
            if not children:
                # All that is left to do pauses.
                yield node.path, node.machine, self._end(node.machine)


def _children(node: _Node, options: list[Action], made: int) -> Iterator[_Node]:
    """What may come of a gap: each thing that can happen, with each habit that goes on from it."""
    # Where there is one way only there is no choice, unless a request is under way.
    is_choice = node.machine.request is not None or len(options) > 1
    for choice, option in enumerate(options):
        machine = node.machine.fork()
        machine.waiting_at_gap = option.kind not in GOES_ON
        if not _survives(machine, option):
            continue
        path = (*node.path, choice) if is_choice else node.path
        for habit in _habits_after(node.habit, options, option):
            made += 1
            # The first habit's way is canonical; to take up another costs once.
            broken = habit is not node.habit or _habitual(node.habit, options) != option
            cost = node.cost + (_price(option) if broken else 0)
            yield _Node(cost, made, path, machine, habit)


def _price(option: Action) -> int:
    """What it costs to break a habit for this: the likelier it is, the less."""
    return 1 if option.kind is Kind.COPIES else 2


def _proceed(machine: Machine) -> Observation | None:
    """Let a write go on to its next gap or its end; an observation if the kernel dies."""
    if machine.death:
        return {"panic": True, "reason": machine.death.reason.value}
    try:
        while machine.request is not None and not (machine.waiting_at_gap and machine.options()):
            machine.waiting_at_gap = True
            machine.proceed()
    except PanicError as panic:
        return {"panic": True, "reason": panic.reason.value}
    except HangError:
        return {"hang": True}
    return None


def _survives(machine: Machine, option: Action) -> bool:
    """Let something happen; whether it did.  What kills the kernel is kept for its end."""
    try:
        return machine.act(option)
    except PanicError as panic:
        machine.death = panic
        return True

"""Schedules: the ways in which an operation can go, nearly canonical ones first, up to a bound.

A write is searched as a graph: at each gap between its pieces, and after the last of them, any of
the background's critical sections may run; states that will do the same are looked at once.  A
schedule follows a *habit*, and what it costs is how often it breaks with it, and for what.  Any
other operation is searched by the choices that it meets while it settles.
"""

from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from writecache_models.actions import Action, HangError, Kind, Outcome, PanicError
from writecache_models.habits import HABITS, habits_after, habitual
from writecache_models.machine import Machine
from writecache_models.observations import observe, perform, still_possible
from writecache_models.requests import GOES_ON
from writecache_models.trace import TOGETHER
from writecache_models.vectors import Observation, Op

Played = tuple[tuple[int, ...], Machine, Observation]
"""Choices made, the machine after them, and what it shows."""

AIMED_AT: Final = (Kind.SOME_COPIES, Kind.SWEEP)
"""There are so many of these that of a write only some are looked at, or none."""
FLUSH_EFFORT: Final = 32
"""Ways in which the flush behind a write may go, of each way in which the write does."""
AIM_FIRST_AT: Final = (0.5, 0.25)
"""Of all numbers of copies that may end, as a share: what is tried first, and then."""


class _Node(NamedTuple):
    """A write at a gap; ordered by the first three."""

    points_left: int
    """Of the log that was seen: a schedule that has explained more of it goes first."""
    cost: int
    number: int
    """Falls as nodes are made: of equal ones the last made comes first.

    So a schedule is followed to its end before the next one breaks with a habit; else a bounded
    search would begin them all and end none."""
    path: tuple[int, ...]
    machine: Machine
    habit: int


class Recorded(NamedTuple):
    """One recorded step: the operation, what was seen of it, and the table it may open."""

    op: Op
    seen: Observation
    table: str

    def perform(self, machine: Machine, choices: tuple[int, ...]) -> Observation:
        """Do the operation with these choices."""
        machine.choices, machine.alternatives = choices, []
        machine.devices.expect(self.seen.get("log"))
        return self._observed(machine, lambda: perform(machine, self.op, self.table))

    def schedules(self, machine: Machine, effort: int) -> Iterator[Played]:
        """Ways to do it, nearly canonical ones first, up to the bound."""
        if self.op[0].startswith("write"):
            return self._write_schedules(machine, effort)
        return self._settlings(machine, effort, self.perform)

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

    def _flush_end(self, machine: Machine, choices: tuple[int, ...]) -> Observation:
        """Do the flush that ends a write, with these choices."""
        machine.choices, machine.alternatives = choices, []
        return self._observed(machine, machine.end_write)

    def _settlings(
        self, machine: Machine, effort: int, do: Callable[[Machine, tuple[int, ...]], Observation]
    ) -> Iterator[Played]:
        """Ways to do what is no write, by the choices met while it settles."""
        agenda: list[tuple[int, int, int, tuple[int, ...]]] = [(0, 0, 0, ())]
        made = tried = 0
        visited: set[int] = set()
        while agenda and tried < effort:
            _, cost, _, choices = heappop(agenda)
            tried += 1
            fork = machine.fork()
            states: list[int] = []
            fork.states = states
            expected = do(fork, choices)
            yield choices, fork, expected
            wanted = _more_free(expected, self.seen)
            for position in range(len(choices), len(fork.alternatives)):
                if states[position] in visited:
                    # What is chosen from here on has been chosen from there.
                    break
                visited.add(states[position])
                canonical = (0,) * (position - len(choices))
                for choice, way in enumerate(fork.alternatives[position][1:], 1):
                    if way.kind is Kind.SWEEP and way.n_blocks != wanted:
                        continue
                    made += 1
                    dearer = cost + self._price_of_settling(way)
                    left = fork.devices.points_left
                    heappush(agenda, (left, dearer, made, (*choices, *canonical, choice)))

    def _price_of_settling(self, way: Action) -> int:
        """What it costs to settle otherwise.

        Before a copy that fails any others may have ended; else the order in which copies end that
        write one place matters most.  Who waits for ever went to sleep after the error that would
        have woken it: copies had ended before the work queue went on.  Several clients may come
        in any order.
        """
        if self.op[0] == TOGETHER:
            return 1
        if way.kind is Kind.SWEEP:
            return 0
        if self.seen.get("hang"):
            return 1 if way in (Action(Kind.COPY), Action(Kind.ENDIO)) else 3
        return 1 if way.kind is Kind.COPY and way.which else 3

    def _write_schedules(self, machine: Machine, effort: int) -> Iterator[Played]:
        """Walk through what may happen between the pieces of a write, and after it."""
        begun = machine.fork()
        begun.devices.expect(self.seen.get("log"))
        name, sector, n_sectors, tag = self.op
        begun.begin_write(sector, n_sectors, tag, name == "write_fua", name == "write_dsync")
        agenda: list[_Node] = [_Node(0, 0, 0, (), begun, 0)]
        visited, number = set[object](), 0
        while agenda:
            node = heappop(agenda)
            if node.machine.flushes_next:
                flushes = self._settlings(node.machine, FLUSH_EFFORT, self._flush_end)
                yield from (((*node.path, *path), after, end) for path, after, end in flushes)
                continue
            death = _proceed(node.machine)
            options = [] if death else node.machine.options()
            if death or not options:
                yield node.path, node.machine, death or self._end(node.machine)
                continue
            state = (node.machine.request, node.machine.fingerprint(), node.habit)
            known = state in visited or len(visited) >= effort
            if known or not still_possible(node.machine, self.seen):
                continue
            visited.add(state)
            choices = [one for one in enumerate(options) if one[1].kind not in AIMED_AT]
            for choice, trial, expected in self._aimed(node.machine, options):
                choices.append((choice, options[choice]))
                yield (*node.path, choice), trial, expected
            children = list(_children(node, choices, number))
            number -= len(children)
            for child in children:
                heappush(agenda, child)
            if not children:
                # All that is left to do pauses.
                yield node.path, node.machine, self._end(node.machine)

    def _aimed(
        self, machine: Machine, options: list[Action]
    ) -> Iterator[tuple[int, Machine, Observation]]:
        """Where any number of copies may end: one with which as many blocks are free as was seen.

        If the rest of the write is canonical that number decides how many are free in the end,
        nearly always block by block: one trial tells which to try next.  Gives the choice and what
        comes of it.
        """
        wanted = _free_blocks(self.seen)
        if wanted is None or options[-1].kind is not Kind.SOME_COPIES:
            return
        several = (Kind.COPIES, Kind.SOME_COPIES)
        choices = {way.which: at for at, way in enumerate(options) if way.kind in several}
        tried: set[int] = set()
        for start in AIM_FIRST_AT:
            number = round(start * max(choices))
            while number in choices and number not in tried:
                tried.add(number)
                trial = machine.fork()
                trial.act(options[choices[number]])
                expected = self._observed(trial, trial.end_write)
                found = _free_blocks(expected)
                if found is None:
                    break
                if found == wanted:
                    yield choices[number], trial, expected
                    return
                number += wanted - found


def _free_blocks(seen: Observation) -> int | None:
    """How many blocks a status line says are free."""
    words = (seen.get("status") or "").split()
    return int(words[2]) if len(words) > 2 else None


def _more_free(expected: Observation, seen: Observation) -> int | None:
    """How many more blocks were seen to be free than were expected."""
    found, wanted = _free_blocks(expected), _free_blocks(seen)
    return None if found is None or wanted is None else wanted - found


def _children(node: _Node, choices: list[tuple[int, Action]], number: int) -> Iterator[_Node]:
    """What may come of a gap: each thing that can happen, with each habit that goes on from it."""
    # Where there is one way only there is no choice, unless a request is under way.
    options = [option for _, option in choices]
    is_choice = node.machine.request is not None or len(options) > 1
    ways = [habitual(habit, options) for habit in range(len(HABITS))]
    for choice, option in choices:
        machine = node.machine.fork()
        machine.waiting_at_gap = option.kind not in GOES_ON
        if not _survives(machine, option) or machine.devices.contradicted:
            continue
        path = (*node.path, choice) if is_choice else node.path
        for habit in habits_after(node.habit, ways, option):
            number -= 1
            # The first habit's way is canonical; to take up another costs once.
            broken = habit != node.habit or ways[node.habit] != option
            cost = node.cost + (_price(option) if broken else 0)
            yield _Node(machine.devices.points_left, cost, number, path, machine, habit)


def _price(option: Action) -> int:
    """What it costs to break a habit for this: the likelier it is, the less."""
    return 1 if option.kind in (Kind.COPIES, Kind.SOME_COPIES) else 2


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

"""The kernel around a cache: who runs its critical sections, and when.

**The canonical order** of what is pending: the flush thread, the work queue until it is empty, then
copies end, then their blocks are freed.

A function of the work queue that pauses (`pause_writeback`) holds up what is queued behind it.

Where a schedule can go more than one way there is a *choice*: a number, 0 being canonical.  It says
which of the things that are pending happens next; between two pieces of a request (`requests`) also
whether the request goes on first.  Which of several copies ends first is a choice only while no
block is free (the first block to be freed is the next to be taken), or among those that write one
place.
"""

from collections.abc import Callable, Collection
from functools import lru_cache
from typing import Final

from writecache_models.actions import ENDS_COPIES, Action, ChoiceError, HangError, Kind, PanicError
from writecache_models.copies import Homing, entangled, sweeps
from writecache_models.core import Core
from writecache_models.devices import DeviceError, Devices
from writecache_models.log_lines import LARGEST_COPY
from writecache_spec.effects import Copy, NotEnabled, Timer, Work
from writecache_spec.endio import ENDIO_LATENCY
from writecache_spec.events import (
    AutocommitTimer,
    CopyEnd,
    EndioTake,
    EndioThread,
    Event,
    FlushThread,
    FlushWork,
    MaxAgeTimer,
    WritebackContinue,
    WritebackWork,
)
from writecache_spec.profile import Profile
from writecache_spec.state import State, Waiter
from writecache_spec.units import Jiffies

ONE_BATCH: Final = 1
"""Of an action ENDIO: not everything is freed before somebody else may come."""


class Kernel(Core):
    """Everything that works in the background of a cache, and the order in which it does."""

    def __init__(self, profile: Profile, devices: Devices) -> None:
        super().__init__(profile, devices)
        self.choices: tuple[int, ...] = ()
        """What to choose, in the order in which choices come; beyond its end: 0."""
        self.alternatives: list[list[Action]] = []
        """What there was at each choice so far, without the ways that differ in a number."""
        self.states: list[int] | None = None
        """Fingerprints before each choice, for whoever wants them."""
        self.death: PanicError | None = None
        """What killed it."""

    def settle(self) -> None:
        """Run everything that is left to do but timers, and but copies where they are held."""
        held = ENDS_COPIES if self.copies_held else ()
        while self.run_one(held):
            pass

    def actions(self) -> list[Action]:
        """What can happen now, in the canonical order; work that pauses may be among it.

        Canonically copies end one after the other; that another ends first comes last.
        """
        wc = self._live()
        found: list[Action] = []
        if wc.flush_list:
            found.append(Action(Kind.FLUSH_THREAD))
        running = wc.writeback is not None
        if Waiter.WRITEBACK not in wc.sleeping if running else self._queue:
            found.append(Action(Kind.WORK))
        ways = self._next_to_end() if self._copies else []
        if ways:
            found.append(Action(Kind.COPY, ways[0]))
        if wc.endio_list or wc.endio_taken:
            found.append(Action(Kind.ENDIO))
        found += [Action(Kind.COPY, which) for which in ways[1:]]
        sleeps = Waiter.WRITEBACK in wc.sleeping
        found += self._sweeps()
        if ways and (sleeps if running else self._queue):
            batches = self._copies.batches()
            found += [Action(Kind.COPIES, n_copies) for n_copies in batches]
            if not wc.endio_list and (sleeps or self._copies.fresh):
                others = sorted({*range(1, len(self._copies))}.difference(batches))
                found += [Action(Kind.SOME_COPIES, n_copies) for n_copies in others]
        if wc.config.pmem_mode and _several_batches(wc):
            found.append(Action(Kind.ENDIO, ONE_BATCH))
        return found

    def _next_to_end(self) -> list[int]:
        """Which copies could end next, as far as that makes a difference; canonically the first.

        A log that was seen has them in the order in which they ended.
        """
        copies = self._copies.in_order()
        order = self.devices.order_of(copies)
        if order is not None:
            # One that kcopyd does in pieces may end after one whose write was complete later.
            in_pieces = bool(order) and copies[order[0]].n_sectors > LARGEST_COPY
            return order[: 1 + in_pieces]
        wc = self._live()
        copies = self._copies.in_order()
        if not (wc.freelist or wc.endio_list):
            return list(range(len(copies)))
        if self.devices.faults and not wc.error:
            # Their commit may fail: then what has ended before is free, and nothing else.
            return list(range(len(copies)))
        if not self._copies.fits(copies[0]):
            # It fails, and nothing that ends after it is freed: any may end before.
            return list(range(len(copies)))
        return entangled(copies)

    def _sweeps(self) -> tuple[Action, ...]:
        """The ways in which copies may all end before one that fails, if one does."""
        copies = self._copies.in_order()
        if not copies or not self._copies.fresh or self._copies.fits(copies[0]):
            return ()
        return _sweeps(self._fitting())

    def _fitting(self) -> tuple[Homing, ...]:
        return tuple(filter(self._copies.fits, self._copies.in_order()))

    def _end_sweep(self, which: int) -> None:
        fitting = self._fitting()
        for copy in [fitting[number] for number in sweeps(fitting)[which]]:
            self._end_copy(self._copies.in_order().index(copy))

    def run_one(self, held: Collection[Kind] = ()) -> bool:
        """Let one thing happen, canonically the first; False where nothing can."""
        found = self.actions() if self.pending() else []
        actions = [action for action in found if action.kind not in held]
        if len(actions) > 1:
            chosen = self.choose(actions)
            actions = [chosen, *(action for action in actions if action != chosen)]
        return any(self.act(action) for action in actions)

    def act(self, action: Action) -> bool:
        """Let something happen in the background; False where it pauses."""
        match action.kind:
            case Kind.FLUSH_THREAD:
                self._step(FlushThread())
            case Kind.WORK:
                return self._run_work()
            case Kind.COPY:
                self._end_copy(action.which)
            case Kind.ENDIO:
                self._end_io(one_batch=action.which == ONE_BATCH)
            case Kind.SWEEP:
                self._end_sweep(action.which)
            case Kind.COPIES | Kind.SOME_COPIES:
                copies = self._copies.in_order()
                order = self.devices.order_of(copies) or range(len(copies))
                for copy in [copies[number] for number in order[: action.which]]:
                    self._end_copy(self._copies.in_order().index(copy))
                self._end_io()
            case Kind.SETTLE:
                # What it chooses is canonical, and none of the caller's choices.
                held = self.choices, self.alternatives
                self.choices, self.alternatives = (), []
                try:
                    self.settle()
                finally:
                    self.choices, self.alternatives = held
            case Kind.GO_ON:
                pass
        return True

    def _run_work(self) -> bool:
        """Run the next section of the work queue; a pause of its head holds up all behind it."""
        if self._live().writeback:
            self._step(WritebackContinue(self.now))
            return True
        flushes = self._queue[0] is Work.FLUSH
        event: Event = FlushWork() if flushes else WritebackWork(self.now)
        after = self._outcome(event)
        if after.effects and isinstance(after.effects[0], NotEnabled):
            return False
        del self._queue[0]
        self._copies.begin_pass()
        self._take(after.state, after.effects)
        return True

    def _end_io(self, one_batch: bool = False) -> None:
        """The endio thread runs; where its flush fails, whoever waits for writeback is woken first.

        A choice: woken before anything is freed it may look, and go to sleep again.
        """
        if not self._live().endio_taken:
            self._take_endio()
        while self._live().endio_taken:
            self._step(EndioThread())
            if one_batch:
                return

    def _take_endio(self) -> None:
        asleep = Waiter.WRITEBACK in self._live().sleeping
        self._step(EndioTake())
        if asleep and Waiter.WRITEBACK not in self._live().sleeping:
            chosen = self.choose([Action(Kind.ENDIO), Action(Kind.WORK)])
            if chosen.kind is Kind.WORK:
                self._run_work()

    def _end_copy(self, which: int) -> None:
        copy = self._copies.end(which)
        failed = False
        try:
            if isinstance(copy, Copy):
                self.devices.copy(copy.cache_sector, copy.origin_sector, copy.n_sectors)
            else:
                self.devices.write_origin(self._live().config, copy)
        except DeviceError:
            failed = True
        self._step(CopyEnd(copy.job, failed))

    def choose(self, options: list[Action]) -> Action:
        """Take the next choice."""
        if self.devices.contradicted:
            return options[0]
        number = len(self.alternatives)
        self.alternatives.append([way for way in options if way.kind is not Kind.SOME_COPIES])
        if self.states is not None:
            self.states.append(self.fingerprint())
        choice = self.choices[number] if number < len(self.choices) else 0
        if not 0 <= choice < len(options):
            raise ChoiceError
        return options[choice]

    def _wait_while(self, condition: Callable[[], bool]) -> None:
        """Let the machine run until the condition is over."""
        while condition():
            if not self.run_one():
                raise HangError

    def _next_moment(self) -> int | None:
        """When the next timer or the pause of writeback ends."""
        moments = list(self._timers.values())
        wc = self.wc
        if wc is not None and self._queue and wc.config.pause:
            moments.append(wc.origin_idle_since + wc.config.pause)
        return max(min(moments), self.now + 1) if moments else None

    def advance(self, ticks: int) -> None:
        """Let time pass; timers and the pause of writeback end on the way."""
        end = self.now + ticks
        self.settle()
        while (due := self._next_moment()) is not None and due <= end:
            self.now = Jiffies(due)
            for timer in [timer for timer, at in self._timers.items() if at <= due]:
                del self._timers[timer]
                self._step(AutocommitTimer() if timer is Timer.AUTOCOMMIT else MaxAgeTimer())
            self.settle()
        self.now = Jiffies(end)
        self.settle()


def _several_batches(wc: State) -> bool:
    """Whether the endio thread drops the lock before it has freed everything.

    Who sleeps for a free block may then take what there is, and sleep again.
    """
    ended = (*wc.endio_taken, *wc.endio_list)
    return sum(len(job.blocks) for job, _ in ended) > ENDIO_LATENCY


@lru_cache(maxsize=64)
def _sweeps(copies: tuple[Homing, ...]) -> tuple[Action, ...]:
    return tuple(
        Action(Kind.SWEEP, which, sum(copies[number].job.n_blocks for number in sweep))
        for which, sweep in enumerate(sweeps(copies))
    )

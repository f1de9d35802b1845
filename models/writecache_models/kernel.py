"""The kernel around a cache: who runs its critical sections, and plays their effects.

One work queue, first in, first out, each function on it at most once; kcopyd; the flush and the
endio thread; timers and a clock.  **The canonical order** of what is pending: the flush thread, the
work queue until it is empty, then copies end, then their blocks are freed.

A function of the work queue that pauses (`pause_writeback`) holds up what is queued behind it.

Where a schedule can go more than one way there is a *choice*: a number, 0 being canonical.  It says
which of the things that are pending happens next; between two pieces of a request (`requests`) also
whether the request goes on first.  Which of several copies ends first is a choice only while no
block is free (the first block to be freed is the next to be taken), or among those that write one
place.
"""

from collections.abc import Callable, Collection

from writecache_models.actions import Action, ChoiceError, HangError, Kind, PanicError
from writecache_models.copies import Copies, entangled
from writecache_models.devices import Devices, OutOfRangeError
from writecache_spec.effects import (
    AwaitWorkQueue,
    Broken,
    Complete,
    Copy,
    Effect,
    FlushDevice,
    Log,
    NotEnabled,
    QueueWork,
    Remap,
    Returned,
    Sleep,
    StartTimer,
    StopTimer,
    Timer,
    Work,
    WriteMetadata,
)
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
from writecache_spec.step import step
from writecache_spec.units import Jiffies, sectors_of

INITIAL_JIFFIES_S = 300
"""The kernel's clock starts this long before it wraps 32 bits."""


class Kernel:
    """At most one cache, its two devices, and everything that works in the background."""

    def __init__(self, profile: Profile, devices: Devices) -> None:
        self.profile = profile
        self.devices = devices
        self.wc: State | None = None
        self.now = Jiffies(2**32 - INITIAL_JIFFIES_S * profile.environment.hz)
        self.choices: tuple[int, ...] = ()
        """What to choose, in the order in which choices come; beyond its end: 0."""
        self.alternatives: list[int] = []
        """How many ways there were at each choice so far."""
        self.states: list[int] | None = None
        """Fingerprints before each choice, for whoever wants them."""
        self.copies_held = False
        """Whether what settles leaves copies under way: a slow origin."""
        self.death: PanicError | None = None
        """What killed it."""
        self._queue: list[Work] = []
        self._timers: dict[Timer, int] = {}
        self._copies = Copies(profile.environment.merges_with_any_request)
        self._completed: dict[int, str | None] = {}
        self._remapped: list[Remap] = []
        self._returned: list[str | None] = []

    def adopt(self, other: "Kernel") -> None:
        """Become a copy of another kernel; states are shared, bytes are not."""
        self.wc, self.now = other.wc, other.now
        self._queue, self._timers = list(other._queue), dict(other._timers)
        self._copies = other._copies.fork()
        self.copies_held = other.copies_held

    def same_as(self, other: "Kernel") -> bool:
        """Whether two kernels will do the same from now on."""
        return (
            self._queue == other._queue
            and self._timers == other._timers
            and self._copies.key() == other._copies.key()
            and self.wc == other.wc
            and self.devices.cache == other.devices.cache
            and self.devices.origin == other.devices.origin
        )

    def settle(self) -> None:
        """Run everything that is left to do but timers, and but copies where they are held."""
        held = (Kind.COPY, Kind.COPIES) if self.copies_held else ()
        while self.run_one(held):
            pass

    def pending(self) -> bool:
        """Whether anything but timers is left to do."""
        wc = self.wc
        return wc is not None and bool(
            self._queue or wc.flush_list or wc.writeback or wc.endio_list or self._copies
        )

    def working(self) -> bool:
        """Whether the work queue has something on it, or runs it."""
        return bool(self._queue) or (self.wc is not None and self.wc.writeback is not None)

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
            found.append(Action(Kind.COPY))
        if wc.endio_list:
            found.append(Action(Kind.ENDIO))
        found += [Action(Kind.COPY, which) for which in ways[1:]]
        if ways and (Waiter.WRITEBACK in wc.sleeping if running else self._queue):
            found += [Action(Kind.COPIES, n_copies) for n_copies in self._copies.batches()]
        return found

    def _next_to_end(self) -> list[int]:
        """Which copies could end next, as far as that makes a difference; canonically the first."""
        wc = self._live()
        copies = self._copies.in_order(self._origin_sectors())
        if not (wc.freelist or wc.endio_list):
            return list(range(len(copies)))
        return entangled(copies)

    def _origin_sectors(self) -> int:
        return sectors_of(len(self.devices.origin))

    def run_one(self, held: Collection[Kind] = ()) -> bool:
        """Let one thing happen, canonically the first; False where nothing can."""
        found = self.actions() if self.pending() else []
        actions = [action for action in found if action.kind not in held]
        if len(actions) > 1:
            chosen = actions[self.choose(len(actions))]
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
                self._end_io()
            case Kind.COPIES:
                for _ in range(action.which):
                    self._end_copy(0)
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
        after = step(self._live(), event)
        if after.effects and isinstance(after.effects[0], NotEnabled):
            return False
        del self._queue[0]
        self._copies.begin_pass()
        self._take(after.state, after.effects)
        return True

    def _end_io(self) -> None:
        self._step(EndioTake())
        self._step(EndioThread())

    def _end_copy(self, which: int) -> None:
        copy = self._copies.end(which, self._origin_sectors())
        failed = False
        try:
            self.devices.copy(copy.cache_sector, copy.origin_sector, copy.n_sectors)
        except OutOfRangeError:
            failed = True
        self._step(CopyEnd(copy.job, failed))

    def choose(self, alternatives: int) -> int:
        """Take the next choice."""
        number = len(self.alternatives)
        self.alternatives.append(alternatives)
        if self.states is not None:
            self.states.append(self.fingerprint())
        choice = self.choices[number] if number < len(self.choices) else 0
        if not 0 <= choice < alternatives:
            raise ChoiceError
        return choice

    def fingerprint(self) -> int:
        """A number that is the same for kernels that will do the same, and hardly ever else."""
        devices = (self.devices.cache, self.devices.origin)
        return hash((self.wc, tuple(self._queue), self._copies.key(), devices))

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

    def _live(self) -> State:
        assert self.wc is not None, "there is no device"
        return self.wc

    def _step(self, event: Event) -> tuple[Effect, ...]:
        after = step(self._live(), event)
        self._take(after.state, after.effects)
        return after.effects

    def _take(self, wc: State, effects: tuple[Effect, ...]) -> None:
        """Adopt the next state and play what led to it."""
        self.wc = wc
        for effect in effects:
            match effect:
                case Remap():
                    self._remapped.append(effect)
                case WriteMetadata():
                    self.devices.write_metadata(wc.config.start_sector, effect)
                case Complete(bio, errno):
                    self._completed[bio.tag] = errno
                case Copy():
                    self._copies.submit(effect)
                case StartTimer(timer, delay):
                    self._timers.setdefault(timer, self.now + delay)
                case StopTimer(timer):
                    self._timers.pop(timer, None)
                case FlushDevice(device):
                    self.devices.flush(device)
                case Log() | Sleep() | AwaitWorkQueue():
                    pass
                case _:
                    self._take_control(effect)

    def _take_control(self, effect: QueueWork | Returned | Broken | NotEnabled) -> None:
        match effect:
            case QueueWork(work):
                if work not in self._queue:
                    self._queue.append(work)
            case Returned(errno):
                self._returned.append(errno)
            case Broken(reason):
                raise PanicError(reason)
            case NotEnabled(why):
                raise HangError(why)

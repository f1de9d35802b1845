"""The kernel around a cache: who runs its critical sections, and plays their effects.

One work queue, first in, first out, each function on it at most once; kcopyd; the flush and the
endio thread; timers and a clock.  **The canonical order** of what is pending: the flush thread, the
work queue until it is empty, then copies end, then their blocks are freed.

A function of the work queue that pauses (`pause_writeback`) holds up what is queued behind it.

Where a schedule can go more than one way there is a *choice*: a number, 0 being canonical.  Besides
the gaps between the pieces of a request (`machine`) there is one here: which copy ends first.  It
matters only while no block is free, for the first block to be freed is the next to be taken.
"""

from collections.abc import Callable

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
    Reason,
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
from writecache_spec.units import Jiffies

INITIAL_JIFFIES_S = 300
"""The kernel's clock starts this long before it wraps 32 bits."""


class PanicError(Exception):
    """The kernel has died."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class HangError(Exception):
    """The operation waits for something that nobody will do."""


def merged(copies: list[Copy], start: Callable[[Copy], int]) -> list[Copy]:
    """Copies in the order in which their requests end.

    Requests queued together are merged when one lies directly before or behind the last one; the
    parts of a merged request end in the order of their sectors.
    """
    requests: list[list[Copy]] = []
    for copy in copies:
        last = requests[-1] if requests else []
        if last and start(last[-1]) + last[-1].n_sectors == start(copy):
            last.append(copy)
        elif last and start(copy) + copy.n_sectors == start(last[0]):
            last.insert(0, copy)
        else:
            requests.append([copy])
    return [copy for request in requests for copy in request]


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
        self._queue: list[Work] = []
        self._timers: dict[Timer, int] = {}
        self._copies: list[list[Copy]] = []
        # Copies under way: those of each pass of writeback together.
        self._completed: dict[int, str | None] = {}
        self._remapped: list[Remap] = []
        self._returned: list[str | None] = []

    def adopt(self, other: "Kernel") -> None:
        """Become a copy of another kernel; states are shared, bytes are not."""
        self.wc, self.now = other.wc, other.now
        self._queue, self._timers = list(other._queue), dict(other._timers)
        self._copies = [list(copies) for copies in other._copies]

    def same_as(self, other: "Kernel") -> bool:
        """Whether two kernels will do the same from now on."""
        return (
            self._queue == other._queue
            and self._timers == other._timers
            and self._copies == other._copies
            and self.wc == other.wc
            and self.devices.cache == other.devices.cache
            and self.devices.origin == other.devices.origin
        )

    def settle(self) -> None:
        """Run everything that is left to do but timers."""
        while self._run_one():
            pass

    def pending(self) -> bool:
        """Whether anything but timers is left to do."""
        wc = self.wc
        return wc is not None and bool(
            self._queue or self._copies or wc.endio_list or wc.endio_taken or wc.flush_list
        )

    def working(self) -> bool:
        """Whether the work queue has something on it, or runs it."""
        return bool(self._queue) or (self.wc is not None and self.wc.writeback is not None)

    def _run_one(self) -> bool:
        """One thing of those that are left, in the canonical order; False where there is none."""
        wc = self.wc
        if wc is None:
            return False
        if wc.flush_list:
            self._step(FlushThread())
            return True
        if wc.writeback is not None and Waiter.WRITEBACK not in wc.sleeping:
            self._step(WritebackContinue(self.now))
            return True
        if wc.writeback is None and self._queue and self._run_work(self._queue[0]):
            return True
        if self._copies:
            self._end_copies(self._copies.pop(0))
            return True
        if wc.endio_list:
            self._step(EndioTake())
            self._step(EndioThread())
            return True
        return False

    def _run_work(self, work: Work) -> bool:
        """Run the head of the work queue; False where it pauses, and everything behind it too."""
        wc = self._live()
        event: Event = FlushWork() if work is Work.FLUSH else WritebackWork(self.now)
        after = step(wc, event)
        if after.effects and isinstance(after.effects[0], NotEnabled):
            return False
        del self._queue[0]
        if work is Work.WRITEBACK:
            self._copies.append([])
        self._take(after.state, after.effects)
        return True

    def _end_copies(self, copies: list[Copy]) -> None:
        """End the copies of a pass, in the order in which the block layer merges them."""
        read = merged(copies, lambda copy: copy.cache_sector)
        written = merged(read, lambda copy: copy.origin_sector)
        if len(written) > 1 and not self._live().freelist:
            written.insert(0, written.pop(self._choose(len(written))))
        for copy in written:
            failed = False
            try:
                self.devices.copy(copy.cache_sector, copy.origin_sector, copy.n_sectors)
            except OutOfRangeError:
                failed = True
            self._step(CopyEnd(copy.job, failed))

    def _choose(self, alternatives: int) -> int:
        """Take the next choice."""
        number = len(self.alternatives)
        self.alternatives.append(alternatives)
        return self.choices[number] if number < len(self.choices) else 0

    def _wait_while(self, condition: Callable[[], bool]) -> None:
        """Let the machine run until the condition is over."""
        while condition():
            if not self._run_one():
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
                    if not self._copies:
                        self._copies.append([])
                    self._copies[-1].append(effect)
                case StartTimer(timer, delay):
                    self._timers.setdefault(timer, self.now + delay)
                case StopTimer(timer):
                    self._timers.pop(timer, None)
                case FlushDevice() | Log() | Sleep() | AwaitWorkQueue():
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

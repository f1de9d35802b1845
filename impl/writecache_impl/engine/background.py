"""The background: who runs the work queue, the copies and the timers, and when.

The work queue holds commits and passes of writeback, first in, first out.  A pass that pauses holds
up what is queued behind it.  Copies end in the order in which they were selected.

`Background` is what an engine needs of it; `Stepper` does everything in the thread of whoever asks,
one thing after the other, in an order that is always the same; `threads.Threads` has a thread.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from writecache_impl.engine import commit, writeback
from writecache_impl.engine.state import FLUSH, WRITEBACK, Cache, Run


class StuckError(RuntimeError):
    """Somebody waits for what nobody will do; that would be a mistake of the engine."""


class Background(ABC):
    """What goes on behind the requests of one cache."""

    lock: AbstractContextManager[Any]

    def __init__(self) -> None:
        self.wc: Cache | None = None
        self.running: Iterator[None] | None = None
        """The pass of writeback under way."""
        self.works_done = 0
        """How many functions of the work queue have come to their end."""

    @abstractmethod
    def attach(self, wc: Cache) -> None:
        """Serve this cache from now on; nothing of an earlier one is left to do."""

    @abstractmethod
    def wait_for_block(self) -> None:
        """With the lock held: return after a block may have become free, or an error was met."""

    @abstractmethod
    def wait_until(self, condition: Callable[[], bool]) -> None:
        """With the lock held: return when a condition holds that the background brings about."""

    @abstractmethod
    def stop(self) -> None:
        """Do nothing more."""

    def wait_for_queue(self, drain: bool) -> None:
        """With the lock held: wait until what is on the work queue has been run.

        With `drain` also for what that puts there.
        """
        wc = self.live
        last = self.works_done + len(wc.queue) + (self.running is not None)
        self.wait_until(
            lambda: not wc.queue and self.running is None if drain else self.works_done >= last
        )

    @property
    def live(self) -> Cache:
        """The cache that is served."""
        assert self.wc is not None
        return self.wc

    def run_work(self) -> bool:
        """With the lock held: go on with the work queue; False where it pauses or sleeps."""
        wc = self.live
        if self.running is None:
            if not wc.queue or (wc.queue[0] == WRITEBACK and not writeback.pause_is_over(wc)):
                return False
            if wc.queue.popleft() == FLUSH:
                commit.flush(wc)
                self.works_done += 1
                return True
            self.running = writeback.writeback(wc)
        for _ in self.running:
            return False
        self.running = None
        self.works_done += 1
        return True

    def ring(self) -> None:
        """With the lock held: let the timers ring that are due."""
        wc = self.live
        now = wc.now()
        if wc.autocommit_at is not None and wc.autocommit_at <= now:
            wc.autocommit_at = None
            if not wc.error:
                wc.enqueue(FLUSH)
        if wc.max_age_at is not None and wc.max_age_at <= now:
            wc.max_age_at = None
            if not wc.suspended and not wc.error:
                wc.enqueue(WRITEBACK)
                wc.max_age_at = now + wc.config.max_age_ticks


class Stepper(Background):
    """Everything in the caller's thread, by a clock that only `advance` moves.

    The order: the work queue until it is empty, pauses or sleeps; then all copies; then their
    blocks become free.  There is one client, so that there is nothing to lock.
    """

    def __init__(self, now: int = 0) -> None:
        super().__init__()
        self.lock = nullcontext()
        self.now = now
        """In ticks."""
        self._sleeps = False
        # Whether the pass under way waits for some block's end.
        self._woken = False
        self._passes: list[list[Run]] = []
        # Runs that are to be copied, those of each pass together.
        self._to_copy: list[Run] = []
        # The same, in their order, once the first of them is copied.
        self._copied: list[Run] = []
        # Runs that were copied and not yet freed.

    def attach(self, wc: Cache) -> None:
        """Serve this cache from now on."""
        self.wc = wc
        wc.now = self._now
        wc.wake = self._wake

    def _now(self) -> int:
        return self.now

    def _wake(self) -> None:
        self._sleeps = False
        self._woken = True

    def wait_for_block(self) -> None:
        """Do one thing after the other until a block may be free."""
        self._woken = False
        self.wait_until(lambda: self._woken)

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Do one thing after the other until a condition holds."""
        while not condition():
            if not self.run_one():
                raise StuckError("nothing is left to do")

    def stop(self) -> None:
        """Do nothing more."""
        self.wc = None

    def settle(self) -> None:
        """Do everything that is left to do but what waits for time to pass."""
        while self.wc is not None and self.run_one():
            pass

    def run_one(self) -> bool:
        """Do the next thing; False where nothing can be done."""
        wc = self.live
        if not self._sleeps and (self.running or wc.queue):
            before = self.running
            worked = self.run_work()
            self._take_copies(before is None)
            if worked:
                return True
            self._sleeps = self.running is not None
            if self._sleeps and before is None:
                return True
        if self._passes:
            for runs in self._passes:
                self._to_copy += as_linux_ends(
                    runs, wc.config.block_sectors, wc.config.writeback_fua
                )
            self._passes.clear()
        if self._to_copy:
            run = self._to_copy.pop(0)
            writeback.copy(wc, run)
            self._copied.append(run)
            return True
        return self._end_copies()

    def _take_copies(self, begins: bool) -> None:
        """Take the runs that a pass, or more of one, has selected."""
        if self.live.copies:
            if begins or not self._passes:
                self._passes.append([])
            self._passes[-1] += self.live.copies
            self.live.copies = []

    def _end_copies(self) -> bool:
        """Flush the origin and free what was copied."""
        if not self._copied:
            return False
        # As on Linux: first what need not be copied; then what cannot be, which is refused while
        # others are under way.
        runs = sorted(self._copied, key=lambda run: (not run.went_nowhere, not run.failed))
        self._copied = []
        writeback.end(self.live, runs, writeback.flush_origin(self.live))
        return True

    def advance(self, ticks: int) -> None:
        """Let time pass; timers and the pause of writeback end on the way."""
        last = self.now + ticks
        self.settle()
        while (due := self._next_moment()) is not None and due <= last:
            self.now = due
            self.ring()
            self.settle()
        self.now = last
        self.settle()

    def _next_moment(self) -> int | None:
        wc = self.wc
        if wc is None:
            return None
        moments = [at for at in (wc.autocommit_at, wc.max_age_at) if at is not None]
        if wc.queue and wc.config.pause:
            moments.append(wc.origin_idle_since + wc.config.pause)
        return max(min(moments), self.now + 1) if moments else None


def as_linux_ends(runs: list[Run], block_sectors: int, fua: bool) -> list[Run]:
    """Runs of one pass in the order in which Linux's block layer ends them.

    Their reads are merged, where they are neighbours on the cache, then their writes; of what is
    written with FUA nothing is.
    """
    if fua:
        return runs
    if runs and isinstance(runs[0].blocks, range):
        runs = merged(runs, lambda run: run.blocks[0], 1)
    return merged(runs, lambda run: run.sector, block_sectors)


def merged(runs: list[Run], start: Callable[[Run], int], unit: int) -> list[Run]:
    """Each is merged with the last request if it lies directly before or behind it.

    The parts of a request end in the order of their places; `unit` is a block's length.
    """
    requests: list[list[Run]] = []
    for run in runs:
        last = requests[-1] if requests else []
        if last and start(last[-1]) + len(last[-1].blocks) * unit == start(run):
            last.append(run)
        elif last and start(run) + len(run.blocks) * unit == start(last[0]):
            last.insert(0, run)
        else:
            requests.append([run])
    return [run for request in requests for run in request]

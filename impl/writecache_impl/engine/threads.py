"""The background in a thread of its own: real time, many clients.

One thread runs the work queue and, after each pass of writeback, copies what it selected.  Clients
take the lock for their own pieces; a commit that a flush or FUA asks for is done by the client that
asked.  Who waits sleeps on one condition: for a free block, the end of writeback, a resume.
"""

import errno
import threading
import time
from collections.abc import Callable
from typing import Final

from writecache_impl.engine import writeback
from writecache_impl.engine.background import Background
from writecache_impl.engine.errors import ClosedError
from writecache_impl.engine.state import WRITEBACK, Cache

_LONGEST_NAP_S: Final = 1.0
"""A paused pass of writeback looks that often whether somebody is in more of a hurry."""


class Threads(Background):
    """A thread that works whenever there is something to do."""

    def __init__(self, hz: int) -> None:
        super().__init__()
        self._mutex = threading.Lock()
        self.lock = self._mutex
        self._hz = hz
        self._started = time.monotonic() - 600
        # The clock does not begin at 0: that stands for long ago.
        self._work = threading.Condition(self._mutex)
        self._change = threading.Condition(self._mutex)
        self._waiting = 0
        self._copying = False
        self._stopping = False
        self.death: BaseException | None = None
        """What ended the thread, where that was a mistake."""
        self._thread = threading.Thread(target=self._run, name="writecache", daemon=True)

    def attach(self, wc: Cache) -> None:
        """Serve this cache from now on; with the lock held but the first time."""
        wc.now = self._now
        wc.kick = self._kick
        wc.wake = self._wake
        self.wc = wc
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Let the thread finish what it is about, and end.  Without the lock."""
        with self.lock:
            self._stopping = True
            self._work.notify_all()
            self._change.notify_all()
        if self._thread.is_alive() and self._thread is not threading.current_thread():
            self._thread.join()

    def _now(self) -> int:
        return int((time.monotonic() - self._started) * self._hz)

    def _kick(self) -> None:
        self._work.notify()

    def _wake(self) -> None:
        if self._waiting:
            self._change.notify_all()

    def wait_for_block(self) -> None:
        """Sleep until something has changed."""
        self._sleep()

    def wait_until(self, condition: Callable[[], bool]) -> None:
        """Sleep until a condition holds."""
        while not condition():
            self._sleep()

    def _sleep(self) -> None:
        if self.death is not None or self._stopping:
            raise ClosedError(errno.ENODEV, "the engine's background has ended") from self.death
        self._waiting += 1
        try:
            self._change.wait()
        finally:
            self._waiting -= 1

    def _run(self) -> None:
        try:
            with self.lock:
                while not self._stopping:
                    self._step()
        except BaseException as error:
            self.death = error
            with self.lock:
                if self.wc is not None:
                    # Nobody brings anything home any more: say so instead of going on.
                    self.wc.fail(f"the background has died: {error!r}")
                self._change.notify_all()

    def _step(self) -> None:
        """Do one thing, or sleep until there is something to do."""
        wc = self.live
        self.ring()
        worked = bool(self.running or wc.queue) and self.run_work()
        if wc.copies:
            self._copy(wc)
            worked = True
        if worked:
            self._wake()
            self._let_others()
            return
        self._work.wait(self._nap())

    def _copy(self, wc: Cache) -> None:
        """Copy what was selected, without the lock, and free it."""
        runs, wc.copies = wc.copies, []
        self._mutex.release()
        try:
            for run in runs:
                writeback.copy(wc, run)
            flushed = writeback.flush_origin(wc)
        finally:
            self._mutex.acquire()
        # What is home is freed before an error forbids it.
        writeback.end(wc, sorted(runs, key=lambda run: run.failed), flushed)

    def _let_others(self) -> None:
        """Let clients have the lock that came for it meanwhile."""
        self._mutex.release()
        try:
            time.sleep(0)
        finally:
            self._mutex.acquire()

    def _nap(self) -> float | None:
        """How long there is nothing to do, in seconds; None: until somebody says so."""
        wc = self.live
        moments = [at for at in (wc.autocommit_at, wc.max_age_at) if at is not None]
        if wc.queue and wc.queue[0] == WRITEBACK:
            moments.append(wc.now() + writeback.pause_left(wc))
        if not moments:
            return None
        nap = (min(moments) - wc.now()) / self._hz
        if wc.queue:
            nap = min(nap, _LONGEST_NAP_S)
        return max(nap, 1 / self._hz)

"""Judging many traces at once, on all processors."""

import ctypes
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import Any

from writecache_models.judge import Report, judge
from writecache_models.vectors import Trace
from writecache_spec.profile import Profile


def default_jobs() -> int:
    """As many processes as this one may use processors."""
    return len(os.sched_getaffinity(0))


_PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """A judge leaves an interrupt to its parent, and does not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    parent = parent_process()
    if parent is not None and parent.pid != os.getppid():
        os._exit(1)  # it died before it was said who is to be told


@contextmanager
def _deaf_children() -> Iterator[None]:
    """Processes started in here never see an interrupt, not even before they can ignore it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Workers(ProcessPoolExecutor):
    """Processes that work until the block ends: what they have not finished then nobody wants."""

    def __init__(self, n_processes: int) -> None:
        self._others = set(active_children())
        # Forking after threads were started is not safe; a fresh interpreter is.
        super().__init__(n_processes, mp_context=get_context("spawn"), initializer=end_with_parent)

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Let one of them call a function."""
        with _deaf_children():
            return super().submit(fn, *args, **kwargs)

    def __exit__(self, *_: object) -> None:
        for worker in set(active_children()) - self._others:
            worker.kill()
        _end(self)


_PATIENCE = 2.0
"""Seconds in which a pool whose processes were killed mostly notices that."""


def _end(pool: ProcessPoolExecutor) -> None:
    """Shut down a pool whose processes were killed.

    Where one was killed within a message a thread of the pool waits for ever: the other ends of its
    pipes are open, here.  Newer releases of Python close one of them, too.
    """
    thread = getattr(pool, "_executor_manager_thread", None)
    pipes = [
        getattr(getattr(pool, queue, None), end, None)
        for queue, end in (("_call_queue", "_reader"), ("_result_queue", "_writer"))
    ]
    pool.shutdown(wait=False, cancel_futures=True)
    if thread is None:
        return
    thread.join(_PATIENCE)
    if thread.is_alive():
        for pipe in filter(None, pipes):
            pipe.close()
        thread.join()


class Judges:
    """A pool of processes that judge traces."""

    def __init__(self, jobs: int | None = None) -> None:
        self.jobs = jobs or default_jobs()
        self._others = set(active_children())
        # Forking after threads were started is not safe; a fresh interpreter is.
        self._pool = ProcessPoolExecutor(
            self.jobs, mp_context=get_context("spawn"), initializer=end_with_parent
        )

    def __enter__(self) -> "Judges":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            # A judgement can take long, and nobody wants it any more.
            for judge_process in set(active_children()) - self._others:
                judge_process.kill()
            _end(self._pool)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, trace: Trace, profile: Profile | None = None) -> Future[Report]:
        """Judge a trace in the background."""
        with _deaf_children():
            return self._pool.submit(judge, trace, profile)

    def all(
        self,
        traces: Iterable[Trace],
        profile: Profile | None = None,
        progress: Callable[[int], None] = lambda steps: None,
    ) -> Iterator[tuple[Trace, Report]]:
        """Judge traces in their order; never more of them in memory than are being judged."""
        waiting: list[tuple[Trace, Future[Report]]] = []
        for trace in traces:
            waiting.append((trace, self.submit(trace, profile)))
            while len(waiting) > 4 * self.jobs or (waiting and waiting[0][1].done()):
                if not waiting[0][1].done():
                    wait([waiting[0][1]], return_when=FIRST_COMPLETED)
                yield _finished(waiting.pop(0), progress)
        for pair in waiting:
            yield _finished(pair, progress)


def _finished(
    pair: tuple[Trace, Future[Report]], progress: Callable[[int], None]
) -> tuple[Trace, Report]:
    report = pair[1].result()
    progress(report.steps)
    return pair[0], report

"""Crashes of a live kernel: traces logged, their crashes judged, and some activated by a kernel.

What the kernel writes to both devices goes to one log (dm-log-writes).  The contents that a crash
may leave by that log are judged by the reference and the contract, in other processes; of each
trace some go back to the kernel, which activates and reads them: what it then shows must be what
the reference shows, byte for byte.
"""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any, Final

from writecache_impl.happening import draw, play
from writecache_impl.judging import Workers, default_jobs
from writecache_impl.linux import (
    UNUSABLE,
    BootOptions,
    KernelUnavailable,
    LinuxTarget,
    one_line,
)
from writecache_impl.live import LONGEST_OPERATION, check_release
from writecache_impl.logging_kernels import tells_flushes_apart
from writecache_impl.recording import HungError, record
from writecache_models.crashing import Setting
from writecache_models.judge import Report, judge
from writecache_models.logged_crashes import Judged, judge_crashes
from writecache_models.logged_moments import Image
from writecache_models.trace import Trace
from writecache_spec.profile import Profile, profile_for_kernel

IMAGES_OF_A_MOMENT: Final = 16
IMAGES_RESUMED: Final = 40
"""Of each trace, unless more are asked for."""
MOST_WAITING: Final = 6
"""Traces that may wait to be judged; fewer where more of each go back to the kernel."""
EVERY_ONE: Final = 10**6
"""As many as there are."""


@dataclass(slots=True)
class CrashResult:
    """What became of a kernel's crashes."""

    kernel: str
    """As it was named."""
    release: str
    traces: int = 0
    log_entries: int = 0
    flushes: int = 0
    images: int = 0
    distinct: int = 0
    """Contents, with what the contract says of them."""
    resumed: int = 0
    """By the kernel, and compared with the reference."""
    findings: Counter[str] = field(default_factory=Counter)
    """Contents that show a known finding, by its name."""
    unexplained: Counter[str] = field(default_factory=Counter)
    """Contents that break the contract otherwise, by how."""
    examples: list[dict[str, Any]] = field(default_factory=list)
    """Some of these."""
    diverged: list[tuple[Trace, Report]] = field(default_factory=list)
    """Contents of which kernel and reference make something else."""
    problem: str | None = None
    """Why the kernel could not be used to the end, in a line."""
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The numbers, and what is wrong."""
        names = ("kernel", "release", "traces", "log_entries", "flushes", "images", "distinct")
        return {
            **{name: getattr(self, name) for name in names},
            "resumed": self.resumed,
            "findings": dict(self.findings),
            "unexplained": dict(self.unexplained),
            "examples": self.examples,
            "diverged": [trace.name for trace, _ in self.diverged],
            "problem": self.problem,
            "seconds": round(self.seconds, 1),
        }


def crash_kernel(
    kernel: str,
    *,
    modules: str | None,
    seconds: float,
    max_images: int | None,
    max_resumed: int | None = None,
    n_samples: int = IMAGES_RESUMED,
    seed: str,
    profile: Profile | None,
    progress: Callable[[float], None],
) -> CrashResult:
    """Judge crashes of random traces for a time, or until so many contents were judged or resumed.

    Of each trace `n_samples` go back to the kernel.  Raises one of `linux.UNUSABLE` where there is
    no kernel to be judged.
    """
    with (
        LinuxTarget(
            kernel, modules=modules, op_seconds=LONGEST_OPERATION, options=BootOptions(logs=True)
        ) as target,
        Workers(default_jobs()) as workers,
    ):
        if profile is None:
            check_release(target)
        if not (target.has_memory or tells_flushes_apart(target)):
            raise KernelUnavailable("a log under both devices does not say whose its flushes are")
        result = CrashResult(kernel, target.kernel_version)
        run = _Run(target, workers, profile, result, seed, n_samples)
        started = time.monotonic()
        number = 0
        while run.goes_on and not (
            _reached(result.images, max_images) or _reached(result.resumed, max_resumed)
        ):
            elapsed = time.monotonic() - started
            progress(elapsed)
            if elapsed >= seconds:
                break
            run.trace(number)
            number += 1
        run.finish()
        result.seconds = time.monotonic() - started
    return result


def _reached(number: int, limit: int | None) -> bool:
    return limit is not None and number >= limit


class _Run:
    """What is under way."""

    def __init__(
        self,
        target: LinuxTarget,
        workers: Workers,
        profile: Profile | None,
        result: CrashResult,
        seed: str,
        n_samples: int,
    ) -> None:
        self.target, self.workers, self.result, self.seed = target, workers, result, seed
        self.n_samples = n_samples
        self.most_waiting = max(1, MOST_WAITING * IMAGES_RESUMED // max(n_samples, IMAGES_RESUMED))
        self.profile = profile or profile_for_kernel(target.kernel_version, target.target_version)
        self.crashes: list[tuple[Trace, Future[Judged]]] = []
        self.resumes: list[tuple[Trace, Future[Report]]] = []

    @property
    def goes_on(self) -> bool:
        """Whether the kernel can be used and nothing new was found."""
        result = self.result
        return not (result.problem or result.unexplained or result.diverged)

    def trace(self, number: int) -> None:
        """Play one more trace, and let its crashes be judged."""
        memory = self.target.has_memory
        trace = draw(f"{self.seed}-{number}", self.target.target_version, memory)
        try:
            happened = play(self.target, trace)
        except UNUSABLE as error:
            self.result.problem = one_line(error)
            return
        self.result.traces += 1
        self.result.log_entries += sum(len(each.log) for each in happened)
        setting = Setting(self.profile, trace.table, trace.cache_sectors, trace.origin_sectors)
        judged = self.workers.submit(
            judge_crashes,
            setting,
            happened,
            limit=IMAGES_OF_A_MOMENT,
            n_samples=self.n_samples,
            seed=trace.name,
            memory=memory,
        )
        self.crashes.append((trace, judged))
        self.collect(self.most_waiting)

    def collect(self, allowed: int) -> None:
        """Take finished judgements, and wait until no more than so many are left."""
        while self.crashes and (len(self.crashes) > allowed or self.crashes[0][1].done()):
            trace, future = self.crashes.pop(0)
            self._count(trace, future.result())
        while self.resumes and (len(self.resumes) > 8 * allowed or self.resumes[0][1].done()):
            recorded, report = self.resumes.pop(0)
            self.result.resumed += 1
            if report.result().divergence or report.result().problem:
                self.result.diverged.append((recorded, report.result()))

    def finish(self) -> None:
        """Wait for everything, unless something was found."""
        if self.goes_on:
            self.collect(0)
            self.collect(0)

    def _count(self, trace: Trace, judged: Judged) -> None:
        result = self.result
        result.flushes += judged.n_flushes
        result.images += judged.n_images
        result.distinct += judged.n_distinct
        for (what, finding), number in judged.wrong.items():
            if finding is None:
                result.unexplained[what] += number
            else:
                result.findings[finding] += number
        for found in judged.examples:
            if found.finding is None:
                header = _resumed(trace, found.image, "broken").header()
                result.examples.append({"what": found.what, "step": found.step, "image": header})
        for number, image in enumerate(judged.samples):
            self._resume(_resumed(trace, image, str(number)))

    def _resume(self, trace: Trace) -> None:
        """Let the kernel activate and read a content, and let that be judged."""
        if self.result.problem:
            return
        try:
            recorded = record(self.target, trace)
        except HungError as hang:
            recorded = hang.trace
        except UNUSABLE as error:
            self.result.problem = one_line(error)
            return
        if recorded.steps:
            self.resumes.append((recorded, self.workers.submit(judge, recorded, self.profile)))


def _resumed(trace: Trace, image: Image, name: str) -> Trace:
    """The trace in which a content is activated, and read twice, the second time from home."""
    everything = ["read", 0, trace.origin_sectors]
    ops = (["open"], everything, ["message", "flush"], everything)
    return replace(
        trace,
        name=f"{trace.name}-crash-{name}",
        cache_image=image.cache,
        origin_image=image.origin,
        extra={},
        steps=tuple((list(op), {}) for op in ops),
    )

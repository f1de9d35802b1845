"""One run of the main job: what is judged, what is kept, what is said of it."""

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writecache_impl.cli.common import meter, print_json, print_table
from writecache_impl.cli.exits import FINE, NOT_JUDGED, PROBLEMS
from writecache_impl.cli.reports import (
    SUMMARY_COLUMNS,
    describe_divergence,
    percent,
    report_json,
    summary_rows,
)
from writecache_impl.cli.traces import traces_in
from writecache_impl.cli.vectors import named_or_shipped
from writecache_impl.judging import Judges
from writecache_impl.linux import UNUSABLE, one_line
from writecache_impl.live import LiveResult, cut, judge_kernel, smallest
from writecache_models.judge import Report, judge
from writecache_models.vectors import Trace, VectorError, check_writable, write_traces
from writecache_spec.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How kernels are judged."""

    modules: str | None
    seconds: float
    """For each kernel."""
    max_steps: int | None
    seed: str
    profile: Profile | None
    family: str | None
    """Of workloads; None: all of them."""
    io_order: bool
    """Logs of what is written are judged, too."""
    output: Path
    """The directory where the vector of a divergence goes."""


def check_output(directory: Path) -> None:
    """Raise VectorError unless a divergence could be written there."""
    if not directory.is_dir():
        raise VectorError(f"{directory}: Not a directory")
    check_writable(directory / "divergence.jsonl")


class Job:
    """What was judged so far."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.recorded: list[Report] = []
        self.live: list[LiveResult] = []
        self.unavailable: dict[str, str] = {}
        """Kernels that could not be judged, or not to the end, and why."""
        self.kept: list[Path] = []

    def vectors(self) -> None:
        """Judge the shipped vectors."""
        _say("shipped vectors: the reference is judged by what kernels were recorded to do")
        started = time.monotonic()
        with Judges() as judges, meter("shipped vectors", None, "steps") as bar:
            for _, report in judges.all(traces_in(named_or_shipped(())), None, bar.advance):
                self.recorded.append(report)
        steps = sum(report.steps for report in self.recorded)
        took = time.monotonic() - started
        _say(f"shipped vectors: {steps:,} steps judged in {took:.1f} s")

    def kernel(self, kernel: str) -> None:
        """Judge a live kernel, and shrink the first divergence."""
        settings = self.settings
        _say(f"kernel {kernel}: seed {settings.seed}")
        try:
            with meter(f"kernel {kernel}", settings.seconds, "s") as bar:
                result = judge_kernel(
                    kernel,
                    modules=settings.modules,
                    seconds=settings.seconds,
                    max_steps=settings.max_steps,
                    seed=settings.seed,
                    family=settings.family,
                    io_order=settings.io_order,
                    profile=settings.profile,
                    progress=bar.reach,
                )
        except (OSError, *UNUSABLE) as error:
            self._not_judged(kernel, one_line(error))
            return
        self.live.append(result)
        _say(
            f"kernel {kernel} ({result.release}): {result.steps:,} steps in {result.seconds:.0f} s"
        )
        if result.diverged:
            self._keep(result)
        elif result.problem is not None:
            self._not_judged(kernel, result.problem)
        elif not result.steps:
            self._not_judged(kernel, "no trace came to a step that could be judged")

    def _not_judged(self, kernel: str, reason: str) -> None:
        self.unavailable[kernel] = reason
        _say(f"kernel {kernel}: not judged: {reason}")

    def _keep(self, result: LiveResult) -> None:
        """Write the first divergence to a file and print it, as it came and as it shrank."""
        settings = self.settings
        found = result.diverged[0]
        report = judge(found, settings.profile)
        _say(*describe_divergence(report))
        # Whatever becomes of the shrinking, there is this.
        name = re.sub(r"[^\w.+-]", "_", f"divergence-{result.release}-{found.name}.jsonl")
        written = self._write(settings.output / name, cut(found, report))
        trace, report = smallest(result, settings.modules, settings.profile)
        _say("shrunk:", *describe_divergence(report), *trace.lines())
        if written and self._write(settings.output / name, trace):
            self.kept.append(settings.output / name)
            _say(f"kept as {settings.output / name}")
        if len(result.diverged) > 1:
            _say(f"{len(result.diverged) - 1} more traces diverge")

    def _write(self, file: Path, trace: Trace) -> bool:
        """Write a divergence; one that cannot be written is a divergence still."""
        try:
            write_traces(file, [trace])
        except VectorError as error:
            _say(f"not kept: {error}")
            return False
        return True

    def finish(self, as_json: bool) -> int:
        """Print the summary; the exit code."""
        reports = self._reports()
        divergences = [report for report in reports if report.divergence or report.problem]
        if as_json:
            print_json(self._summary(divergences))
        else:
            self._print(divergences)
        for report in divergences:
            if report in self.recorded:
                _say(*describe_divergence(report))
        if divergences:
            return PROBLEMS
        return NOT_JUDGED if self.unavailable else FINE

    def _logged(self) -> str:
        entries = sum(one.log_entries for one in self.live)
        return f"; {entries:,} log entries" if entries else ""

    def _reports(self) -> list[Report]:
        return [*self.recorded, *(report for one in self.live for report in one.reports)]

    def _summary(self, divergences: list[Report]) -> dict[str, Any]:
        return {
            "seed": self.settings.seed,
            "divergences": len(divergences),
            "vectors": {"steps": sum(report.steps for report in self.recorded)},
            "kernels": [one.as_json() for one in self.live],
            "not_judged": self.unavailable,
            "diverged": [report_json(report) for report in divergences],
            "kept": [str(file) for file in self.kept],
        }

    def _print(self, divergences: list[Report]) -> None:
        if self.recorded:
            print_table("Shipped vectors", SUMMARY_COLUMNS, summary_rows(self.recorded))
        if self.live:
            rows = [row for one in self.live for row in summary_rows(one.reports)]
            print_table("Live kernels", SUMMARY_COLUMNS, rows)
            hangs = sum(one.hangs for one in self.live)
            print(
                f"seed {self.settings.seed}{self._logged()}"
                + (f"; {hangs} traces ended in a hang" if hangs else "")
            )
        for kernel, reason in self.unavailable.items():
            print(f"kernel {kernel}: not judged: {reason}")
        reports = self._reports()
        steps = sum(report.steps for report in reports)
        other = sum(len(report.deviations) for report in reports)
        print(
            f"{steps:,} steps; {other} ({percent(other, steps)}) needed another than the "
            f"canonical schedule; {len(divergences)} divergences"
        )


def _say(*lines: str) -> None:
    """Tell people; what programs read goes to standard output."""
    print("\n".join(lines), file=sys.stderr, flush=True)

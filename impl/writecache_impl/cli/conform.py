"""`writecache conform`: the main job.  Vectors on the reference, then live kernels beside it."""

import random
import sys
import time
from pathlib import Path
from typing import Any

import click

from writecache_impl.cli.common import (
    FINE,
    NOT_JUDGED,
    PROBLEMS,
    describe_divergence,
    meter,
    percent,
    print_json,
    print_table,
    report_json,
    traces_in,
)
from writecache_impl.cli.vectors import SUMMARY_COLUMNS, named_or_shipped, summary_rows
from writecache_impl.judging import Judges
from writecache_impl.linux import KernelDied, KernelHung, KernelUnavailable
from writecache_impl.live import LiveResult, judge_kernel, smallest
from writecache_models.judge import Report, profile_named
from writecache_models.vectors import write_traces
from writecache_spec.profile import PROFILES

LIVE_SUITES = ("bookworm", "trixie", "sid")
"""Kernels that the job without a target is run against."""
BISECT = {FINE: 0, PROBLEMS: 1, NOT_JUDGED: 125}
"""What `git bisect run` expects."""


@click.command()
@click.option(
    "--target",
    "targets",
    multiple=True,
    help="`reference` (the vectors alone), or `kernel:` and a suite, a release or the path of a "
    "user-mode kernel; can be repeated.  By default the reference, then three kernels.",
)
@click.option("--modules", help="Where the modules of a kernel given by its path are.")
@click.option(
    "--seconds", type=click.FloatRange(1), default=45.0, show_default=True, help="For each kernel."
)
@click.option("--steps", type=click.IntRange(1), help="Stop at so many steps, before the time.")
@click.option("--seed", help="Decides the traces; by default a new one, which is printed.")
@click.option(
    "--profile", type=click.Choice(sorted(PROFILES)), help="Judge as this kernel, not by version."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(),
    help="Where the vector of a divergence goes; by default here.",
)
@click.option("--bisect", is_flag=True, help="Exit codes for `git bisect run`.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def conform(
    targets: tuple[str, ...],
    modules: str | None,
    seconds: float,
    steps: int | None,
    seed: str | None,
    profile: str | None,
    output: Path,
    bisect: bool,
    as_json: bool,
) -> int:
    """Judge implementations of writecache.

    The shipped vectors first: what real kernels did, on the reference.  Then, for each kernel,
    random traces that kernel and reference do side by side, compared after every step.  The first
    divergence is shrunk and kept as a vector.

    Example: writecache conform --target kernel:sid --seed 1234 --seconds 60
    """
    for target in targets:
        if target != "reference" and not target.startswith("kernel:"):
            raise click.BadParameter(f"{target!r} is neither `reference` nor `kernel:...`")
    job = _Job(
        modules, seconds, steps, seed or str(random.SystemRandom().randrange(10**9)), profile
    )
    if not seconds <= 86400:
        raise click.BadParameter("--seconds takes at most a day")
    kernels = [target.removeprefix("kernel:") for target in targets if target != "reference"]
    if not bisect:
        job.vectors()
    for kernel in kernels or (LIVE_SUITES if not targets else ()):
        job.kernel(kernel, output)
    code = job.finish(as_json)
    return BISECT.get(code, 255) if bisect else code


class _Job:
    """One run of the main job."""

    def __init__(
        self,
        modules: str | None,
        seconds: float,
        steps: int | None,
        seed: str,
        profile: str | None,
    ) -> None:
        self.modules = modules
        self.seconds = seconds
        self.steps = steps
        self.seed = seed
        self.profile = profile_named(profile) if profile else None
        self.recorded: list[Report] = []
        self.live: list[LiveResult] = []
        self.unavailable: dict[str, str] = {}
        self.kept: list[Path] = []

    def vectors(self) -> None:
        """Judge the shipped vectors."""
        started = time.monotonic()
        with Judges() as judges, meter("shipped vectors", None, "steps") as bar:
            for _, report in judges.all(traces_in(named_or_shipped(())), None, bar.advance):
                self.recorded.append(report)
        steps = sum(report.steps for report in self.recorded)
        took = time.monotonic() - started
        print(f"shipped vectors: {steps:,} steps judged in {took:.1f} s", file=sys.stderr)

    def kernel(self, kernel: str, output: Path) -> None:
        """Judge a live kernel, and shrink the first divergence."""
        try:
            with meter(f"kernel {kernel}", self.seconds, "s") as bar:
                result = judge_kernel(
                    kernel,
                    modules=self.modules,
                    seconds=self.seconds,
                    max_steps=self.steps,
                    seed=self.seed,
                    profile=self.profile,
                    progress=bar.reach,
                )
        except (KernelUnavailable, KernelDied, KernelHung) as error:
            reason = str(error).splitlines()[-1]
            self.unavailable[kernel] = reason
            print(f"kernel {kernel}: not judged: {reason}", file=sys.stderr)
            return
        self.live.append(result)
        print(
            f"kernel {kernel} ({result.release}): {result.steps:,} steps in {result.seconds:.0f} s",
            file=sys.stderr,
        )
        if result.diverged:
            self._keep(result, output)

    def _keep(self, result: LiveResult, output: Path) -> None:
        """Shrink a divergence, write it to a file and print it."""
        trace, report = smallest(result, self.modules, self.profile)
        file = output / f"divergence-{result.release}-{trace.name}.jsonl"
        write_traces(file, [trace])
        self.kept.append(file)
        print("\n".join([*describe_divergence(report), *trace.lines()]), file=sys.stderr)
        print(f"kept as {file}", file=sys.stderr)

    def finish(self, as_json: bool) -> int:
        """Print the summary; the exit code."""
        reports = [*self.recorded, *(report for one in self.live for report in one.reports)]
        divergences = [report for report in reports if report.divergence or report.problem]
        if as_json:
            print_json(self._summary(divergences))
        else:
            self._print(divergences)
        for report in divergences:
            if report in self.recorded:
                print("\n".join(describe_divergence(report)), file=sys.stderr)
        if divergences:
            return PROBLEMS
        return NOT_JUDGED if self.unavailable else FINE

    def _summary(self, divergences: list[Report]) -> dict[str, Any]:
        return {
            "seed": self.seed,
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
            print(f"seed {self.seed}" + (f"; {hangs} traces ended in a hang" if hangs else ""))
        for kernel, reason in self.unavailable.items():
            print(f"kernel {kernel}: not judged: {reason}")
        reports = [*self.recorded, *(report for one in self.live for report in one.reports)]
        steps = sum(report.steps for report in reports)
        other = sum(len(report.deviations) for report in reports)
        print(
            f"{steps:,} steps; {other} ({percent(other, steps)}) needed another than the "
            f"canonical schedule; {len(divergences)} divergences"
        )

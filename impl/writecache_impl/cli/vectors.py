"""`writecache vectors`: check, record, and what of the specification they reach."""

import time
from collections.abc import Iterable
from pathlib import Path

import click

from writecache_impl.cli import target_job
from writecache_impl.cli.common import meter, print_json, seed_option
from writecache_impl.cli.covering import print_coverage
from writecache_impl.cli.exits import FINE, NOT_JUDGED
from writecache_impl.cli.lazily import Commands
from writecache_impl.cli.manifesting import manifest_command
from writecache_impl.cli.reports import print_reports
from writecache_impl.cli.traces import MODULES, check_modules, traces_in
from writecache_impl.judging import Judges
from writecache_impl.linux import UNUSABLE, LinuxTarget, one_line
from writecache_impl.live import check_release
from writecache_impl.recording import HungError, record
from writecache_models.fixtures import shipped_vectors
from writecache_models.judge import Report, judge, profile_named, with_schedules
from writecache_models.trace import LOGS, NO_LOGS
from writecache_models.vectors import Trace, VectorError, check_writable, write_traces
from writecache_models.workloads import FAMILIES, generate
from writecache_spec.profile import PROFILES

FILES = click.argument(
    "files", nargs=-1, type=click.Path(path_type=Path, dir_okay=False, exists=False)
)
PROFILE = click.option(
    "--profile", type=click.Choice(sorted(PROFILES)), help="Judge as this kernel, not the trace's."
)


@click.group(cls=Commands, places={"show": "writecache_impl.cli.showing:show"})
def vectors() -> None:
    """Recorded traces: what real kernels did, step by step.

    \b
    Examples:
      writecache vectors check tests/vectors/*
      writecache vectors record --kernel sid --replay mine.jsonl -o v.jsonl
    """


def named_or_shipped(files: tuple[Path, ...]) -> list[Path]:
    """The files named, or those that come with the project."""
    chosen = list(files) or shipped_vectors()
    if not chosen:
        raise VectorError("no vector file named, and none shipped with this installation")
    return chosen


@vectors.command()
@FILES
@PROFILE
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes; by default all processors.")
@click.option(
    "--target",
    help="Play them on this target, `cmd:PROGRAM ARGS` for one, and judge what it does; by default "
    "what was recorded is judged.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--store", is_flag=True, help="Write the schedules that were needed back to the files."
)
def check(
    files: tuple[Path, ...],
    profile: str | None,
    jobs: int | None,
    target: str | None,
    as_json: bool,
    store: bool,
) -> int:
    """Judge vectors by the reference; without FILES those that come with the project.

    With --target they are asked of a target: at level 3 it has to show what the reference shows,
    below it has to keep the contract; vectors that mean nothing at its level are left out.

    The JSON object's keys: `steps`; `seconds`; `divergences`, their number; `traces`, a list with
    `trace`, `kernel`, `profile`, `steps`, `non_canonical`, `panics`, and where there is one
    `divergence` (`step`, `op`, `seen`, `expected`, `schedules`) or `problem`.

    Examples: writecache vectors check tests/vectors/*, or
    writecache vectors check --target 'cmd:examples/target_c/target' violation.jsonl
    """
    if target is not None:
        if profile or jobs or store:
            raise click.UsageError("--profile, --jobs and --store are for what was recorded")
        return target_job.check_vectors(target, named_or_shipped(files), as_json)
    started = time.monotonic()
    chosen = profile_named(profile) if profile else None
    reports: list[Report] = []
    for file in named_or_shipped(files) if store else ():
        check_writable(file)
    with Judges(jobs) as judges, meter("judging", None, "steps") as bar:
        for file in named_or_shipped(files):
            judged = list(judges.all(traces_in([file]), chosen, bar.advance))
            reports += [report for _, report in judged]
            if store:
                write_traces(file, [with_schedules(trace, report) for trace, report in judged])
    return print_reports(reports, time.monotonic() - started, as_json)


@vectors.command("record")
@click.option("--kernel", required=True, help="Suite, release, or path of a user-mode kernel.")
@MODULES
@seed_option("Decides the traces.", "1")
@click.option(
    "--count", type=click.IntRange(1, 10**6), default=10, show_default=True, help="Traces."
)
@click.option("--family", type=click.Choice(sorted(FAMILIES)), help="Only traces of this kind.")
@click.option(
    "--replay",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Record this file's operations instead: traces of your own, or another kernel's.",
)
@click.option(
    "--logs",
    type=click.Choice(LOGS),
    default=NO_LOGS,
    show_default=True,
    help="Log what is written, too: to each device, or to both as one.",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path, dir_okay=False), help="File."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def record_command(
    kernel: str,
    modules: str | None,
    seed: str,
    count: int,
    family: str | None,
    replay: Path | None,
    logs: str,
    output: Path,
    as_json: bool,
) -> int:
    """Record traces of a live kernel: random ones, or those of a file.

    Exit code 3 if the kernel could not be used to the end; what was recorded before is written.
    The JSON object's keys: `file`, null if there is none; `traces` and `steps`, their numbers;
    `seed`; `problem`, null without one.

    Example: writecache vectors record --kernel trixie --seed 99 --count 4 -o v.jsonl.xz
    """
    check_modules([kernel], modules)
    check_writable(output)
    given = list(traces_in([replay])) if replay else []
    n_wanted = len(given) or count
    with LinuxTarget(kernel, modules=modules) as target:
        check_release(target)
        version = target.target_version
        memory = target.has_memory
        drawn = (generate(f"{seed}-{number}", family, version, memory) for number in range(count))
        wanted = iter(given) if replay else drawn
        logged = (trace.with_logs(logs) for trace in wanted)
        recorded, problem = _record(target, logged, n_wanted)
    if recorded:
        write_traces(output, [with_schedules(trace, judge(trace)) for trace in recorded])
    numbers = {"traces": len(recorded), "steps": sum(len(trace.steps) for trace in recorded)}
    if as_json:
        file = str(output) if recorded else None
        print_json({"file": file, **numbers, "seed": seed, "problem": problem})
    elif recorded:
        source = f"those of {replay}" if replay else f"seed {seed}"
        print(f"{output}: {numbers['traces']} traces, {numbers['steps']:,} steps, {source}")
    if problem is not None:
        click.echo(f"writecache: {problem}", err=True)
    return NOT_JUDGED if problem else FINE


def _record(
    target: LinuxTarget, wanted: Iterable[Trace], count: int
) -> tuple[list[Trace], str | None]:
    """The traces as the kernel plays them, and why there are no more."""
    recorded: list[Trace] = []
    with meter("recording", count, "traces") as bar:
        for trace in wanted:
            try:
                trace = record(target, trace)
            except HungError as hang:
                click.echo(f"writecache: {hang}; recorded up to there", err=True)
                trace = hang.trace
            except UNUSABLE as error:
                return recorded, one_line(error)
            except ValueError as error:
                raise VectorError(f"{trace.name}: {error}") from None
            if trace.steps:
                recorded.append(trace)
            bar.advance(1)
    return recorded, None if recorded else "no trace came to a step that could be recorded"


@vectors.command()
@FILES
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def coverage(files: tuple[Path, ...], as_json: bool) -> int:
    """Which branches of the specification recorded steps reach, and which they miss.

    Exit code 1 if a branch is missed that is not listed as out of a recorder's reach, or is listed
    and reached.

    The JSON object's key `modules` has, by module, `branches`, `missed`, `unrecorded` (out of
    reach, with the reason) and `stale` (listed, and reached or not there).

    \b
    Example:
      writecache vectors coverage
    """
    paths = [str(file) for file in named_or_shipped(files)]
    return print_coverage(paths, "Branches of the specification reached by recorded steps", as_json)


vectors.add_command(manifest_command)

"""`writecache explore`: every sequence of operations and every schedule, up to a bound."""

import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click
from click.core import ParameterSource

from writecache_impl.cli.common import Seconds, meter, print_json, print_table
from writecache_impl.cli.exits import FINE, INTERRUPTED, NOT_JUDGED, PROBLEMS
from writecache_impl.cli.signals import Ended
from writecache_impl.judging import Workers, default_jobs
from writecache_models.expanding import Bound
from writecache_models.exploring import Progress, check_replaceable
from writecache_models.exploring import explore as explore_worlds
from writecache_models.release import bound as bound_of
from writecache_models.release import release_bound, report, stored
from writecache_models.walking import Bounds, Wrong, blame
from writecache_spec.profile import PROFILES

_ENDLESS: Final = 1_000_000
_OF_THE_BOUND: Final = (
    "blocks", "entries", "ops", "block_size", "clients", "failures", "watermark", "any_length",
    "go_on", "profile", "repaired",
)  # fmt: skip


@click.command()
@click.option("--blocks", type=click.IntRange(1, 8), default=2, show_default=True)
@click.option("--entries", type=click.IntRange(1, 40), default=3, show_default=True)
@click.option(
    "--ops", type=click.IntRange(0, 99), default=4, show_default=True, help="Operations begun."
)
@click.option(
    "--block-size", type=click.Choice(["512", "1024", "2048", "4096"]), default="512",
    show_default=True,
)  # fmt: skip
@click.option(
    "--clients", type=click.IntRange(1, 8), default=1, show_default=True, help="Requests at once."
)
@click.option(
    "--failures", type=click.IntRange(0, 9), default=0, show_default=True, help="I/Os that fail."
)
@click.option(
    "--watermark", type=click.IntRange(0, 100), help="Both of them; by default the kernel's own."
)
@click.option("--any-length", is_flag=True, help="Until no operation leads anywhere new.")
@click.option(
    "--go-on", is_flag=True, help="Go on after crashes; each of them counts as an operation."
)
@click.option("--profile", type=click.Choice(sorted(PROFILES)), default="1.6.0", show_default=True)
@click.option("--repaired", is_flag=True, help="With all repairs: nothing is to be found.")
@click.option("--seconds", type=Seconds(1, 864000), help="Stop after so long; --state keeps it.")
@click.option("--processes", type=click.IntRange(1, 999), help="By default one for each core.")
@click.option("--scheduler", help="The address of a Dask scheduler, whose workers do the work.")
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep here what was reached when the run ends, also by --seconds or an interrupt.",
)
@click.option("--resume", is_flag=True, help="Go on from what --state has kept; only of one's own.")
@click.option("--release", is_flag=True, help="The bound that a release stands on.")
@click.option("--report", "as_report", is_flag=True, help="With --release: print the stored run.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def explore(**options: Any) -> int:
    """Explore every sequence of operations and every schedule, crashes at every moment judged.

    Prints exact counts, and of each kind of violation a shortest path with the repairs that it is
    for.  An interrupted run ends with what it has; with --state it can be gone on from.

    Each operation more takes some ten times as long: before two blocks and with three entries, on
    two cores, three take half a minute, four seven minutes and five an hour.

    \b
    Examples:
      writecache explore --blocks 2 --entries 3 --ops 3 --repaired
      writecache explore --release --report
    """
    if options["as_report"]:
        return _print_stored(options["as_json"])
    progress = _progress(options)
    command = " ".join(["writecache", *sys.argv[1:]])
    interrupted = _run(progress, options)
    result = report(progress, command)
    for found in progress.found.values():
        bounds = Bounds(progress.bound.ops, progress.bound.n_clients, progress.bound.failures)
        result.setdefault("blamed", {})[found.what] = [
            repair.name
            for repair in blame(progress.bound.setting, bounds, Wrong(found.what, found.path))
        ]
    if options["as_json"]:
        print_json(result)
    else:
        print_report(result)
    if interrupted:
        return INTERRUPTED
    if progress.found:
        return PROBLEMS
    return FINE if progress.done else NOT_JUDGED


def _progress(options: Mapping[str, Any]) -> Progress:
    """Where to begin, or to go on."""
    state: Path | None = options["state"]
    _check_bound_given_once(options)
    if state is not None:
        check_replaceable(state)
    if options["resume"]:
        if state is None:
            raise click.UsageError("--resume needs --state, which says what to go on from")
        try:
            return Progress.load(state)
        except Exception as error:
            if isinstance(error, OSError):
                raise
            raise click.UsageError(f"{state}: no exploration was kept there") from error
    if state is not None and not state.parent.is_dir():
        raise click.UsageError(f"{state.parent}: No such directory")
    return Progress.at_first(_bound(options))


def _check_bound_given_once(options: Mapping[str, Any]) -> None:
    """What goes on has its bound already, and so has the release."""
    owner = next((one for one in ("resume", "release") if options[one]), None)
    context = click.get_current_context()
    for name in _OF_THE_BOUND if owner else ():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{owner} has a bound of its own: --{name.replace('_', '-')}")


def _bound(options: Mapping[str, Any]) -> Bound:
    if options["release"]:
        return release_bound()
    try:
        made = bound_of(
            profile=options["profile"],
            repaired=options["repaired"],
            blocks=options["blocks"],
            entries=options["entries"],
            block_size=int(options["block_size"]),
            n_ops=_ENDLESS if options["any_length"] else options["ops"],
            goes_on=options["go_on"],
            n_clients=options["clients"],
            failures=options["failures"],
            watermark=options["watermark"],
        )
        made.setting.shape  # noqa: B018 - a size that no device has is refused here
    except AssertionError as error:
        raise click.UsageError(str(error)) from error
    return made


def _run(progress: Progress, options: Mapping[str, Any]) -> bool:
    """Explore, and keep what was reached; whether it was interrupted."""
    interrupted = False
    state: Path | None = options["state"]
    started = time.monotonic()
    before = progress.seconds
    seconds = options["seconds"]

    with meter("exploring", None, "worlds") as bar, _executor(options) as (executor, n_at_once):

        def go_on(reached: Progress) -> bool:
            now = time.monotonic()
            reached.seconds = before + now - started
            bar.reach(reached.n_worlds)
            return seconds is None or now - started < seconds

        try:
            explore_worlds(progress, executor, n_at_once, go_on)
        except (KeyboardInterrupt, Ended):
            interrupted = True
            print("interrupted; what was reached follows", file=sys.stderr)
    if state is not None:
        progress.save(state)
    return interrupted


@contextmanager
def _executor(options: Mapping[str, Any]) -> Iterator[tuple[Executor, int]]:
    """Who does the work, and how many chunks at once."""
    if options["scheduler"] is not None:
        try:
            import distributed
        except ImportError as error:
            raise click.UsageError("--scheduler needs dask: install the extra `dask`") from error
        try:
            cluster: Any = distributed
            client = cluster.Client(options["scheduler"], timeout="10s")
        except (OSError, ValueError) as error:
            raise click.UsageError(f"--scheduler: {error}") from error
        with client:
            n_threads = sum(client.nthreads().values())
            yield client.get_executor(pure=False), 2 * max(n_threads, 1)
        return
    n_processes = options["processes"] or default_jobs()
    with Workers(n_processes) as executor:
        yield executor, 2 * n_processes


def _print_stored(as_json: bool) -> int:
    found = stored()
    if found is None:
        print("no full run is stored", file=sys.stderr)
        return NOT_JUDGED
    if as_json:
        print_json(found)
    else:
        print_report(found)
    return PROBLEMS if found["violations"] else FINE


def _extent(result: Mapping[str, Any]) -> str:
    """How far an exploration has come."""
    operations = "operations and crashes" if result.get("goes_on") else "operations"
    if result.get("closed"):
        return f"complete, for any number of {operations}"
    if result["complete"]:
        return "complete"
    # What was not begun leaves all shorter paths whole.
    level = f"every path of up to {result['level']} events"
    if "layer" not in result:
        return level
    layer = result["layer"]
    return f"every path of fewer than {layer} {operations}, and with {layer} {level} more"


def print_report(result: Mapping[str, Any]) -> None:
    """Print what an exploration has come to."""
    print(result["table"])
    names = ("blocks", "block_size", "entries", "operations", "requests_at_once", "failures",
             "recovery_crashes", "worlds", "events", "crash_states", "distinct",
             "distinct_up_to_names")  # fmt: skip
    print(f"$ {result['command']}")
    n_repairs = len(result["repairs"])
    repairs = f"{n_repairs} repairs of SSD mode" if n_repairs else "no repairs"
    print_table(
        f"Profile {result['profile']}, {repairs}: {_extent(result)}, {result['seconds']:.0f} s",
        ("", "number"),
        [(name.replace("_", " "), result[name]) for name in names],
    )
    if "layers" in result:
        layers = ", ".join(f"{count:,}" for count in result["layers"])
        print(f"worlds met first with 0, 1, 2 … begun: {layers}")
    for what, count in result["violations"].items():
        blamed = ", ".join(result.get("blamed", {}).get(what, ())) or "no single repair"
        print(f"{count:,} times: {what}\n  mended by: {blamed}")
        print("  " + " ".join(str(event) for event in result["found"][what]))
    print(f"{sum(result['violations'].values()):,} violations")

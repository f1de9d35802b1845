"""``writecache kernel``: fetch, list and run real Linux kernels in user mode, or emulated."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from ..linux.boot import Machine
from ..linux.errors import UNUSABLE, KernelDied, KernelHung, one_line
from ..linux.fetch import fetch
from ..linux.locating import locate
from ..linux.machines import start
from ..linux.private import BootOptions
from ..linux.suites import SUITES, Suite, current, kernels, suite_named
from ..linux.target import LinuxTarget
from .common import Output, Seconds, print_json, spinner
from .exits import FINE, NOT_JUDGED, PROBLEMS
from .traces import MODULES, check_modules

SCRIPT_SECONDS = 3600.0
MEBIBYTES = click.IntRange(1, 1 << 20)


@click.group()
def kernel() -> None:
    """Real Linux kernels, run in user mode or emulated, without root or hardware for it.

    \b
    Examples:
      writecache kernel fetch sid
      writecache kernel list
    """


@kernel.command("fetch")
@click.argument("suites", nargs=-1)
@click.option("--again", is_flag=True, help="Ask for a newer one even if one is there.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def fetch_command(suites: tuple[str, ...], again: bool, as_json: bool) -> int:
    """Fetch the kernels of SUITES (default: all) into the user's cache directory.

    Exit code 3 if one cannot be had.  The JSON array's objects: `suite`, and `kernel` and `target`
    or `problem`.

    \b
    Example:
      writecache kernel fetch bookworm sid
    """
    unknown = [name for name in suites if suite_named(name) is None]
    if unknown:
        known = ", ".join(suite.name for suite in SUITES)
        raise click.UsageError(f"no suite named {unknown[0]!r}; there are {known}")
    wanted = [suite for suite in SUITES if suite.name in suites or not suites]
    results: list[dict[str, Any]] = []
    with spinner("fetching") as say:
        for suite in wanted:
            results.append(_fetch(suite, again, say))
            if "problem" in results[-1]:
                click.echo(f"writecache: {suite.name}: {results[-1]['problem']}", err=True)
            elif not as_json:
                click.echo("{suite}: Linux {kernel}, writecache {target}".format(**results[-1]))
    if as_json:
        print_json(results)
    return NOT_JUDGED if any("problem" in result for result in results) else FINE


def _fetch(suite: Suite, again: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """Fetch a suite's kernel and run it once; what became of it."""
    try:
        image = fetch(suite, again=again, report=say)
        say(f"{suite.name}: first boot")
        with LinuxTarget(image) as target:
            version = target.target_version
    except UNUSABLE as error:
        return {"suite": suite.name, "problem": one_line(error).removeprefix(f"{suite.name} ")}
    return {"suite": suite.name, "kernel": image.release, "target": version}


def _rows() -> list[dict[str, Any]]:
    """Describe every suite, and every older kernel that was kept."""
    rows: list[dict[str, Any]] = []
    images = kernels()
    for suite in SUITES:
        newest = current(suite)
        mine = sorted(
            (image for image in images if image.name == suite.name),
            key=lambda image: newest is None or image.path != newest.path,
        )
        rows += [
            {
                "suite": suite.name,
                "fetched": True,
                "current": newest is not None and image.path == newest.path,
                "kernel": image.release,
                "target": image.target,
                "package": image.package,
                "path": str(image.path),
            }
            for image in mine
        ] or [{"suite": suite.name, "fetched": False}]
    return rows


@kernel.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def list_command(as_json: bool) -> None:
    """List the suites and what has been fetched of them.

    The JSON array's objects: `suite`, `fetched`, and of what is fetched `current`, `kernel`,
    `target`, `package`, `path`.

    \b
    Example:
      writecache kernel list --json
    """
    rows = _rows()
    if as_json:
        print_json(rows)
        return
    table = Table("suite", "kernel", "writecache", "package", "where", box=None)
    for row in rows:
        cells = [row.get(key) or "-" for key in ("kernel", "target", "package", "path")]
        cells = cells if row["fetched"] else ["not fetched", "-", "-", "-"]
        table.add_row(*map(Text, [row["suite"], *cells]))
    # a path is to be copied, so it is never cut
    longest = max(len(str(row.get("path", ""))) for row in rows)
    Output(width=80 + longest).print(table)


def _run(machine: Machine, command: list[str], seconds: float) -> int:
    """Run a command in the guest, copying its console to ours; return its exit status."""
    machine.receive(machine.options.boot_s)
    machine.console_news()  # what the kernel said while it booted
    machine.send(command)
    bound = time.monotonic() + seconds
    while not (answered := machine.answered(0.1)) and time.monotonic() < bound:
        click.echo(machine.console_news(), nl=False)
    click.echo(machine.console_news(), nl=False)
    if not answered:
        click.echo(f"writecache: the script did not end within {seconds:g} s", err=True)
        return PROBLEMS
    answer = machine.receive(1.0)
    click.echo(machine.console_news(), nl=False)
    return int(answer["exit"])


@kernel.command("run")
@click.argument("suite")
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1)
@MODULES
@click.option("--module", "extra", multiple=True, help="A module to load besides.")
@click.option(
    "--origin-mib", type=MEBIBYTES, default=64, show_default=True, help="Size of $ORIGIN."
)
@click.option("--cache-mib", type=MEBIBYTES, default=16, show_default=True, help="Size of $CACHE.")
@click.option(
    "--timeout", type=Seconds(0), default=SCRIPT_SECONDS, show_default=True, help="In seconds."
)
def run_command(
    suite: str,
    script: Path,
    arguments: tuple[str, ...],
    modules: str | None,
    extra: tuple[str, ...],
    origin_mib: int,
    cache_mib: int,
    timeout: float,
) -> int:
    """Run SCRIPT (a shell script, or Python if it ends in .py) in a booted kernel.

    SUITE is a suite, the version of a fetched kernel, or a user-mode kernel you built. The target
    is loaded; the disks' names are in $ORIGIN and $CACHE; the working directory can be written to.
    Prints the console. The exit status is the script's, 1 if the kernel died, 3 without a kernel.

    \b
    Example:
      writecache kernel run sid probe.sh
    """
    check_modules([suite], modules)
    options = BootOptions(
        entry="shell",
        disk_bytes=origin_mib << 20,
        cache_bytes=cache_mib << 20,
        extra_modules=extra,
    )
    try:
        with start(locate(suite, modules), options) as machine:
            copy = machine.private.exchange / script.name
            shutil.copy(script, copy)
            program = sys.executable if script.suffix == ".py" else "/bin/sh"
            return _run(machine, [program, str(copy), *arguments], timeout)
    except (KernelDied, KernelHung) as error:
        click.echo(error.console, err=True)
        click.echo(f"writecache: the kernel ended: {error}", err=True)
        return PROBLEMS

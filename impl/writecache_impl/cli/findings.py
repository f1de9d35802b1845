"""`writecache findings`: how the described system breaks the contract, and where it can be seen."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from writecache_impl.cli.common import OUTPUT, meter, print_json, print_table
from writecache_impl.cli.exits import FINE, NOT_JUDGED, PROBLEMS
from writecache_impl.cli.traces import MODULES, check_modules, write_or_print
from writecache_impl.explorer.writing import rendered, states_of_findings
from writecache_impl.linux import LinuxTarget
from writecache_impl.reproducing import Reproduced, reproduce
from writecache_impl.rescue import synced
from writecache_models.finding import (
    Finding,
    Synced,
    Trace,
    faithful,
    repaired,
    show,
)
from writecache_models.findings import (
    FINDINGS,
    finding_named,
)
from writecache_models.vectors import check_writable


@click.command()
@click.argument("name", required=False)
@click.option("--reproduce", "kernel", help="A suite, a release, or the path of a kernel.")
@MODULES
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.option("--html", is_flag=True, help="Make a page to step through the traces in a browser.")
@OUTPUT
def findings(
    name: str | None,
    kernel: str | None,
    modules: str | None,
    as_json: bool,
    html: bool,
    output: Path | None,
) -> int:
    """List the findings; show one; or reproduce one on a live kernel.

    A finding is shown by its trace on the faithful reference, which breaks the contract, and on the
    repaired one, which keeps it.  With --reproduce exit code 0 says that the kernel showed it, 1
    that it did not, 3 that no live kernel can show it here, and why.  With --html one page shows
    every moment of all findings' traces, or of one's: it needs no server and no network.

    The JSON array's objects have the keys `name`, `title`, `symptom`, `cause`, `repair`, `mends`,
    `profile`, `kernels`, `not_live` and `trace`.

    \b
    Examples:
      writecache findings
      writecache findings run-over-duplicate
      writecache findings run-over-duplicate --reproduce sid
      writecache findings --html -o findings.html
    """
    if html and (as_json or kernel is not None):
        raise click.UsageError("--html goes with neither --json nor --reproduce")
    if output is not None and not html:
        raise click.UsageError("-o needs --html")
    if name is None:
        if kernel is not None:
            raise click.UsageError("--reproduce needs the name of a finding")
        return _explore(FINDINGS, output) if html else _list(as_json)
    try:
        finding = finding_named(name)
    except KeyError:
        raise click.UsageError(
            f"no finding is called {name!r}: see `writecache findings`"
        ) from None
    if html:
        return _explore((finding,), output)
    if kernel is not None:
        check_modules((kernel,), modules)
        return _reproduce(finding, kernel, modules, as_json)
    return _show(finding, as_json)


def _explore(chosen: Sequence[Finding], output: Path | None) -> int:
    """Play the traces of findings, and write the trace explorer's page."""
    if output is not None:
        check_writable(output)
    with meter("playing", None, "steps") as bar:
        whole = states_of_findings(chosen, tell=lambda: bar.advance(1))
    write_or_print(rendered(whole, html=True), output)
    return FINE


def _list(as_json: bool) -> int:
    if as_json:
        print_json([_about(finding) for finding in FINDINGS])
        return FINE
    rows = [
        [one.name, one.symptom.value, one.title, one.kernels, "no" if one.not_live else "yes"]
        for one in FINDINGS
    ]
    print_table("Findings", ["name", "symptom", "title", "kernels", "live"], rows, names=True)
    print(f"{len(FINDINGS)} findings, {len({one.cause for one in FINDINGS})} causes")
    return FINE


def _about(finding: Finding) -> dict[str, Any]:
    return {
        "name": finding.name,
        "title": finding.title,
        "symptom": finding.symptom.name.lower(),
        "cause": finding.cause,
        "repair": finding.repair.name,
        "mends": finding.repair.value,
        "profile": finding.profile,
        "kernels": finding.kernels,
        "not_live": finding.not_live,
        "trace": _trace(finding),
    }


def _trace(finding: Finding) -> dict[str, Any]:
    by = finding.shown_by
    if isinstance(by, Trace):
        return {
            "table": by.table,
            "cache_sectors": by.cache_sectors,
            "origin_sectors": by.origin_sectors,
            "ops": [list(op) for op in by.ops],
            "crash": by.crash,
        }
    return {
        "options": by.options,
        "pmem_mode": by.pmem_mode,
        "entries": by.n_entries,
        "origin_sectors": by.origin_sectors,
        "events": [list(event) for event in by.events],
    }


def _show(finding: Finding, as_json: bool) -> int:
    found = show(finding, faithful(finding))
    kept = show(finding, repaired(finding))
    result = {
        **_about(finding),
        "faithful": None if found is None else found.what,
        "repaired": None if kept is None else kept.what,
    }
    if as_json:
        print_json(result)
    else:
        print(f"{finding.name}: {finding.title}")
        print(f"symptom:  {finding.symptom.value}")
        print(f"cause:    {finding.cause}")
        print(f"repair:   {finding.repair.name}: {finding.repair.value}")
        print(f"kernels:  {finding.kernels}")
        for key, value in result["trace"].items():
            if key in ("ops", "events"):
                print(f"{key}:")
                for one in value:
                    print("  " + " ".join(map(str, one)))
            else:
                print(f"{key.replace('_', ' ')}: {value}")
        print(f"faithful {finding.profile}: {result['faithful'] or 'keeps the contract'}")
        print(f"repaired: {result['repaired'] or 'keeps the contract'}")
        suite = "bullseye" if finding.profile == "1.4.0-bullseye" else "sid"
        suite = "bookworm-pmem" if finding.live_needs_memory else suite
        command = f"writecache findings {finding.name} --reproduce {suite}"
        print(f"live: {finding.not_live or command}")
    return FINE if found is not None and kept is None else PROBLEMS


def _reproduce(finding: Finding, kernel: str, modules: str | None, as_json: bool) -> int:
    if finding.not_live is not None:
        return _not_reproduced(finding, finding.not_live, as_json)
    if isinstance(finding.live, Synced):
        try:
            lost = synced.show(kernel, modules)
        except ValueError as refused:
            return _not_reproduced(finding, str(refused), as_json)
        return _print_reproduced(
            finding, Reproduced(bool(lost.lost), lost.release, lost.lines), as_json
        )
    with LinuxTarget(kernel, modules=modules, op_seconds=8.0) as target:
        try:
            made = reproduce(finding, target)
        except ValueError as refused:
            return _not_reproduced(finding, str(refused), as_json)
    return _print_reproduced(finding, made, as_json)


def _print_reproduced(finding: Finding, made: Reproduced, as_json: bool) -> int:
    if as_json:
        print_json({"name": finding.name, **made._asdict()})
    else:
        print(f"{finding.name} on Linux {made.kernel}: {finding.title}")
        for line in made.lines:
            print(f"  {line}")
        print("shown" if made.shown else "not shown")
    return FINE if made.shown else PROBLEMS


def _not_reproduced(finding: Finding, reason: str, as_json: bool) -> int:
    if as_json:
        print_json({"name": finding.name, "shown": None, "not_live": reason})
    else:
        print(f"{finding.name}: not on a live kernel: {reason}")
    return NOT_JUDGED

"""`writecache vectors show`: what is in vectors, as a table, as JSON, or for the trace explorer."""

import json
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Final

import click

from writecache_impl.cli.common import OUTPUT, escaped, meter, print_table
from writecache_impl.cli.exits import FINE
from writecache_impl.cli.traces import traces_in, write_or_print
from writecache_impl.cli.vectors import FILES, PROFILE, named_or_shipped
from writecache_impl.explorer.writing import rendered, states_of_vectors
from writecache_models.judge import profile_named
from writecache_models.kept import violated_target
from writecache_models.trace import Observation
from writecache_models.vectors import Trace, VectorError, check_writable

MOST_TRACES: Final = 24
"""That a page of the trace explorer shows: more make it too large to open."""


@click.command()
@FILES
@click.option("--trace", "name", help="Only the trace of this name.")
@click.option("--json", "as_json", is_flag=True, help="Print the traces as JSON Lines.")
@click.option("--html", is_flag=True, help="Make a page to step through them in a browser.")
@click.option("--json-states", is_flag=True, help="Make the data that such a page opens.")
@PROFILE
@OUTPUT
def show(
    files: tuple[Path, ...],
    name: str | None,
    as_json: bool,
    html: bool,
    json_states: bool,
    profile: str | None,
    output: Path | None,
) -> int:
    """Show what is in vectors, step by step.

    As JSON Lines they are what a vector file holds.  With --html they are played on the reference,
    and one page shows what is in memory and on both devices at every effect, and what a crash there
    would leave: it needs no server and no network.  With --json-states the same as data.

    \b
    Examples:
      writecache vectors show --trace plain-1-0 v.jsonl.xz
      writecache vectors show --html --trace sleeps-sleeps-0 v.jsonl.xz -o t.html
    """
    if as_json + html + json_states > 1:
        raise click.UsageError("--json, --html and --json-states: only one of them")
    if html or json_states:
        return _explore(_chosen(files, name), html, profile, output)
    if output is not None or profile is not None:
        raise click.UsageError("-o and --profile need --html or --json-states")
    shown = 0
    if as_json and isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")  # what the files are
    for trace in traces_in(named_or_shipped(files)):
        if name is not None and trace.name != name:
            continue
        shown += 1
        if as_json:
            print("\n".join(trace.lines()))
            continue
        print_table(
            f"{trace.name}: {trace.table}{_origin(trace)}",
            ("step", "operation", "status", "result"),
            [
                [number, json.dumps(op), seen.get("status", ""), _result(seen)]
                for number, (op, seen) in enumerate(trace.steps)
            ],
        )
        if violated_target(trace) is not None and "violation" in trace.extra:
            print(f"violation: {escaped(str(trace.extra['violation']))}")
    if name is not None and not shown:
        raise VectorError(f"no trace is called {name}")
    return FINE


def _chosen(files: tuple[Path, ...], name: str | None) -> list[Trace]:
    """The traces that a page shall show."""
    found: list[Trace] = []
    for trace in traces_in(named_or_shipped(files)):
        if name is None or trace.name == name:
            found.append(trace)
        if len(found) > MOST_TRACES:
            more = f"more than {MOST_TRACES} traces are too many for one page"
            raise click.UsageError(f"{more}: name one with --trace")
    if not found:
        raise VectorError(f"no trace is called {name}")
    return found


def _explore(traces: list[Trace], html: bool, profile: str | None, output: Path | None) -> int:
    """Play traces, and write what the trace explorer shows."""
    if output is not None:
        check_writable(output)
    chosen = profile_named(profile) if profile else None
    with meter("playing", sum(len(trace.steps) for trace in traces), "steps") as bar:
        whole = states_of_vectors(traces, chosen, lambda: bar.advance(1))
    write_or_print(rendered(whole, html), output)
    return FINE


def _origin(trace: Trace) -> str:
    """Where a trace comes from."""
    violated = violated_target(trace)
    if violated is not None:
        return f", a kept violation of {f'target {violated}' if violated else 'an unnamed target'}"
    if trace.kernel is None:
        return ", not recorded"
    return f" on Linux {trace.kernel}, target {trace.target}"


def _result(seen: Observation) -> str:
    keys = ("panic", "hang", "errno", "error", "read", "schedule", "violation")
    return ", ".join(f"{key} {seen[key]}" for key in keys if key in seen)

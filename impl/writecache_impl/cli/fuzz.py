"""`writecache fuzz`: random walks through everything that can happen, crashes included."""

import random
import sys
import time
from collections.abc import Mapping
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

import click

from writecache_impl.cli.common import Seconds, meter, print_json, seed_option
from writecache_impl.cli.covering import print_coverage
from writecache_impl.cli.exits import FINE, INTERRUPTED, PROBLEMS
from writecache_impl.cli.matrix import matrix_of, print_matrix
from writecache_impl.judging import Workers, default_jobs
from writecache_models.cells import reachable
from writecache_models.findings import finding_of
from writecache_models.fuzzing import Done, Find, Task, as_found, work
from writecache_spec.profile import PROFILES, Profile

WALKS_AT_ONCE = 20
SECONDS = 30.0
LONGEST = 120.0
"""Seconds, where walks go on until no cell of the matrix is empty."""


@click.command()
@click.option("--profile", type=click.Choice(sorted(PROFILES)), default="1.6.0", show_default=True)
@click.option("--repaired", is_flag=True, help="With all repairs: nothing is to be found.")
@click.option(
    "--seconds",
    type=Seconds(1, 864000),
    help=f"By default {SECONDS:g}; with --matrix up to {LONGEST:g}, until no cell is empty.",
)
@click.option("--steps", type=click.IntRange(1), help="Stop after so many events, before the time.")
@seed_option("Decides the walks; by default a new one, which is printed.", None)
@click.option("--processes", type=click.IntRange(1, 999), help="By default one for each core.")
@click.option(
    "--matrix",
    is_flag=True,
    help="Print where crashes struck, with all repairs; fails where a cell is empty or impossible.",
)
@click.option(
    "--coverage", is_flag=True, help="Print what a tour of worlds reaches of the specification."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def fuzz(**options: Any) -> int:
    """Walk at random through worlds of many requests, timers, reloads, I/O errors and crashes.

    Each walk keeps to one way of breaking the contract: all repairs are made but one (see
    `findings`), or, with --repaired, all.  What goes wrong is shrunk, printed and named.

    --coverage makes another set of walks, the same every time, over all profiles, and explores a
    little; exit code 1 if they miss a branch that is not listed as out of a world's reach, or
    reach one that is.

    The JSON object's keys: `seed`, `profile`, `walks`, `events`, `crash_states`, `seconds`, and
    `found`, a list.

    \b
    Examples:
      writecache fuzz --profile 1.6.0 --repaired --seconds 60
      writecache fuzz --matrix
    """
    if options["coverage"]:
        title = "Branches of the specification reached by a tour of worlds"
        return print_coverage(["--worlds"], title, options["as_json"])
    profile: Profile = PROFILES[options["profile"]]
    seed: str = options["seed"] or f"{random.randrange(10**9)}"
    print(f"seed {seed}", file=sys.stderr)
    started = time.monotonic()
    done, interrupted = _walk(profile, seed, options, started)
    result = _result(done, profile, seed, time.monotonic() - started)
    matrix = matrix_of(done.cells) if options["matrix"] else {}
    if options["as_json"]:
        print_json(result | ({"matrix": matrix} if matrix else {}))
    else:
        _print(result)
        if matrix:
            print_matrix(matrix)
    if interrupted:
        return INTERRUPTED
    wrong = matrix and (matrix["empty"] or matrix["wrongly_impossible"])
    return PROBLEMS if done.finds or wrong else FINE


def _walk(
    profile: Profile, seed: str, options: Mapping[str, Any], started: float
) -> tuple[Done, bool]:
    """Walk; what came of it, and whether it was interrupted."""
    done, interrupted, number = Done(), False, 0
    n_processes = options["processes"] or default_jobs()
    steps, seconds = options["steps"], options["seconds"] or SECONDS
    fills = options["matrix"] and steps is None and options["seconds"] is None

    def wanted() -> bool:
        taken = time.monotonic() - started
        if fills and seconds <= taken < LONGEST:
            return not all(done.cells[cell] for cell in reachable())
        return taken < seconds and (steps is None or done.n_events < steps)

    def task() -> Task:
        nonlocal number
        seeds = [f"{seed}-{number + i}" for i in range(WALKS_AT_ONCE)]
        number += WALKS_AT_ONCE
        return Task(profile, options["repaired"] or options["matrix"], seeds)

    with (
        meter("walking", LONGEST if fills else seconds, "s") as bar,
        Workers(n_processes) as executor,
    ):
        flying: set[Future[Done]] = set()
        try:
            while wanted() or flying:
                while wanted() and len(flying) < 2 * n_processes:
                    flying.add(executor.submit(work, task()))
                ready, flying = wait(flying, return_when=FIRST_COMPLETED)
                for future in ready:
                    done.add(future.result())
                bar.reach(time.monotonic() - started)
        except KeyboardInterrupt:
            interrupted = True
            for future in flying:
                future.cancel()
            print("interrupted; what was found follows", file=sys.stderr)
    return done, interrupted


def _result(done: Done, profile: Profile, seed: str, seconds: float) -> dict[str, Any]:
    return {
        "seed": seed,
        "profile": profile.name,
        "walks": done.n_walks,
        "events": done.n_events,
        "crash_states": done.n_states,
        "seconds": round(seconds, 1),
        "found": [_found(find, profile) for find in done.finds],
    }


def _found(find: Find, profile: Profile) -> dict[str, Any]:
    finding = finding_of(find.repair)
    return {
        "finding": None if finding is None else finding.name,
        "repair": None if find.repair is None else find.repair.name,
        "what": find.wrong.what,
        "shows_without_any_repair": as_found(find, profile) is not None,
        "table": find.plan.setting.table,
        "entries": find.plan.setting.n_entries,
        "origin_sectors": find.plan.setting.origin_sectors,
        "walk": find.seed,
        "events_at_first": find.n_events,
        "path": [list(event) for event in find.wrong.path],
    }


def _print(result: Mapping[str, Any]) -> None:
    for found in sorted(result["found"], key=lambda one: str(one["finding"])):
        name = found["finding"] or "NOT KNOWN"
        print(f"{name}: {found['what']}")
        print(
            f"  {found['table']}, {found['entries']} entries, {found['origin_sectors']} sectors; "
            f"walk {found['walk']}, events shrunk from {found['events_at_first']} to "
            f"{len(found['path'])}"
        )
        print("  " + " ".join(" ".join(map(str, event)) + ";" for event in found["path"]))
    print(
        f"{result['walks']:,} walks, {result['events']:,} events, "
        f"{result['crash_states']:,} crash states in {result['seconds']:.0f} s; "
        f"{len({one['finding'] for one in result['found']})} findings; seed {result['seed']}"
    )

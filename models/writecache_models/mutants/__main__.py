"""`python -m writecache_models.mutants`: hunt and explore every mutant, print what became of it.

Exit code 1 where a mutant survives that somebody must see, one is caught that nobody can see, or
what a missing repair lets through is larger than it may be; 2 for a name or a number that makes no
sense.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

from writecache_models.mutants.families import MUTANTS
from writecache_models.mutants.hunting import hunt
from writecache_models.mutants.reporting import Result, report, shown
from writecache_models.mutants.searching import search


def main(arguments: Sequence[str] | None = None) -> int:
    """Hunt and explore; returns the exit code."""
    given = _parser().parse_args(arguments)
    names = given.only or list(MUTANTS)
    results = []
    for number, result in enumerate(_results(names, given), 1):
        print(f"{number}/{len(names)} {result.mutant.name}", file=sys.stderr, flush=True)
        results.append(result)
    made = report(results, given)
    if given.output:
        given.output.write_text(json.dumps(made, indent=1) + "\n")
    print(json.dumps(made, indent=1) if given.json else shown(results))
    return 0 if all(result.as_expected for result in results) else 1


def _results(names: Sequence[str], given: argparse.Namespace) -> Iterator[Result]:
    """In the order of the names."""
    of = partial(_result, given.seed, given.seconds, given.explorer_seconds)
    if given.processes == 1:
        yield from map(of, names)
        return
    with ProcessPoolExecutor(given.processes) as pool:
        yield from pool.map(of, names)


def _result(seed: str, seconds: float, explorer_seconds: float, name: str) -> Result:
    mutant = MUTANTS[name]
    searched = search(mutant, explorer_seconds) if mutant.caught_by == "machines" else None
    return Result(hunt(mutant, seed, seconds), searched)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m writecache_models.mutants")
    parser.add_argument("--only", action="append", choices=MUTANTS, metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="PER_MUTANT")
    parser.add_argument("--explorer-seconds", type=float, default=5.0, metavar="PER_MUTANT")
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seed", default="1")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--output", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())

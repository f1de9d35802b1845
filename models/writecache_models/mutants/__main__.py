"""`python -m writecache_models.mutants`: hunt every mutant, and print what became of each.

Exit code 1 where a mutant survives that somebody must see, or one is caught that nobody can see; 2
for a name or a number that makes no sense.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

from writecache_models.mutants import Mutant
from writecache_models.mutants.historical import HISTORICAL
from writecache_models.mutants.hunting import Hunted, hunt
from writecache_models.mutants.ordering import ORDERING

MUTANTS: Final = {mutant.name: mutant for mutant in HISTORICAL + ORDERING}


def main(arguments: Sequence[str] | None = None) -> int:
    """Hunt; returns the exit code."""
    given = _parser().parse_args(arguments)
    chosen = [MUTANTS[name] for name in given.only] if given.only else list(MUTANTS.values())
    results = []
    for number, mutant in enumerate(chosen, 1):
        print(f"{number}/{len(chosen)} {mutant.name}", file=sys.stderr, flush=True)
        results.append(hunt(mutant, given.seed, given.seconds))
    made = report(results, given)
    if given.output:
        given.output.write_text(json.dumps(made, indent=1) + "\n")
    print(json.dumps(made, indent=1) if given.json else shown(results))
    return 0 if all(result.as_expected for result in results) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m writecache_models.mutants")
    parser.add_argument("--only", action="append", choices=MUTANTS, metavar="NAME")
    parser.add_argument("--seconds", type=float, default=10.0, metavar="PER_MUTANT")
    parser.add_argument("--seed", default="1")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--output", type=Path)
    return parser


def report(results: Sequence[Hunted], given: argparse.Namespace) -> dict[str, Any]:
    """Everything in plain data."""
    only = "".join(f" --only {name}" for name in given.only or ())
    command = f"python -m writecache_models.mutants{only}"
    return {
        "command": f"{command} --seconds {given.seconds:g} --seed {given.seed}",
        "totals": totals(results),
        "mutants": [_plain(result) for result in results],
    }


def _plain(result: Hunted) -> dict[str, Any]:
    return {
        "name": result.mutant.name,
        "history": result.mutant.history,
        "equivalent": result.mutant.equivalent,
        "caught_by": result.caught_by,
        "seconds": round(result.seconds, 2),
        "what": result.what,
        "seed": result.seed,
        "walks": result.walks,
        "operations": result.n_ops,
        "events": result.n_events,
        "path": [list(event) for event in result.path],
        "without_the_mutant_too": list(result.not_the_mutants),
    }


def totals(results: Sequence[Hunted]) -> dict[str, Any]:
    """How many were caught, of those that somebody must catch."""
    historical, ordering = (
        [one for one in results if one.mutant in family and one.mutant.equivalent is None]
        for family in (HISTORICAL, ORDERING)
    )
    caught = [one.seconds for one in historical if one.caught_by]
    n_ordering = sum(one.caught_by is not None for one in ordering)
    return {
        "historical": len(historical),
        "historical_caught": len(caught),
        "historical_median_seconds": round(median(caught), 2) if caught else None,
        "ordering": len(ordering),
        "ordering_caught": n_ordering,
        "ordering_percent": round(100 * n_ordering / len(ordering), 1) if ordering else None,
        "equivalent": sum(one.mutant.equivalent is not None for one in results),
        "survivors": [one.mutant.name for one in results if _survives(one)],
        "equivalent_but_caught": [
            one.mutant.name for one in results if one.mutant.equivalent and one.caught_by
        ],
        "seconds": round(sum(one.seconds for one in results), 1),
    }


def _survives(one: Hunted) -> bool:
    return one.mutant.equivalent is None and one.caught_by is None


def shown(results: Sequence[Hunted]) -> str:
    """A table, the totals, and the equivalents with their arguments."""
    rows = [("mutant", "caught by", "seconds", "ops", "events", "what was seen")]
    rows += [
        (
            one.mutant.name,
            one.caught_by or ("equivalent" if one.mutant.equivalent else "SURVIVES"),
            f"{one.seconds:.2f}",
            str(one.n_ops or "-"),
            str(one.n_events or "-"),
            one.what or "-",
        )
        for one in results
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(5)]
    lines = ["  ".join([*map(str.ljust, row, widths), row[5]]) for row in rows]
    lines += ["", *(f"{key}: {_text(value)}" for key, value in totals(results).items())]
    for mutant in _equivalents(results):
        lines += ["", f"{mutant.name}: {mutant.equivalent}"]
    return "\n".join(lines)


def _text(value: object) -> str:
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)


def _equivalents(results: Sequence[Hunted]) -> list[Mutant]:
    return [one.mutant for one in results if one.mutant.equivalent is not None]


if __name__ == "__main__":
    sys.exit(main())

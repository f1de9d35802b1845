"""What became of mutants, as a table and as plain data."""

import argparse
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

from writecache_models.mutants import Mutant
from writecache_models.mutants.families import FAMILIES
from writecache_models.mutants.hunting import Hunted
from writecache_models.mutants.missing import LARGER, MOST_CRASHES, MOST_OPERATIONS
from writecache_models.mutants.searching import BLOCKS, ENTRIES, OPERATIONS, Searched


class Result(NamedTuple):
    """What became of a mutant."""

    hunted: Hunted
    searched: Searched | None = None
    """None where the contract is not broken, so that the explorer has nothing to say."""

    @property
    def mutant(self) -> Mutant:
        """Which one."""
        return self.hunted.mutant

    @property
    def explored(self) -> bool:
        """Whether the explorer caught it."""
        return self.searched is not None and bool(self.searched.path)

    @property
    def is_too_large(self) -> bool:
        """Whether a missing repair's trace has more than it may have, and nobody says why."""
        hunted, without = self.hunted, self.mutant.without
        large = hunted.n_ops > MOST_OPERATIONS or hunted.n_crashes > MOST_CRASHES
        return large and without is not None and without not in LARGER

    @property
    def as_expected(self) -> bool:
        """Caught by the hunt, or if nobody can see it by nobody."""
        if self.mutant.equivalent is not None:
            return self.hunted.caught_by is None and not self.explored
        return self.hunted.caught_by is not None and not self.is_too_large


def report(results: Sequence[Result], given: argparse.Namespace) -> dict[str, Any]:
    """Everything in plain data."""
    only = "".join(f" --only {name}" for name in given.only or ())
    command = f"python -m writecache_models.mutants{only}"
    return {
        "command": f"{command} --seconds {given.seconds:g} "
        f"--explorer-seconds {given.explorer_seconds:g} --seed {given.seed}",
        "explorer": {"blocks": BLOCKS, "entries": ENTRIES, "operations": OPERATIONS},
        "totals": totals(results),
        "mutants": [_plain(result) for result in results],
    }


def _plain(result: Result) -> dict[str, Any]:
    hunted, mutant = result.hunted, result.mutant
    return {
        "name": mutant.name,
        "history": mutant.history,
        "equivalent": mutant.equivalent,
        "caught_by": hunted.caught_by,
        "seconds": round(hunted.seconds, 2),
        "what": hunted.what,
        "seed": hunted.seed,
        "walks": hunted.walks,
        "operations": hunted.n_ops,
        "events": hunted.n_events,
        "crashes": hunted.n_crashes,
        "path": [list(event) for event in hunted.path],
        "without_the_mutant_too": list(hunted.not_the_mutants),
        "explorer": None if result.searched is None else _plain_search(result.searched),
    }


def _plain_search(searched: Searched) -> dict[str, Any]:
    return {
        "caught": bool(searched.path),
        "seconds": round(searched.seconds, 2),
        "layer": searched.layer,
        "complete": searched.complete,
        "what": searched.what,
        "path": [list(event) for event in searched.path],
    }


def totals(results: Sequence[Result]) -> dict[str, Any]:
    """How many were caught, of those that somebody must catch."""
    made: dict[str, Any] = {}
    for name, family in FAMILIES.items():
        must = [one for one in results if one.mutant in family and not one.mutant.equivalent]
        caught = [one.hunted.seconds for one in must if one.hunted.caught_by]
        searched = [one for one in must if one.searched is not None]
        made |= {
            name: len(must),
            f"{name}_caught": len(caught),
            f"{name}_percent": round(100 * len(caught) / len(must), 1) if must else None,
            f"{name}_median_seconds": round(median(caught), 2) if caught else None,
            f"{name}_explored": len(searched),
            f"{name}_caught_by_explorer": sum(one.explored for one in searched),
        }
    return made | {
        "equivalent": sum(one.mutant.equivalent is not None for one in results),
        "survivors": [
            one.mutant.name
            for one in results
            if not one.mutant.equivalent and one.hunted.caught_by is None
        ],
        "equivalent_but_caught": [
            one.mutant.name for one in results if one.mutant.equivalent and not one.as_expected
        ],
        "too_large": [one.mutant.name for one in results if one.is_too_large],
        "seconds": round(sum(one.hunted.seconds for one in results), 1),
        "explorer_seconds": round(
            sum(one.searched.seconds for one in results if one.searched is not None), 1
        ),
    }


def shown(results: Sequence[Result]) -> str:
    """A table, the totals, and what is told of equivalents and of large traces."""
    rows = [
        ("mutant", "caught by", "seconds", "ops", "events", "crashes", "explorer", "what was seen"),
        *map(_row, results),
    ]
    last = len(rows[0]) - 1
    widths = [max(len(row[i]) for row in rows) for i in range(last)]
    lines = ["  ".join([*map(str.ljust, row, widths), row[last]]) for row in rows]
    lines += ["", *(f"{key}: {_text(value)}" for key, value in totals(results).items())]
    for one in results:
        reason = one.mutant.equivalent or (one.mutant.without and LARGER.get(one.mutant.without))
        if reason:
            lines += ["", f"{one.mutant.name}: {reason}"]
    return "\n".join(lines)


def _row(result: Result) -> tuple[str, ...]:
    hunted = result.hunted
    return (
        result.mutant.name,
        hunted.caught_by or ("equivalent" if result.mutant.equivalent else "SURVIVES"),
        f"{hunted.seconds:.2f}",
        str(hunted.n_ops or "-"),
        str(hunted.n_events or "-"),
        str(hunted.n_crashes) if hunted.path else "-",
        _explorer(result.searched),
        hunted.what or "-",
    )


def _explorer(searched: Searched | None) -> str:
    """What it found after how long; or up to where there is nothing."""
    if searched is None:
        return "-"
    if searched.path:
        return f"{len(searched.path)} events, {searched.seconds:.1f} s"
    return "missed, all" if searched.complete else f"missed, below {searched.layer} operations"


def _text(value: object) -> str:
    return (", ".join(value) or "none") if isinstance(value, list) else str(value)

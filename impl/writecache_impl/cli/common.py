"""What commands share: exit codes, progress, tables."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from writecache_models.judge import Report
from writecache_models.vectors import Trace, read_traces

FINE: Final = 0
PROBLEMS: Final = 1
FAULTY_INPUT: Final = 2
NOT_JUDGED: Final = 3


class Meter:
    """Progress on standard error where that is a terminal, else nothing."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task
        self._done = 0

    def advance(self, amount: float) -> None:
        """So much more is done."""
        self._progress.advance(self._task, amount)

    def reach(self, amount: float) -> None:
        """So much is done in all."""
        self._progress.update(self._task, completed=amount)


@contextmanager
def meter(title: str, total: float | None, unit: str) -> Iterator[Meter]:
    """Show how far a piece of work is."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f} " + unit),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as it:
        yield Meter(it, it.add_task(title, total=total))


def print_json(value: object) -> None:
    """Print a result as one JSON document."""
    json.dump(value, sys.stdout, indent=1, ensure_ascii=False)
    print()


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; numbers to the right."""
    table = Table(title=title, title_justify="left")
    rows = [list(row) for row in rows]
    for number, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[number], int | float) for row in rows)
        table.add_column(column, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        # As text: what a file says is no markup.
        table.add_row(*(Text(f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row))
    width = None if sys.stdout.isatty() else 120
    Console(width=width).print(table)


def traces_in(files: Iterable[Path]) -> Iterator[Trace]:
    """The traces of several files, one after the other."""
    for file in files:
        yield from read_traces(file)


def percent(part: int, whole: int) -> str:
    """A share with as many digits as it needs."""
    return f"{100 * part / whole:.2f} %" if whole else "-"


def describe_divergence(report: Report) -> list[str]:
    """A divergence in lines: where, what was done, what was seen and what was expected."""
    divergence = report.divergence
    if divergence is None:
        return [f"{report.name}: {report.problem}"] if report.problem else []
    lines = [
        f"{report.name}: step {divergence.step}: {json.dumps(divergence.op)}: none of "
        f"{divergence.schedules} schedules of profile {report.profile} explains it"
    ]
    for key, (seen, expected) in divergence.differences().items():
        lines.append(f"  {key}: seen {seen!r}, expected {expected!r}")
    return lines


def report_json(report: Report) -> Mapping[str, Any]:
    """A report's numbers, and its divergence if there is one."""
    value: dict[str, Any] = {
        "trace": report.name,
        "kernel": report.kernel,
        "profile": report.profile,
        "steps": report.steps,
        "non_canonical": len(report.deviations),
        "panics": report.panics,
    }
    if report.divergence is not None:
        value["divergence"] = {
            "step": report.divergence.step,
            "op": report.divergence.op,
            "seen": report.divergence.seen,
            "expected": report.divergence.expected,
            "schedules": report.divergence.schedules,
        }
    if report.problem:
        value["problem"] = report.problem
    return value

"""What commands share: progress, tables, options."""

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

LONGEST_SEED: Final = 80
Command = TypeVar("Command", bound=Callable[..., Any])


class Output(Console):
    """A console that leaves a closed pipe to whoever runs the command."""

    def on_broken_pipe(self) -> NoReturn:
        """Say so: the library would exit with the code that means problems found."""
        raise BrokenPipeError


class Meter:
    """Progress on standard error where that is a terminal, else nothing."""

    def __init__(self, progress: Progress | None, title: str, total: float | None) -> None:
        self._progress = progress
        if progress is not None:
            self._task = progress.add_task(title, total=total)

    def advance(self, amount: float) -> None:
        """So much more is done."""
        if self._progress is not None:
            self._progress.advance(self._task, amount)

    def reach(self, amount: float) -> None:
        """So much is done in all."""
        if self._progress is not None:
            self._progress.update(self._task, completed=amount)


@contextmanager
def meter(title: str, total: float | None, unit: str) -> Iterator[Meter]:
    """Show how far a piece of work is."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.completed:.0f} " + unit),
        TimeElapsedColumn(),
    )
    if sys.stderr.isatty():
        with Progress(*columns, console=Output(stderr=True), transient=True) as progress:
            yield Meter(progress, title, total)
    else:
        yield Meter(None, title, total)


@contextmanager
def spinner(title: str) -> Iterator[Callable[[str], None]]:
    """Show that something is done, and what: a function to say it, as a meter's."""
    if sys.stderr.isatty():
        with Output(stderr=True).status(title) as status:
            yield status.update
    else:
        yield lambda _what: None


def escaped(text: str) -> str:
    """A text in one line, for a terminal: what cannot be printed as an escape.

    >>> escaped("a\\nb\\x1b[1m"), escaped("\u00e9")
    ('a\\\\nb\\\\x1b[1m', '\u00e9')
    """
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def print_json(value: object) -> None:
    """Print a result as one JSON document."""
    print(json.dumps(value, indent=1))


def print_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], names: bool = False
) -> None:
    """Print a table; numbers to the right, and in the first column `names`, which stay whole."""
    # As text: what a file says is no markup.
    table = Table(title=Text(escaped(title)), title_justify="left")
    rows = [list(row) for row in rows]
    for number, column in enumerate(columns):
        numeric = bool(rows) and all(isinstance(row[number], int | float) for row in rows)
        table.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=names and number == 0,
        )
    for row in rows:
        table.add_row(*(Text(_shown(cell)) for cell in row))
    width = None if sys.stdout.isatty() else 120
    Output(width=width).print(table)


def _shown(cell: object) -> str:
    return f"{cell:,}" if isinstance(cell, int) else escaped(str(cell))


class Seconds(click.FloatRange):
    """A finite time in seconds: the range alone would let `nan` pass."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse it; fails as the library's own types do."""
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is no time.", param, ctx)
        return seconds


def _seed(context: click.Context, parameter: click.Parameter, seed: str | None) -> str | None:
    """A text that decides random traces; it becomes part of their names."""
    if seed is not None and not (0 < len(seed) <= LONGEST_SEED and seed.isprintable()):
        problem = f"it is not of one to {LONGEST_SEED} printable characters"
        raise click.BadParameter(problem, context, parameter)
    return seed


def seed_option(help_text: str, default: str | None) -> Callable[[Command], Command]:
    """The option `--seed`."""
    return click.option(
        "--seed", callback=_seed, default=default, show_default=True, help=help_text
    )


OUTPUT = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File; by default the standard output.",
)

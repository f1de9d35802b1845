"""What commands that judge share: traces in files, kernels given by paths, what they write."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from writecache_impl.linux import is_fetched_name
from writecache_models.vectors import Trace, read_traces, write_whole


def traces_in(files: Iterable[Path]) -> Iterator[Trace]:
    """The traces of several files, one after the other."""
    for file in files:
        yield from read_traces(file)


def check_modules(kernels: Iterable[str], modules: str | None) -> None:
    """Raise a usage error for modules that no kernel would use."""
    if modules is not None and all(is_fetched_name(kernel) for kernel in kernels):
        raise click.UsageError(
            "--modules is for a kernel given by its path: a fetched one brings its own",
            click.get_current_context(silent=True),
        )


MODULES = click.option(
    "--modules",
    type=click.Path(exists=True, file_okay=False),
    help="Where the modules of a kernel given by its path are.",
)


def write_or_print(text: str, output: Path | None) -> None:
    """Write a text to a file, whole or not at all, or print it; raises VectorError."""
    if output is None:
        sys.stdout.write(text)
    else:
        write_whole(output, text.encode())

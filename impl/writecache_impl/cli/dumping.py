"""`writecache dump` and `writecache restore`: images as readable lines, and back."""

import os
import stat
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO

import click

from writecache_impl.cli.common import meter, print_json
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_impl.cli.images import (
    AS_JSON,
    MAP,
    OFFSET,
    PATH,
    QUIET,
    chosen,
    image_argument,
    opened,
    standard_output,
)
from writecache_impl.tools.dump import dump
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import same_file
from writecache_impl.tools.output import check_output, new_file
from writecache_impl.tools.restore import restore
from writecache_impl.tools.volumes import superblock_offset

STANDARD = Path("-")


@click.command("dump")
@image_argument
@OFFSET
@MAP
@click.option("-o", "--output", type=PATH, default=STANDARD, help="A file; by default the output.")
@click.option("--metadata-only", is_flag=True, help="Superblock and entries, no data.")
@click.option("--force", is_flag=True, help="Replace an output that has something in it.")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines, not text.")
def dump_command(
    image: Path | None,
    input_option: Path | None,
    offset: int | None,
    map_file: Path | None,
    output: Path,
    metadata_only: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Write the image of a cache as lines that can be read, edited and restored.

    Superblock, entries, and all else that is not zero, compressed: `writecache restore` makes the
    same bytes of it.  Whatever the image holds can be dumped, also what is no cache.  Exit code 1
    if some of it cannot be read: the dump says what.

    Example: writecache dump ssd.img | writecache restore -i - -o copy.img
    """
    path = chosen(image, input_option)
    with ExitStack() as stack:
        source = stack.enter_context(opened(path, map_file))
        if output == STANDARD:
            write = standard_output().write
        else:
            if same_file(source, output):
                raise ToolError(f"{output}: that is the image itself")
            target = stack.enter_context(new_file(output, force, (source.mode,)))
            file = stack.enter_context(open(target.fd, "w", closefd=False, encoding="ascii"))
            write = file.write
        bar = stack.enter_context(meter("dumping", source.size, "bytes"))
        start = superblock_offset(source, offset)
        unreadable = dump(source, start, write, as_json, metadata_only, bar.reach)
    return PROBLEMS if unreadable else FINE


@click.command("restore")
@click.argument("dump_file", metavar="[DUMP]", type=PATH, required=False)
@click.option(
    "-i", "--input", "input_option", type=PATH, help="The same as DUMP; `-` is the input."
)
@click.option("-o", "--output", type=PATH, required=True, help="The new image.")
@click.option(
    "--data-from", type=PATH, help="An image whose bytes stand where the dump has none (of blocks)."
)
@click.option("--edited", is_flag=True, help="Take a dump whose lines were changed.")
@click.option("--force", is_flag=True, help="Replace an output that has something in it.")
@QUIET
@AS_JSON
def restore_command(
    dump_file: Path | None,
    input_option: Path | None,
    output: Path,
    data_from: Path | None,
    edited: bool,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Make an image from what `writecache dump` wrote, as text or as JSON Lines.

    The image appears under its name when it is whole.  Exit code 1 if the dump does not know some
    of the bytes: they are zero.

    The JSON object's keys: `output`, `size` in bytes, `n_entries`, `n_unreadable`.

    Example: writecache restore -i ssd.dump -o ssd.img
    """
    if dump_file is not None and input_option is not None:
        context = click.get_current_context(silent=True)
        raise click.UsageError("DUMP and --input are the same: name one", context)
    path = dump_file or input_option or STANDARD
    check_output(output, force)
    with ExitStack() as stack:
        data = None
        if data_from is not None:
            data = stack.enter_context(opened(data_from))
            if same_file(data, output):
                raise ToolError(f"{output}: it is to be read from")
        lines: IO[bytes] = sys.stdin.buffer
        if path != STANDARD:
            lines = stack.enter_context(path.open("rb"))
        modes = _modes(lines, output) + (() if data is None else (data.mode,))
        restored = restore(lines, output, data, edited, force, modes)
    if as_json:
        print_json({"output": str(output), **restored._asdict()})
    elif not quiet:
        print(f"{output}: {restored.size} bytes, {restored.n_entries} entries")
    if restored.n_unreadable:
        click.echo(f"writecache: {restored.n_unreadable} ranges are not known: zero", err=True)
        return PROBLEMS
    return FINE


def _modes(lines: IO[bytes], output: Path) -> tuple[int, ...]:
    """The permission bits of a dump, if it is a file.  Raises ToolError where it is the output."""
    try:
        found = os.fstat(lines.fileno())
    except (OSError, ValueError):
        return ()  # no file at all
    with suppress(OSError):
        there = os.stat(output)
        if (there.st_dev, there.st_ino) == (found.st_dev, found.st_ino):
            raise ToolError(f"{output}: it is to be read from")
    return (stat.S_IMODE(found.st_mode),) if stat.S_ISREG(found.st_mode) else ()

"""`writecache repair`: a copy that a kernel takes."""

import os
from contextlib import ExitStack
from pathlib import Path

import click

from writecache_impl.cli.common import print_json
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_impl.cli.images import (
    AS_JSON,
    MAP,
    OFFSET,
    ORIGIN,
    PATH,
    QUIET,
    Size,
    chosen,
    image_argument,
    opened,
)
from writecache_impl.cli.viewing import check_apart
from writecache_impl.tools.cache import is_block_size
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.output import check_output
from writecache_impl.tools.problems import MOST_NAMED, counted
from writecache_impl.tools.repair import Given, Repaired, repair
from writecache_impl.tools.volumes import superblock_offset
from writecache_spec.units import SECTOR_SIZE


@click.command("repair")
@image_argument
@click.option("-o", "--output", type=PATH, required=True, help="The new image.")
@OFFSET
@MAP
@ORIGIN
@click.option("--drop-beyond", is_flag=True, help="Drop what does not lie in the origin.")
@click.option("--block-size", type=Size(), help="If the superblock has lost it.")
@click.option("--n-blocks", type=click.IntRange(1, 2**47), help="If the superblock has lost it.")
@click.option("--seq-count", type=click.IntRange(0, 2**64 - 1), help="Likewise.")
@click.option("--undo-log", type=PATH, help="By default OUTPUT.undo.")
@click.option("--force", is_flag=True, help="Replace an output that has something in it.")
@QUIET
@AS_JSON
def repair_command(
    image: Path | None,
    input_option: Path | None,
    output: Path,
    offset: int | None,
    map_file: Path | None,
    origin: Path | None,
    drop_beyond: bool,
    block_size: int | None,
    n_blocks: int | None,
    seq_count: int | None,
    undo_log: Path | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Write a copy of IMAGE that a kernel takes, without entries that would mislead it.

    The superblock is mended where the image tells how; entries that no commit reached, that are
    superseded, damaged, or cannot be read with their data, are freed, and named.  No block's data
    is changed, and IMAGE is only read.  `writecache undo OUTPUT.undo` makes the output what IMAGE
    is.  Exit code 1 if data may have gone with an entry, or nothing could be done without guessing.

    The JSON object's keys: `output`, `undo_log`, `superblock_fields` that were changed,
    `n_dropped`, `data_lost`, and `dropped`, a list (of up to 10000) with `block`, `sector`, `why`.

    Example: writecache repair ssd.img -o mended.img
    """
    if block_size is not None and not is_block_size(block_size):
        words = f"{block_size} is no power of two of bytes from 512 to 65536"
        raise click.BadParameter(words, param_hint="--block-size")
    log_path = undo_log or output.with_name(output.name + ".undo")
    with ExitStack() as stack:
        source = stack.enter_context(opened(chosen(image, input_option), map_file))
        sectors = None
        check_apart(source, output)
        if origin is not None:
            slow = stack.enter_context(opened(origin))
            check_apart(slow, output)
            sectors = slow.size // SECTOR_SIZE
        check_apart(source, log_path)
        if os.path.realpath(log_path) == os.path.realpath(output):
            raise ToolError(f"{output}: it cannot be its own undo log")
        for made in (output, log_path):
            check_output(made, force)
        repaired = repair(
            source,
            superblock_offset(source, offset),
            output,
            log_path,
            Given(block_size, n_blocks, seq_count),
            sectors,
            drop_beyond,
            force,
        )
    if as_json:
        print_json(_as_json(repaired, output, log_path))
    elif not quiet:
        _print_repaired(repaired, output, log_path)
    return PROBLEMS if repaired.is_loss else FINE


def _as_json(repaired: Repaired, output: Path, log_path: Path) -> dict[str, object]:
    return {
        "output": str(output),
        "undo_log": str(log_path),
        "superblock_fields": list(repaired.changed_fields),
        "n_dropped": sum(repaired.counts.values()),
        "data_lost": repaired.is_loss,
        "dropped": [
            {"block": one.block, "sector": one.sector, "why": one.why.value}
            for one in repaired.dropped
        ],
    }


def _print_repaired(repaired: Repaired, output: Path, log_path: Path) -> None:
    fields = ", ".join(repaired.changed_fields)
    print(f"{output}: superblock {'mended: ' + fields if fields else 'as it was'}")
    for why, count in repaired.counts.items():
        loss = "DROPPED" if why.is_loss else "freed"
        print(f"{loss}: {counted(count, 'entry')}: {why.value}")
        named = [one for one in repaired.dropped if one.why is why][:MOST_NAMED]
        for one in named if why.is_loss else ():
            sector = "of no known sector" if one.sector is None else f"of sector {one.sector}"
            print(f"    block {one.block}, {sector}")
    print(f"to take it back: writecache undo {log_path}")

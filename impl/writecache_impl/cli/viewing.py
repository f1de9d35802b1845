"""`writecache view` and `writecache repair`: what makes new files and changes nothing."""

import os
from contextlib import ExitStack
from pathlib import Path

import click

from writecache_impl.cli.common import meter, print_json
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_impl.cli.images import (
    AS_JSON,
    MAP,
    OFFSET,
    ORIGIN,
    PATH,
    QUIET,
    Offset,
    Size,
    check_two,
    chosen,
    image_argument,
    opened,
    standard_output,
)
from writecache_impl.tools.cache import is_block_size, open_cache
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image, same_file
from writecache_impl.tools.output import check_output
from writecache_impl.tools.picture import BEYOND, MISALIGNED, Picture, picture_of
from writecache_impl.tools.problems import MOST_NAMED, counted
from writecache_impl.tools.repair import Given, Repaired, repair
from writecache_impl.tools.view import UNKNOWN, read_range, view_to_file
from writecache_impl.tools.volumes import superblock_offset
from writecache_spec.units import SECTOR_SIZE


class Range(click.ParamType[tuple[int, int]]):
    """FIRST+LENGTH, each a size in whole sectors."""

    name = "first+length"

    def convert(
        self,
        value: str | tuple[int, int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        """Parse it."""
        if isinstance(value, tuple):
            return value
        first, plus, length = value.partition("+")
        if not plus:
            self.fail(f"{value!r} is no range: FIRST+LENGTH, as 2048s+8s or 1M+4k", param, ctx)
        size = Offset()
        return size.convert(first, param, ctx), size.convert(length, param, ctx)


@click.command("view")
@image_argument
@click.option("--origin", type=PATH, required=True, help="The slow device, or an image of it.")
@OFFSET
@MAP
@click.option("--origin-map", type=PATH, help="The map file of ddrescue that belongs to ORIGIN.")
@click.option("-o", "--output", type=PATH, help="A new file, as long as the origin, sparse.")
@click.option(
    "--range", "piece", type=Range(), help="Only this, to the output: FIRST+LENGTH, as 2048s+8s."
)
@click.option("--force", is_flag=True, help="Replace an output that has something in it.")
@QUIET
@AS_JSON
def view_command(
    image: Path | None,
    input_option: Path | None,
    origin: Path,
    offset: int | None,
    map_file: Path | None,
    origin_map: Path | None,
    output: Path | None,
    piece: tuple[int, int] | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Show what the device would read: the origin, and over it what the cache has.

    A new sparse file with -o, to mount read-only or to copy from; or a range to the standard
    output.  Both devices are only read.  What nobody knows is filled with lines of UNREADABLE;
    blocks that lie past the origin's end, or where none begins, are left out.  In both cases the
    exit code is 1.

    The JSON object's keys: `output`, `bytes`, `blocks` (taken from the cache), `unknown_blocks`,
    `unknown_ranges` (of the origin, in bytes), `unreadable_entries`, `left_out` (numbers of blocks
    by reason: `beyond`, `misaligned`).

    Example: writecache view ssd.img --origin disk.img -o merged.img
    """
    if (output is None) is (piece is None):
        context = click.get_current_context(silent=True)
        raise click.UsageError("name an --output, or a --range", context)
    with ExitStack() as stack:
        cache = stack.enter_context(opened(chosen(image, input_option), map_file))
        check_two(cache, origin)
        slow = stack.enter_context(opened(origin, origin_map))
        sectors = slow.size // SECTOR_SIZE
        picture = picture_of(open_cache(cache, superblock_offset(cache, offset)), sectors)
        if output is None:
            assert piece is not None
            return _print_range(picture, slow, piece, quiet)
        for read in (cache, slow):
            _check_apart(read, output)
        bar = stack.enter_context(meter("merging", len(picture.sectors), "blocks"))
        viewed = view_to_file(picture, slow, output, force, bar.advance)
    unreadable, left_out = len(picture.survey.unreadable), _left_out(picture, quiet)
    if as_json:
        value = {
            "output": str(output),
            "bytes": slow.size,
            "blocks": len(picture.sectors),
            "unknown_blocks": viewed.n_unknown_blocks,
            "unknown_ranges": [list(pair) for pair in viewed.unknown_ranges],
            "unreadable_entries": unreadable,
            "left_out": {
                "beyond": left_out.get(BEYOND, 0),
                "misaligned": left_out.get(MISALIGNED, 0),
            },
        }
        print_json(value)
    elif not quiet:
        print(f"{output}: {counted(len(picture.sectors), 'block')} from the cache over {origin}")
        if viewed.n_unknown_blocks:
            print(f"{counted(viewed.n_unknown_blocks, 'block')} of the cache cannot be known")
        for start, end in viewed.unknown_ranges[:MOST_NAMED]:
            print(f"bytes {start} to {end - 1} of the origin cannot be read")
        if unreadable:
            print(f"{counted(unreadable, 'entry')} cannot be read: what is newer is not known")
    unknown = viewed.n_unknown_blocks or viewed.unknown_ranges or unreadable or left_out
    return PROBLEMS if unknown else FINE


def _left_out(picture: Picture, quiet: bool) -> dict[str, int]:
    """How many blocks have no place on the origin, by reason; said on standard error."""
    found = {
        str(reason): len(picture.doubts[reason])
        for reason in (BEYOND, MISALIGNED)
        if reason in picture.doubts
    }
    if found and not quiet:
        reasons = "; ".join(f"{number:,}: {reason}" for reason, number in found.items())
        words = f"{counted(sum(found.values()), 'block')} of the cache left out: {reasons}"
        click.echo(f"writecache: {words}", err=True)
    return found


def _check_apart(image: Image, output: Path) -> None:
    if same_file(image, output):
        raise ToolError(f"{output}: it is to be read from")


def _print_range(picture: Picture, origin: Image, piece: tuple[int, int], quiet: bool) -> int:
    first, length = piece
    if first + length > origin.size:
        raise ToolError(f"the device ends at byte {origin.size}, before the end of the range")
    lines = standard_output()
    left_out = _left_out(picture, quiet)
    code = PROBLEMS if picture.survey.unreadable or left_out else FINE
    sectors = first // SECTOR_SIZE, length // SECTOR_SIZE
    for number, data in enumerate(read_range(picture, origin, *sectors)):
        if data is None:
            click.echo(f"writecache: sector {sectors[0] + number} cannot be known", err=True)
            code = PROBLEMS
        lines.buffer.write(UNKNOWN if data is None else data)
    lines.buffer.flush()
    return code


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
        _check_apart(source, output)
        if origin is not None:
            slow = stack.enter_context(opened(origin))
            _check_apart(slow, output)
            sectors = slow.size // SECTOR_SIZE
        _check_apart(source, log_path)
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
        value = {
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
        print_json(value)
    elif not quiet:
        _print_repaired(repaired, output, log_path)
    return PROBLEMS if repaired.is_loss else FINE


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

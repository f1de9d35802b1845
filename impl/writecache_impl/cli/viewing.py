"""`writecache view`: the device as it would be read, which changes nothing."""

from contextlib import ExitStack
from pathlib import Path

import click

from writecache_impl.cli.common import meter, print_json
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_impl.cli.images import (
    AS_JSON,
    MAP,
    OFFSET,
    PATH,
    QUIET,
    Offset,
    check_two,
    chosen,
    image_argument,
    opened,
    standard_output,
)
from writecache_impl.cli.serving import SOCKET, TCP, serve_merged
from writecache_impl.tools.cache import open_cache
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image, same_file
from writecache_impl.tools.merged import Merged
from writecache_impl.tools.picture import BEYOND, MISALIGNED, Picture, picture_of
from writecache_impl.tools.problems import MOST_NAMED, counted
from writecache_impl.tools.view import UNKNOWN, Viewed, read_range, view_to_file
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
@click.option("--serve", is_flag=True, help="Serve it to NBD clients, read-only, until a signal.")
@SOCKET
@TCP
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
    serve: bool,
    path: Path | None,
    tcp: tuple[str, int] | None,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Show what the device would read: the origin, and over it what the cache has.

    A new sparse file with -o, to mount read-only or to copy from; a range to the standard output;
    or a network block device, of which what nobody knows cannot be read (EIO).  Both devices are
    only read.  Elsewhere what nobody knows is filled with lines of UNREADABLE; blocks that lie past
    the origin's end, or where none begins, are left out.  In all these cases the exit code is 1.

    The JSON object's keys: `output`, `bytes`, `blocks` (taken from the cache), `unknown_blocks`,
    `unknown_ranges` (of the origin, in bytes), `unreadable_entries`, `left_out` (numbers of blocks
    by reason: `beyond`, `misaligned`); with --serve `uris`, and in bytes `size` and `block_size`.

    \b
    Examples:
      writecache view ssd.img --origin disk.img -o merged.img
      writecache view ssd.img --origin disk.img --serve --socket nbd.sock
    """
    _check_wishes(output, piece, serve, path or tcp)
    with ExitStack() as stack:
        cache = stack.enter_context(opened(chosen(image, input_option), map_file))
        check_two(cache, origin)
        slow = stack.enter_context(opened(origin, origin_map))
        sectors = slow.size // SECTOR_SIZE
        picture = picture_of(open_cache(cache, superblock_offset(cache, offset)), sectors)
        if serve:
            left_out = _left_out(picture, quiet)
            serve_merged(Merged(picture, slow), path, tcp, as_json)
            known = not (left_out or picture.n_doubtful or picture.survey.unreadable)
            return FINE if known else PROBLEMS
        if output is None:
            assert piece is not None
            return _print_range(picture, slow, piece, quiet)
        for read in (cache, slow):
            check_apart(read, output)
        bar = stack.enter_context(meter("merging", len(picture.sectors), "blocks"))
        viewed = view_to_file(picture, slow, output, force, bar.advance)
    left_out = _left_out(picture, quiet)
    if as_json:
        print_json(_as_json(output, slow.size, picture, viewed))
    elif not quiet:
        print(f"{output}: {counted(len(picture.sectors), 'block')} from the cache over {origin}")
        _print_unknown(picture, viewed)
    unknown = viewed.n_unknown_blocks or viewed.unknown_ranges or picture.survey.unreadable
    return PROBLEMS if unknown or left_out else FINE


def _as_json(output: Path, size: int, picture: Picture, viewed: Viewed) -> dict[str, object]:
    return {
        "output": str(output),
        "bytes": size,
        "blocks": len(picture.sectors),
        "unknown_blocks": viewed.n_unknown_blocks,
        "unknown_ranges": [list(pair) for pair in viewed.unknown_ranges],
        "unreadable_entries": len(picture.survey.unreadable),
        "left_out": {
            "beyond": len(picture.doubts.get(BEYOND, ())),
            "misaligned": len(picture.doubts.get(MISALIGNED, ())),
        },
    }


def _print_unknown(picture: Picture, viewed: Viewed) -> None:
    """Name what nobody knows."""
    if viewed.n_unknown_blocks:
        print(f"{counted(viewed.n_unknown_blocks, 'block')} of the cache cannot be known")
    for start, end in viewed.unknown_ranges[:MOST_NAMED]:
        print(f"bytes {start} to {end - 1} of the origin cannot be read")
    if unreadable := len(picture.survey.unreadable):
        print(f"{counted(unreadable, 'entry')} cannot be read: what is newer is not known")


def _check_wishes(
    output: Path | None, piece: tuple[int, int] | None, serve: bool, where: object
) -> None:
    """Raise click's error unless it is said what to make of the picture, and only one thing."""
    context = click.get_current_context(silent=True)
    if (output is not None) + (piece is not None) + serve != 1:
        raise click.UsageError("name an --output, or a --range, or --serve", context)
    if where and not serve:
        raise click.UsageError("--socket and --tcp are for --serve", context)


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


def check_apart(image: Image, output: Path) -> None:
    """Raise ToolError where one file is to be read and written."""
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

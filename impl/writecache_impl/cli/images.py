"""What the offline tools' commands share: how images are named, and what is said of them."""

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO, TypeVar

import click

from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image, same_file
from writecache_impl.tools.rescue import read_map
from writecache_spec.units import SECTOR_SIZE

Command = TypeVar("Command", bound=Callable[..., Any])
_UNITS: Final = {"": 1, "s": SECTOR_SIZE, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE: Final = re.compile(r"([0-9]{1,20})([skmgt]?)(?:i?b)?", re.IGNORECASE)


class Size(click.ParamType[int]):
    """A number of bytes, of sectors (`8s`), or of KiB, MiB, GiB, TiB (`1M`)."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse it."""
        if isinstance(value, int):
            return value
        found = _SIZE.fullmatch(value)
        if found is None:
            self.fail(f"{value!r} is no size: bytes, or a number with s, K, M, G or T", param, ctx)
        return int(found[1]) * _UNITS[found[2].lower()]


class Offset(Size):
    """A size in whole sectors."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse it."""
        size = super().convert(value, param, ctx)
        if size % SECTOR_SIZE:
            self.fail(f"{value} is no multiple of {SECTOR_SIZE}", param, ctx)
        return size


class SomePath(click.Path):
    """A path; no path at all would name the current directory."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty one."""
        if value == "":
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


PATH = SomePath(path_type=Path)
QUIET = click.option("-q", "--quiet", is_flag=True, help="Print nothing; the exit code says it.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
OFFSET = click.option(
    "--offset",
    type=Offset(),
    help="Where in IMAGE the superblock is: bytes, or with a suffix (8s, 1M); what a table calls "
    "start_sector.  By default the beginning, or in an LVM physical volume its only cachevol.",
)
MAP = click.option(
    "--map",
    "map_file",
    type=PATH,
    help="The map file of ddrescue that belongs to IMAGE: what was not rescued is not believed.",
)
ORIGIN = click.option("--origin", type=PATH, help="The slow device, or an image of it.")


def image_argument(command: Command) -> Command:
    """IMAGE, or the option `-i`."""
    option = click.option("-i", "--input", "input_option", type=PATH, help="The same as IMAGE.")
    argument = click.argument("image", type=PATH, required=False)
    return argument(option(command))


def chosen(image: Path | None, input_option: Path | None) -> Path:
    """The one image that was named."""
    context = click.get_current_context(silent=True)
    if image is not None and input_option is not None:
        raise click.UsageError("IMAGE and --input are the same: name one", context)
    path = image if image is not None else input_option
    if path is None:
        raise click.UsageError("Missing argument 'IMAGE'", context)
    return path


def standard_output() -> TextIO:
    """Where a result goes that is nothing but output.

    Raises ToolError where it was closed before the program began.
    """
    if getattr(sys.stdout, "name", None) == os.devnull:  # what stands in for it
        raise ToolError("the standard output is closed")
    return sys.stdout


def check_two(cache: Image, origin: Path) -> None:
    """Raise ToolError where cache and origin are one file."""
    if same_file(cache, origin):
        raise ToolError(f"{origin}: cache and origin are one file")


@contextmanager
def opened(path: Path, map_file: Path | None = None, writable: bool = False) -> Iterator[Image]:
    """An open image, its holes known."""
    with Image(path, writable=writable) as image:
        if map_file is not None:
            image.holes = read_map(map_file, image.size)
        yield image

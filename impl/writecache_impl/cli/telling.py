"""`writecache size` and `writecache explain`: what needs no image."""

import sys
from pathlib import Path

import click

from writecache_impl.cli.common import print_json
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_impl.cli.images import AS_JSON, Size, opened
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.explain import explain
from writecache_impl.tools.size import size


class DeviceSize(Size):
    """A size, or the path of what has it."""

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse it, or ask the device."""
        if value == "":
            self.fail("neither a size nor a path: it is empty", param, ctx)
        if isinstance(value, str) and Path(value).exists():
            with opened(Path(value)) as image:
                return image.size
        return super().convert(value, param, ctx)


@click.command("size")
@click.argument("device", type=DeviceSize())
@click.option("--block-size", type=Size(), default=4096, show_default=True, help="Of the table.")
@click.option("--pmem", is_flag=True, help="Persistent memory: the metadata is used in place.")
@click.option(
    "--plain-memory", is_flag=True, help="A kernel that does not survive hardware memory errors."
)
@AS_JSON
def size_command(
    device: int, block_size: int, pmem: bool, plain_memory: bool, as_json: bool
) -> int:
    """How many blocks fit DEVICE, a size (100G) or a path, and what memory a kernel needs.

    The JSON object's keys, in bytes: `device`, `block_size`, `n_blocks` (their number), `metadata`,
    `data`, `unused`, `memory_entries`, `memory_metadata`, `memory_bitmap`, `memory`,
    `memory_per_block`.

    Example: writecache size 100G --block-size 4096
    """
    sized = size(device, block_size, pmem, safe=not plain_memory)
    if as_json:
        print_json(sized._asdict())
        return FINE
    mib = 2**20
    print(f"{sized.device:,} bytes in blocks of {sized.block_size}: {sized.n_blocks:,} blocks")
    print(f"  metadata {sized.metadata:,} bytes, data {sized.data:,}, unused {sized.unused:,}")
    print(
        f"  a kernel's memory: {sized.memory / mib:,.1f} MiB ({sized.memory_per_block} bytes a "
        f"block): entries {sized.memory_entries / mib:,.1f}, metadata "
        f"{sized.memory_metadata / mib:,.1f}, dirty bits {sized.memory_bitmap:,} bytes"
    )
    return FINE


@click.command("explain")
@click.argument("words", nargs=-1)
@AS_JSON
def explain_command(words: tuple[str, ...], as_json: bool) -> int:
    """Say in words what a line of `dmsetup table` or `dmsetup status` means, and what to do.

    The line as arguments, quoted or not; without any, lines from the standard input.  Statuses of
    4 numbers and of 14.  Exit code 1 if one of them tells of trouble.

    The JSON array's objects: `kind`, `sentences`, `advice`, `is_trouble`.

    Example: dmsetup status | writecache explain
    """
    lines = [" ".join(words)] if words else [line for line in sys.stdin if line.strip()]
    if not lines:
        raise ToolError("no line to explain")
    if not words:
        lines = [line for line in lines if " writecache " in line] or lines
    explained = [explain(line) for line in lines]
    if as_json:
        print_json([one._asdict() for one in explained])
    else:
        for line, one in zip(lines, explained, strict=True):
            print(line.strip())
            for sentence in one.sentences:
                print(f"  {sentence}")
            for sentence in one.advice:
                print(f"  -> {sentence}")
    return PROBLEMS if any(one.is_trouble for one in explained) else FINE

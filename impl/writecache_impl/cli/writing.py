"""`writecache writeback` and `writecache undo`: what changes devices, and takes it back."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
    chosen,
    image_argument,
    opened,
)
from writecache_impl.cli.signals import Ended
from writecache_impl.cli.written import (
    as_json_object,
    list_failures,
    print_problems,
    print_way_back,
    print_written,
    size_of,
    warn_of_refusals,
)
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image, same_file
from writecache_impl.tools.output import check_output
from writecache_impl.tools.problems import counted
from writecache_impl.tools.undo import paths, undo
from writecache_impl.tools.undo_log import open_log
from writecache_impl.tools.volumes import superblock_offset
from writecache_impl.tools.writeback import Wishes, dry_run, to_copy, writeback


@click.command("writeback")
@image_argument
@click.option(
    "--origin", type=PATH, required=True, help="The slow device, or an image of it: written."
)
@OFFSET
@MAP
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--to", "copy", type=PATH, help="Write a new file instead: the origin, all home.")
@click.option("--no-metadata-update", is_flag=True, help="Leave the cache as it is.")
@click.option(
    "--undo-log", type=PATH, help="Where what was there before is kept; by default ORIGIN.undo."
)
@click.option("--no-undo-log", is_flag=True, help="Keep nothing: there is no way back.")
@click.option("--drop-beyond", is_flag=True, help="Leave out what does not lie in the origin.")
@click.option("--take-later", is_flag=True, help="Of two identical entries take the later block.")
@click.option("--force", is_flag=True, help="Also if it looks like the wrong origin.")
@click.option("--failures", type=PATH, help="A new file with a line for each block not home.")
@QUIET
@AS_JSON
def writeback_command(
    image: Path | None,
    input_option: Path | None,
    origin: Path,
    offset: int | None,
    map_file: Path | None,
    copy: Path | None,
    undo_log: Path | None,
    no_undo_log: bool,
    failures: Path | None,
    quiet: bool,
    as_json: bool,
    **flags: bool,
) -> int:
    """Bring the dirty cache in IMAGE home into its origin, as a kernel would.

    Only committed blocks, the newest of each; sorted and merged; each range's old content is in the
    undo log, durably, before it is written over.  The cache is marked as clean only when all of it
    is durable on the origin, and none was in doubt.  Interrupted at any moment, even by a power
    failure, it can be run again, or taken back by `writecache undo`.  Exit code 1 if some blocks
    are not home: they are named.

    The JSON object's keys: `blocks` to be written, `extents` they make, `bytes_written`,
    `bytes_same` (as before), `clean` (the cache is marked so), `undo_log`,
    `unreadable_entries`, `dropped`, `n_failed`, and `failed`, a list (of up to 10000) with
    `sector`, `block`, `reason`.

    Example: writecache writeback ssd.img --origin disk.img --dry-run
    """
    wishes = Wishes(
        flags["dry_run"],
        not flags["no_metadata_update"],
        flags["drop_beyond"],
        flags["take_later"],
        flags["force"],
    )
    path = chosen(image, input_option)
    reads_only = wishes.dry_run or copy is not None
    log_path = None if no_undo_log or reads_only else _log_path(origin, undo_log)
    log_size = size_of(log_path)
    with ExitStack() as stack:
        updates = wishes.update_metadata and not reads_only
        cache = stack.enter_context(opened(path, map_file, writable=updates))
        _check_apart(cache, origin, copy, log_path, failures)
        slow = stack.enter_context(opened(origin, writable=not reads_only))
        if failures is not None:
            check_output(failures)
        start = superblock_offset(cache, offset)
        bar = stack.enter_context(meter("writing back", None, "blocks"))
        if wishes.dry_run:
            written = dry_run(cache, slow, start, wishes)
            log = None if no_undo_log or copy is not None else undo_log or origin
            warn_of_refusals(_to_be_written(path, origin, copy, log, wishes), quiet)
        elif copy is not None:
            written = to_copy(cache, slow, start, copy, wishes, bar.advance, wishes.force)
        else:
            with _hint_when_interrupted(log_path):
                written = writeback(cache, slow, start, wishes, log_path, bar.advance)
        if failures is not None:
            list_failures(failures, written)
    if as_json:
        print_json(as_json_object(written, log_path))
    elif not quiet:
        print_written(written, wishes)
        print_way_back(log_path, log_size)
        print_problems(written)
    return FINE if written.is_fine else PROBLEMS


def _to_be_written(
    cache: Path, origin: Path, copy: Path | None, log: Path | None, wishes: Wishes
) -> list[Path]:
    """What is written if it is no dry run: files, and directories that get new ones.

    `log` is in the directory of the undo log, if there shall be one.
    """
    if copy is not None:
        return [copy.parent]
    caches = [cache] if wishes.update_metadata else []
    logs = [] if log is None or log.is_block_device() else [log.parent]
    return [origin, *caches, *logs]


@contextmanager
def _hint_when_interrupted(log_path: Path | None) -> Iterator[None]:
    """Say how to go on, or back."""
    try:
        yield
    except (KeyboardInterrupt, Ended):
        back = "" if log_path is None else f", or take it back: writecache undo {log_path}"
        click.echo(f"writecache: nothing is lost: run it again to go on{back}", err=True)
        raise


def _log_path(origin: Path, undo_log: Path | None) -> Path:
    if undo_log is not None:
        return undo_log
    if origin.is_block_device():
        raise ToolError(f"{origin}: a device: name a file for the undo log (--undo-log FILE)")
    return origin.with_name(origin.name + ".undo")


def _check_apart(cache: Image, *others: Path | None) -> None:
    """Raise ToolError where one file is to be two things."""
    named = [path for path in others if path is not None]
    if any(same_file(cache, path) for path in named):
        raise ToolError(f"{cache.path}: it is the cache, and nothing else")
    real = [os.path.realpath(path) for path in named]
    if len(set(real)) < len(real):
        raise ToolError("one file is named for two purposes")


@click.command("undo")
@click.argument("log_file", metavar="LOG", type=PATH)
@click.option("--cache", type=PATH, help="The cache, if it is not where it was.")
@click.option("--origin", type=PATH, help="The origin, if it is not where it was.")
@click.option("--dry-run", is_flag=True, help="Say what would be done; write nothing.")
@click.option("--force", is_flag=True, help="Also over what was written since.")
@QUIET
@AS_JSON
def undo_command(
    log_file: Path,
    cache: Path | None,
    origin: Path | None,
    dry_run: bool,
    force: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Take back what `writecache writeback` or `repair` did, by its undo log.

    Complete or interrupted, it is taken back to the byte, the cache first.  Interrupted, this can
    be run again.  Refused where something was written there since, and where the log has lost its
    end.  Exit code 1 if --force took back less than all.

    The JSON object's keys: `ranges`, `bytes`, `already` (it had been taken back before), `torn`
    (bytes at the log's end that are no record), `whole` (the cache is what it was before).

    Example: writecache undo disk.img.undo
    """
    log = open_log(log_file)
    with ExitStack() as stack:
        stack.callback(log.close)
        cache_path, origin_path = paths(log, cache, origin)
        fast = stack.enter_context(opened(cache_path, writable=not dry_run))
        slow = None
        if origin_path is not None:
            slow = stack.enter_context(opened(origin_path, writable=not dry_run))
        bar = stack.enter_context(meter("taking back", None, "bytes"))
        undone = undo(log, fast, slow, force, dry_run, bar.advance)
    if as_json:
        ranges, n_bytes, *rest = undone
        names = "already", "torn", "whole"
        print_json({"ranges": ranges, "bytes": n_bytes} | dict(zip(names, rest, strict=True)))
    elif not quiet:
        if undone.already:
            print("it was taken back before")
        else:
            verb = "would take back" if dry_run else "took back"
            print(f"{verb} {undone.n_bytes:,} bytes in {counted(undone.n_ranges, 'range')}")
        if undone.torn:
            print(f"torn: {undone.torn:,} bytes at the end of the log are no record")
        if not undone.is_whole:
            print("the log has not all of it: the cache is NOT what it was before")
    return FINE if undone.is_whole else PROBLEMS

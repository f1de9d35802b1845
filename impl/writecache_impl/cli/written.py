"""What `writecache writeback` says of what it did."""

import os
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any, Final

import click

from writecache_impl.cli.common import escaped
from writecache_impl.tools.output import new_file
from writecache_impl.tools.problems import MOST_NAMED, counted
from writecache_impl.tools.writeback import Wishes, Written

MOST_IN_JSON: Final = 10_000


def size_of(log_path: Path | None) -> int | None:
    """How long a log is; None where there is none."""
    return log_path.stat().st_size if log_path is not None and log_path.exists() else None


def list_failures(path: Path, written: Written) -> None:
    """Write the blocks that are not home, one a line, to a new file."""
    image = written.picture.cache.image
    with (
        new_file(path, modes=(image.mode,)) as file,
        open(file.fd, "w", closefd=False, encoding="ascii") as lines,
    ):
        lines.write("# sector block reason\n")
        for one in written.problems():
            lines.write(f"{one.sector} {one.block} {one.reason}\n")


def as_json_object(written: Written, log_path: Path | None) -> dict[str, Any]:
    """What --json prints."""
    return {
        "blocks": len(written.picture.sectors),
        "extents": written.n_extents,
        "bytes_written": written.n_bytes_written,
        "bytes_same": written.n_bytes_same,
        "clean": written.is_clean,
        "undo_log": None if log_path is None else str(log_path),
        "unreadable_entries": len(written.picture.survey.unreadable),
        "dropped": written.dropped,
        "n_failed": written.n_problems,
        "failed": [one._asdict() for one in islice(written.problems(), MOST_IN_JSON)],
    }


def warn_of_refusals(paths: Iterable[Path], quiet: bool) -> None:
    """Say on standard error which of the paths that would be written may not be."""
    for path in paths if not quiet else ():
        if not os.access(path, os.W_OK):
            words = "it may not be written: without --dry-run this is refused"
            click.echo(f"writecache: {escaped(str(path))}: {words}", err=True)


def print_written(written: Written, wishes: Wishes) -> None:
    """Say what was written, or would be."""
    n_blocks = len(written.picture.sectors)
    what = f"{counted(n_blocks, 'block')} in {counted(written.n_extents, 'extent')}"
    if wishes.dry_run:
        print(f"would write {what}")
    else:
        print(
            f"{what}: {written.n_bytes_written:,} bytes written, "
            f"{written.n_bytes_same:,} of them the same as before"
        )
        clean = "is marked as clean" if written.is_clean else "is left as it was"
        print(f"the cache {clean}")


def print_way_back(log_path: Path | None, size_before: int | None) -> None:
    """Say how to undo what was done: a log that was there already undoes more."""
    size = size_of(log_path)
    if size is None:
        return
    if size_before is None:
        print(f"to take it back: writecache undo {log_path}")
    elif size == size_before:
        print(f"nothing to take back: {log_path} is of an earlier run")
    else:
        print(f"to take back this and what was done before: writecache undo {log_path}")


def print_problems(written: Written) -> None:
    """Say what is not home, and why."""
    picture = written.picture
    if written.dropped:
        print(f"{counted(written.dropped, 'block')} left out: not within the origin")
    if picture.survey.unreadable:
        print(f"{counted(len(picture.survey.unreadable), 'entry')} cannot be read: unknown blocks")
    for one in islice(written.problems(), MOST_NAMED):
        print(f"failed: sector {one.sector}, block {one.block}: {one.reason}")
    if written.n_problems > MOST_NAMED:
        print(f"failed: {written.n_problems - MOST_NAMED:,} more (--failures FILE lists all)")

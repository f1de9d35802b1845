"""`undo`: takes back what `writeback` or `repair` did, by their undo log.

From the last change to the first: the cache's entries, durably, then the origin.  So at any moment
the cache has whatever the origin has lost.  Interrupted, it can be begun again.

Where the log says that the change was complete, every place is looked at first: what was written
since then by somebody else is not overwritten.
"""

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from writecache_impl.tools.cache import read_superblock
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image
from writecache_impl.tools.undo_log import UndoLog
from writecache_impl.tools.undo_records import Kind, Place
from writecache_spec.codec import encode_superblock


class Undone(NamedTuple):
    """What was taken back."""

    n_ranges: int
    n_bytes: int
    already: bool = False
    """It had been before."""
    torn: int = 0
    """Bytes at the end of the log that are no record: their change never began."""


def paths(log: UndoLog, cache: Path | None, origin: Path | None) -> tuple[Path, Path | None]:
    """The devices that a log is about, or those named in their stead; a repair has no origin."""
    described = log.described
    there = Path(described.origin) if described.origin else None
    return cache or Path(described.cache), origin or there


def undo(
    log: UndoLog,
    cache: Image,
    origin: Image | None,
    force: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _bytes: None,
) -> Undone:
    """Take a change back.

    Raises ToolError where these are not the devices, or where they have changed since (`force`
    takes no notice of that).
    """
    if log.state is Kind.UNDONE:
        return Undone(0, 0, already=True)
    _check_devices(log, cache, origin)
    targets = {Kind.CACHE: cache, Kind.ORIGIN: origin}
    check = log.state is Kind.DONE and not force
    n_ranges = n_bytes = 0
    for place in log.places:
        target = targets.get(place.kind)
        if target is not None:
            n_ranges, n_bytes = n_ranges + 1, n_bytes + place.length
            if check:
                _check_unchanged(log, place, target)
    result = Undone(n_ranges, n_bytes, torn=log.torn)
    if dry_run:
        return result
    log.mark(Kind.UNDOING)
    last: Image | None = None
    for place in reversed(log.places):
        target = targets.get(place.kind)
        if last is not None and target is not last:
            last.sync()
        if target is not None:
            target.write(place.offset, log.old(place))
            progress(place.length)
        last = target
    if last is not None:
        last.sync()
    log.mark(Kind.UNDONE)
    return result


def _check_devices(log: UndoLog, cache: Image, origin: Image | None) -> None:
    described = log.described
    if cache.size != described.cache_size:
        raise ToolError(f"{cache.path}: not the cache of this log: its size differs")
    if origin is not None and origin.size != described.origin_size:
        raise ToolError(f"{origin.path}: not the origin of this log: its size differs")
    if log.state is Kind.UNDOING:
        return  # of a repair, the superblock may be what it was before
    if encode_superblock(read_superblock(cache, described.offset)).hex() != described.superblock:
        raise ToolError(f"{cache.path}: not the cache of this log: its superblock differs")


def _check_unchanged(log: UndoLog, place: Place, target: Image) -> None:
    if place.new_checksum is None:
        return
    found = target.read(place.offset, place.length)
    if zlib.crc32(found) != place.new_checksum and found != log.old(place):
        raise ToolError(
            f"{target.path}: changed since, at byte {place.offset}: --force takes it back all the "
            "same"
        )

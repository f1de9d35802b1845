"""`undo`: takes back what `writeback` or `repair` did, by their undo log.

From the last change to the first: the cache's entries, durably, then the origin.  So at any moment
the cache has whatever the origin has lost.  Interrupted, it can be begun again.

Where the log says that the change was complete, or taken back, every place is looked at first: what
was written since then by somebody else is not overwritten.  And the cache's entries must become
what they were, or nothing is taken back: a log that has lost its end gives half of it.
"""

import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from writecache_impl.tools.before import is_whole
from writecache_impl.tools.cache import read_superblock
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image
from writecache_impl.tools.ranges import Ranges
from writecache_impl.tools.undo_log import UndoLog
from writecache_impl.tools.undo_records import Kind, Place
from writecache_spec.codec import encode_superblock


class Undone(NamedTuple):
    """What was taken back."""

    n_ranges: int
    n_bytes: int
    already: bool = False
    """It had been before: the devices hold what they held before the change."""
    torn: int = 0
    """Bytes at the end of the log that are no record: their change never began."""
    is_whole: bool = True
    """Whether the cache has become what it was before; not without `force`."""


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
    """Take a change back; `progress` is told of bytes.

    Raises ToolError where these are not the devices, where they have changed since, or where the
    log has not all that the cache has lost (`force` takes no notice of the last two).
    """
    _check_sizes(log, cache, origin)
    targets = {Kind.CACHE: cache, Kind.ORIGIN: origin}
    # The log may have been used on copies: what these devices hold decides.
    if log.state is Kind.UNDONE and holds_old(log, targets) and is_whole(log, cache):
        return Undone(0, 0, already=True, torn=log.torn)
    _check_superblock(log, cache)
    check = log.state in (Kind.DONE, Kind.UNDONE) and not force
    n_ranges = n_bytes = 0
    for place in log.places:
        target = targets.get(place.kind)
        if target is not None:
            n_ranges, n_bytes = n_ranges + 1, n_bytes + place.length
            if check:
                _check_unchanged(log, place, target)
    whole = is_whole(log, cache)
    if not whole and not force:
        raise ToolError(_not_whole(log, cache))
    result = Undone(n_ranges, n_bytes, torn=log.torn, is_whole=whole)
    if not dry_run:
        _take_back(log, targets, progress)
    return result


def _take_back(
    log: UndoLog, targets: Mapping[Kind, Image | None], progress: Callable[[int], None]
) -> None:
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


def holds_old(log: UndoLog, targets: Mapping[Kind, Image | None]) -> bool:
    """Whether devices hold, everywhere, what they held before the change.

    Of several records about a byte the oldest counts.
    """
    seen = {kind: Ranges() for kind in targets}
    for place in log.places:
        target = targets.get(place.kind)
        if target is None:
            continue
        end = place.offset + place.length
        fresh = seen[place.kind].add(place.offset, end)
        if not fresh:
            continue
        found, old = target.read(place.offset, place.length), log.old(place)
        for start, stop in fresh:
            piece = slice(start - place.offset, stop - place.offset)
            if found[piece] != old[piece]:
                return False
    return True


def _check_sizes(log: UndoLog, cache: Image, origin: Image | None) -> None:
    described = log.described
    if cache.size != described.cache_size:
        raise ToolError(f"{cache.path}: not the cache of this log: its size differs")
    if origin is not None and origin.size != described.origin_size:
        raise ToolError(f"{origin.path}: not the origin of this log: its size differs")


def _check_superblock(log: UndoLog, cache: Image) -> None:
    if log.state is Kind.UNDOING:
        return  # of a repair, the superblock may be what it was before
    described = log.described
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


def _not_whole(log: UndoLog, cache: Image) -> str:
    """Why a cache's entries would not become what they were."""
    torn = f" ({log.torn} bytes at its end are torn)" if log.torn else ""
    return (
        f"{cache.path}: its entries are changed, and {log.image.path} has not all that they "
        f"were{torn}: the log has lost its end, or the cache was written since; --force takes back "
        "what there is"
    )

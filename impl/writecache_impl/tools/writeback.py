"""`writeback`: brings a dirty cache home into its origin, without a kernel.

In this order: everything is looked at; good blocks are copied (`moving`), and are durable; only
then, and only if nothing is in doubt, the cache is marked as clean (`cleaning`).  Interrupted
anywhere, it can be begun again, and writes everything again: what a kernel shows of an origin whose
sync has failed need not be on it.
"""

import os
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from writecache_impl.tools.arithmetic import arithmetic
from writecache_impl.tools.before import entries_digest
from writecache_impl.tools.cache import open_cache
from writecache_impl.tools.cleaning import mark_clean
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image
from writecache_impl.tools.moving import Mover
from writecache_impl.tools.origin import weigh
from writecache_impl.tools.output import copy_sparse, grow, new_file
from writecache_impl.tools.picture import BEYOND, Doubtful, Picture, picture_of
from writecache_impl.tools.problems import counted
from writecache_impl.tools.undo_log import UndoLog, start_log
from writecache_impl.tools.undo_records import Described, Kind
from writecache_spec.codec import encode_superblock
from writecache_spec.units import SECTOR_SIZE


class RefusedError(ToolError):
    """Nothing was done, because something is wrong."""

    code = 1


class Wishes(NamedTuple):
    """How a writeback is to be done."""

    dry_run: bool = False
    update_metadata: bool = True
    drop_beyond: bool = False
    """Leave out what does not lie within the origin, as a kernel does."""
    take_later: bool = False
    """Of two entries that are the same take the later block, as a kernel reads it."""
    force: bool = False
    """Also where something speaks against the origin."""


class Written(NamedTuple):
    """What was done, or would be."""

    picture: Picture
    n_extents: int
    """Merged."""
    n_bytes_written: int = 0
    n_bytes_same: int = 0
    """Of these, what was on the origin already."""
    failed: tuple[Doubtful, ...] = ()
    """Blocks that the devices refused."""
    is_clean: bool = False
    """Whether the cache was marked so, or was clean before."""
    dropped: int = 0

    def problems(self) -> Iterator[Doubtful]:
        """Blocks that are not home."""
        return chain(
            (one for one in self.picture.doubtful() if not (self.dropped and one.reason == BEYOND)),
            self.failed,
        )

    @property
    def n_problems(self) -> int:
        """How many of them there are."""
        return self.picture.n_doubtful - self.dropped + len(self.failed)

    @property
    def is_fine(self) -> bool:
        """Whether all that could be read before can be read from the origin alone."""
        return not self.n_problems and not self.picture.survey.unreadable


Progress = Callable[[int], None]


def plan(image: Image, origin: Image, offset: int, wishes: Wishes) -> Picture:
    """What there is to be done.  Raises RefusedError where it looks like the wrong origin."""
    cache = open_cache(image, offset)
    picture = picture_of(cache, origin.size // SECTOR_SIZE, wishes.take_later)
    beyond = len(picture.doubts.get(BEYOND, ()))
    if beyond and not wishes.drop_beyond:
        raise RefusedError(
            f"{origin.path}: {counted(beyond, 'block')} would not lie within it: is this the right "
            "origin?  --drop-beyond leaves them out, as a kernel does"
        )
    if not wishes.force:
        against = weigh(picture, origin).speaks_against[bool(beyond) :]
        if against:
            raise RefusedError(f"{origin.path}: {against[0]}; --force does it all the same")
    return picture


def _begun(picture: Picture, wishes: Wishes) -> Written:
    extents = arithmetic().extents(picture.sectors, picture.cache.geometry.block_sectors)
    dropped = len(picture.doubts.get(BEYOND, ())) if wishes.drop_beyond else 0
    return Written(picture, len(extents.starts), is_clean=picture.is_clean, dropped=dropped)


def dry_run(image: Image, origin: Image, offset: int, wishes: Wishes) -> Written:
    """What would be done."""
    return _begun(plan(image, origin, offset, wishes), wishes)


def to_copy(
    image: Image,
    origin: Image,
    offset: int,
    copy: Path,
    wishes: Wishes,
    progress: Progress,
    replace: bool = False,
) -> Written:
    """Make a copy of the origin with everything brought home; both devices stay as they are."""
    written = _begun(plan(image, origin, offset, wishes), wishes)
    with new_file(copy, replace, (image.mode, origin.mode)) as target:
        grow(target, origin.size)
        copy_sparse(origin, target)
        mover = Mover(written.picture, target, None, progress)
        mover.move()
    return _moved(written, mover)._replace(is_clean=False)


def _moved(written: Written, mover: Mover) -> Written:
    return written._replace(
        n_bytes_written=mover.n_written, n_bytes_same=mover.n_same, failed=tuple(mover.failed)
    )


def describe(picture: Picture, origin: Image, command: str = "writeback") -> Described:
    """What an undo log says of the devices."""
    cache = picture.cache
    return Described(
        command,
        os.path.realpath(cache.image.path),
        os.path.realpath(origin.path),
        cache.geometry.offset,
        encode_superblock(cache.superblock).hex(),
        cache.image.size,
        origin.size,
        entries_digest(cache.image, cache.geometry.offset, cache.geometry.n_blocks),
    )


def writeback(
    image: Image,
    origin: Image,
    offset: int,
    wishes: Wishes,
    log_path: Path | None,
    progress: Progress,
) -> Written:
    """Bring everything home, and mark the cache as clean when nothing is left."""
    written = _begun(plan(image, origin, offset, wishes), wishes)
    picture = written.picture
    if _nothing_to_do(written, wishes):
        return written
    log = None
    if log_path is not None:
        log = start_log(log_path, describe(picture, origin), image, (image.mode, origin.mode))
    try:
        return _write(written, origin, wishes, log, progress)
    except OSError:
        if log is not None and log.is_unused:  # it could not be written, so nothing else was
            log.remove()
        raise
    finally:
        if log is not None:
            log.close()


def _nothing_to_do(written: Written, wishes: Wishes) -> bool:
    survey = written.picture.survey
    leftovers = survey.uncommitted or survey.superseded
    return not survey.live_sectors and not (leftovers and wishes.update_metadata)


def _write(
    written: Written, origin: Image, wishes: Wishes, log: UndoLog | None, progress: Progress
) -> Written:
    mover = Mover(written.picture, origin, log, progress)
    mover.move()
    written = _moved(written, mover)
    if written.is_fine and wishes.update_metadata:
        mark_clean(written.picture, log)
        written = written._replace(is_clean=True)
    if log is not None and written.is_fine:
        log.mark(Kind.DONE)
    return written

"""`repair`: a new image that a kernel takes, with no entry in it that would mislead one.

Conservative: the input stays as it is; what can be told from the image is told, what cannot is
asked for; every entry that goes is named.  Block data is never changed.  What was there is in the
undo log of the output.
"""

import os
from collections import Counter
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from writecache_impl.tools.before import entries_digest
from writecache_impl.tools.cache import (
    Cache,
    geometry_of,
    is_block_size,
    read_superblock,
    superblock_refusal,
)
from writecache_impl.tools.errors import UnreadableError
from writecache_impl.tools.image import Image
from writecache_impl.tools.output import copy_sparse, grow, new_file
from writecache_impl.tools.picture import (
    BEYOND,
    MISALIGNED,
    UNREADABLE,
    Picture,
    picture_of,
    read_entry,
    same_data,
)
from writecache_impl.tools.undo_log import UndoLog, new_log
from writecache_impl.tools.undo_records import Described, Kind
from writecache_impl.tools.writeback import RefusedError
from writecache_spec.codec import encode_superblock
from writecache_spec.layout import (
    ENTRY_SIZE,
    MAGIC,
    VERSION,
    SizeError,
    Superblock,
    calculate_memory_size,
)

ALL_ONES = b"\xff" * 8
MOST_LISTED = 10_000
"""Entries that are named one by one."""
AT_ONCE = 1 << 14
"""Entries that are logged with one sync."""


class Why(Enum):
    """Why an entry goes."""

    UNCOMMITTED = "no commit reached it; recovery frees it"
    SUPERSEDED = "there is a newer one; recovery frees it"
    TWIN = "a later block has the same sector, count and data"
    OTHER_TWIN = (
        "a later block, which a kernel would read, has the same sector and count, other data"
    )
    MISALIGNED = "no block begins at its sector"
    BEYOND = "it does not lie within the origin"
    UNREADABLE_DATA = "its data cannot be read; what the origin has there is older"
    UNREADABLE_ENTRY = "it cannot be read"

    @property
    def is_loss(self) -> bool:
        """Whether data may have gone with it."""
        return self not in (Why.UNCOMMITTED, Why.SUPERSEDED, Why.TWIN)


class Dropped(NamedTuple):
    """An entry that is not in the output."""

    block: int
    sector: int | None
    why: Why


class Given(NamedTuple):
    """What the image does not tell, or tells wrongly."""

    block_size: int | None = None
    n_blocks: int | None = None
    seq_count: int | None = None


class Repaired(NamedTuple):
    """What was done."""

    superblock: Superblock
    changed_fields: tuple[str, ...]
    counts: dict[Why, int]
    """Of entries that are not in the output."""
    dropped: list[Dropped]
    """The first of them."""

    @property
    def is_loss(self) -> bool:
        """Whether data may have gone."""
        return any(why.is_loss for why in self.counts)


def mended_superblock(image: Image, offset: int, given: Given) -> tuple[Superblock, Superblock]:
    """A superblock as it is, and one that a kernel takes.

    Raises RefusedError where that needs more to be given than was.
    """
    try:
        found = read_superblock(image, offset)
    except UnreadableError:
        found = Superblock()
    fields = {name: value for name, value in given._asdict().items() if value is not None}
    mended = found._replace(magic=MAGIC, version=VERSION, **fields)
    size = image.size - offset
    if not is_block_size(mended.block_size):
        mended = mended._replace(block_size=_only_block_size(mended, size))
    if superblock_refusal(mended, size) is not None:
        made = calculate_memory_size(size, mended.block_size)
        room = "no block fits" if isinstance(made, SizeError) else f"a format makes {made.n_blocks}"
        raise RefusedError(
            f"{image.path}: {mended.n_blocks} blocks cannot be: {room} on a device of this size; "
            "give --n-blocks if that is what it was"
        )
    if found.magic == found.version == 0 and given.seq_count is None:
        raise RefusedError(
            f"{image.path}: the superblock is empty, so no entry is known to be committed; give "
            "--seq-count (entries with a lower one count)"
        )
    return found, mended


def _only_block_size(superblock: Superblock, size: int) -> int:
    """The one block size with which a format makes as many blocks."""
    fitting = []
    for shift in range(9, 17):
        made = calculate_memory_size(size, 1 << shift)
        if not isinstance(made, SizeError) and made.n_blocks == superblock.n_blocks:
            fitting.append(1 << shift)
    if len(fitting) == 1:
        return fitting[0]
    raise RefusedError(
        f"the block size is {superblock.block_size}, and nothing tells what it was: "
        "give --block-size"
    )


def repair(
    image: Image,
    offset: int,
    output: Path,
    log_path: Path,
    given: Given,
    origin_sectors: int | None = None,
    drop_beyond: bool = False,
    force: bool = False,
) -> Repaired:
    """Write a mended copy.  Raises RefusedError where it cannot be made without guessing."""
    found, superblock = mended_superblock(image, offset, given)
    geometry = geometry_of(superblock, offset, image.size)
    cache = Cache(image, superblock, geometry)
    picture = picture_of(cache, origin_sectors, take_later=True)
    # Without an origin only what would lie past the end of any device counts as beyond.
    dropped = _dropped(picture, drop_beyond or origin_sectors is None)
    fields = tuple(
        name
        for name, old, new in zip(Superblock._fields, found, superblock, strict=True)
        if old != new
    )
    encoded = encode_superblock(superblock)
    with new_file(output, force, (image.mode,)) as target:
        grow(target, image.size)
        copy_sparse(image, target, holes=True)
        entries = entries_digest(target, offset, superblock.n_blocks)
        described = Described(
            "repair", os.path.realpath(output), "", offset, encoded.hex(), image.size, 0, entries
        )
        log = new_log(log_path, described, (image.mode,))
        try:
            _change(target, log, offset, encoded)
            counts, some = _drop(picture, dropped, target, log)
            log.sync()
            log.mark(Kind.DONE)
        except BaseException:
            log.remove()  # there will be no output that it could be about
            raise
        finally:
            log.close()
    return Repaired(superblock, fields, counts, some)


def _drop(
    picture: Picture, dropped: Iterator[Dropped], target: Image, log: UndoLog
) -> tuple[dict[Why, int], list[Dropped]]:
    """Free entries; how many for each reason, and the first of them."""
    counts: Counter[Why] = Counter()
    some: list[Dropped] = []
    unreadable = frozenset(picture.survey.unreadable)
    for number, one in enumerate(dropped):
        at = picture.cache.geometry.entry_at(one.block)
        old = target.read(at, ENTRY_SIZE)
        sector = ALL_ONES if one.block in unreadable else old[:8]
        _change(target, log, at, sector + ALL_ONES)
        counts[one.why] += 1
        if len(some) < MOST_LISTED:
            some.append(one)
        if number % AT_ONCE == 0:
            log.sync()
    return dict(counts), some


def _change(target: Image, log: UndoLog, offset: int, new: bytes) -> None:
    """Write into a file that nobody has seen yet: the log is made durable before it is renamed."""
    old = target.read(offset, len(new))
    if old != new:
        log.keep(Kind.CACHE, offset, old, new)
        target.write(offset, new)


def _dropped(picture: Picture, drop_beyond: bool) -> Iterator[Dropped]:
    """The entries that go, by reason."""
    survey, cache = picture.survey, picture.cache
    for block in survey.unreadable:
        yield Dropped(block, None, Why.UNREADABLE_ENTRY)
    for block in survey.uncommitted:
        yield Dropped(block, read_entry(cache, block).original_sector, Why.UNCOMMITTED)
    winners = {}
    if survey.identical:
        twins = set(survey.identical)
        winners = {
            read_entry(cache, block): block for block in survey.live_blocks if block in twins
        }
    for block in survey.superseded:
        entry = read_entry(cache, block)
        winner = winners.get(entry)
        why = Why.SUPERSEDED
        if winner is not None:
            why = Why.TWIN if same_data(cache, block, winner) else Why.OTHER_TWIN
        yield Dropped(block, entry.original_sector, why)
    reasons = {MISALIGNED: Why.MISALIGNED, UNREADABLE: Why.UNREADABLE_DATA}
    if drop_beyond:
        reasons[BEYOND] = Why.BEYOND
    for one in picture.doubtful():
        if one.reason in reasons:
            yield Dropped(one.block, one.sector, reasons[one.reason])

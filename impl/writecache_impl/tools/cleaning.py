"""Marks a cache as clean: as a kernel leaves it that brought everything home.

An entry becomes free by its sequence count alone.  First those that recovery would free; only when
that is durable, those whose data is home.  The other way round a crash could leave an older
duplicate as the only one, and old data would come back.
"""

from collections.abc import Iterator
from itertools import chain, groupby, islice

from writecache_impl.tools.cache import Cache
from writecache_impl.tools.picture import Picture
from writecache_impl.tools.undo_log import UndoLog
from writecache_impl.tools.undo_records import Kind
from writecache_spec.layout import ENTRY_SIZE, REGION_SIZE

FREE_COUNT = b"\xff" * 8
AT_ONCE = 128
"""Pieces of 64 KiB that are logged with one sync."""
_IN_REGION = REGION_SIZE // ENTRY_SIZE


def steps(picture: Picture) -> list[list[int]]:
    """What is freed first, and what only then."""
    survey = picture.survey
    return [sorted(chain(survey.uncommitted, survey.superseded)), sorted(survey.live_blocks)]


def mark_clean(picture: Picture, log: UndoLog | None = None) -> None:
    """Free every entry, in two steps, each durable before what follows."""
    cache = picture.cache
    for indices, is_last in zip(steps(picture), (False, True), strict=True):
        if log is not None and indices:
            log.mark(Kind.BARRIER)
        for pieces in _some_at_a_time(_freed(cache, indices)):
            if log is not None:
                for offset, old, new in pieces:
                    log.keep(Kind.CACHE, offset, old, new, is_last)
                log.sync()
            for offset, _, new in pieces:
                cache.image.write(offset, new)
        if indices:
            cache.image.sync()


_Piece = tuple[int, bytes, bytes]
"""Of the metadata: its offset, what it is, what it is to be."""


def _some_at_a_time(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    while some := list(islice(pieces, AT_ONCE)):
        yield some


def _freed(cache: Cache, indices: list[int]) -> Iterator[_Piece]:
    """Pieces of the metadata with entries made free."""
    for region, members in groupby(indices, key=lambda index: index // _IN_REGION):
        first = region * _IN_REGION
        count = min(_IN_REGION, cache.geometry.n_blocks - first)
        offset = cache.geometry.entry_at(first)
        old = cache.image.read(offset, count * ENTRY_SIZE)
        new = bytearray(old)
        for index in members:
            at = (index - first) * ENTRY_SIZE + 8
            new[at : at + 8] = FREE_COUNT
        yield offset, old, bytes(new)

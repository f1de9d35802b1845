"""The survey's arithmetic with numpy; `plain` has the same functions with the same results."""

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from writecache_impl.tools.cache import Entries
from writecache_impl.tools.numbers import Extents, Survey, numbers
from writecache_spec.units import U64_MAX

Column = NDArray[np.uint64]


def survey(chunks: Iterable[Entries], seq_count: int) -> Survey:
    """What a kernel finds in entries, the superblock having this sequence count."""
    parts: list[tuple[Column, Column, Column]] = []
    early: list[Column] = []
    unreadable = numbers()
    n_free = 0
    for chunk in chunks:
        unreadable.extend(chunk.unreadable)
        words = np.frombuffer(chunk.data, "<u8").reshape(-1, 2)
        counts = words[:, 1]
        free = counts == U64_MAX
        n_free += int(np.count_nonzero(free))
        committed = counts < np.uint64(seq_count)
        places = np.flatnonzero(committed)
        parts.append((words[places, 0], counts[places], _numbered(places, chunk.first)))
        early.append(_numbered(np.flatnonzero(~(committed | free)), chunk.first))
    sectors, counts, indices = (_joined([part[n] for part in parts]) for n in range(3))
    del parts
    order = np.argsort(sectors, kind="stable")
    sectors = sectors[order]
    indices = indices[order]
    first = np.ones(len(sectors), bool)
    first[1:] = sectors[1:] != sectors[:-1]
    superseded = identical = np.zeros(0, np.uint64)
    winners = np.flatnonzero(first)
    if len(winners) < len(sectors):
        ranks = _ranks(sectors, counts[order])
        best = np.maximum.accumulate(ranks)
        identical = indices[1:][(ranks[1:] == best[:-1]) & ~first[1:]]
        # The winner of a sector is the last entry that has the best rank of all up to it.
        last = np.maximum.accumulate(np.where(ranks == best, np.arange(len(ranks)), 0))
        winners = last[np.append(winners[1:], len(sectors)) - 1]
        loses = np.ones(len(sectors), bool)
        loses[winners] = False
        superseded = indices[loses]
    return Survey(
        _array(sectors[winners]),
        _array(indices[winners]),
        _array(_joined(early)),
        _array(np.sort(superseded)),
        _array(np.sort(identical)),
        unreadable,
        n_free - len(unreadable),
    )


def _ranks(sectors: Column, counts: Column) -> NDArray[np.int64]:
    """Numbers that are ordered, and equal, as the pairs of sector and count are."""
    order = np.lexsort((counts, sectors))
    differs = np.ones(len(order), np.int64)
    sectors, counts = sectors[order], counts[order]
    differs[1:] = (sectors[1:] != sectors[:-1]) | (counts[1:] != counts[:-1])
    ranks = np.empty(len(order), np.int64)
    ranks[order] = np.cumsum(differs)
    return ranks


def _numbered(places: NDArray[Any], first: int) -> Column:
    return places.astype(np.uint64) + np.uint64(first)


def _joined(parts: list[Column]) -> Column:
    return np.concatenate(parts) if parts else np.zeros(0, np.uint64)


def _array(column: NDArray[Any]) -> "array[int]":
    made = numbers()
    made.frombytes(column.astype(np.uint64, copy=False).tobytes())
    return made


def _column(values: "array[int]") -> Column:
    return np.frombuffer(values, np.uint64)


def extents(sectors: "array[int]", block_sectors: int) -> Extents:
    """Merge blocks, given by their sorted first sectors, into extents."""
    if not sectors:
        return Extents(numbers(), numbers())
    column = _column(sectors)
    begins = np.ones(len(column), bool)
    begins[1:] = (column[1:] - column[:-1]) != block_sectors
    places = np.flatnonzero(begins)
    lengths = np.diff(np.append(places, len(column))) * block_sectors
    return Extents(_array(column[places]), _array(lengths))


def misplaced(sectors: "array[int]", block_sectors: int, end: int | None) -> "array[int]":
    """Places of the sectors at which no block can lie: not on a block's boundary, or not before
    `end` with the whole block; past 2^63 bytes there is no device.
    """
    if not sectors:
        return numbers()
    column = _column(sectors)
    last = (2**54 if end is None else end) - block_sectors
    beyond = column > np.uint64(last) if last >= 0 else np.ones(len(column), bool)
    return _array(np.flatnonzero(beyond | (column % np.uint64(block_sectors) != 0)))


def runs(sectors: "array[int]", blocks: "array[int]", block_sectors: int) -> "array[int]":
    """Places at which a run begins: blocks that follow each other on origin and cache."""
    if not sectors:
        return numbers()
    column, indices = _column(sectors), _column(blocks)
    begins = np.ones(len(column), bool)
    begins[1:] = (column[1:] - column[:-1] != block_sectors) | (indices[1:] - indices[:-1] != 1)
    return _array(np.flatnonzero(begins))


def places_of(
    blocks: "array[int]", edges: "array[int]", start: int, block_size: int
) -> "tuple[array[int], array[int]]":
    """Where runs of blocks lie in the cache, and how long they are, in bytes.

    A run is from one of the edges, places in `blocks`, up to the next.
    """
    ends = _column(edges)
    first = _column(blocks)[ends[:-1].astype(np.int64)]
    size = np.uint64(block_size)
    return _array(first * size + np.uint64(start)), _array(np.diff(ends) * size)


def without(values: "array[int]", places: "array[int]") -> "array[int]":
    """The values that are not at these places, which are sorted."""
    if not places:
        return values
    return _array(np.delete(_column(values), _column(places).astype(np.int64)))

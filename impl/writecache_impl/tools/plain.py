"""The survey's arithmetic without numpy; `fast` has the same functions with the same results.

A list of numbers for four million entries would not fit the memory: what is kept lies in arrays,
and what is sorted is one number for an entry, its sector above its place.
"""

import sys
from array import array
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise

from writecache_impl.tools.cache import Entries
from writecache_impl.tools.numbers import Extents, Survey, numbers
from writecache_spec.units import U64_MAX


def survey(chunks: Iterable[Entries], seq_count: int) -> Survey:
    """What a kernel finds in entries, the superblock having this sequence count."""
    sectors, counts, indices = numbers(), numbers(), numbers()
    uncommitted, unreadable = numbers(), numbers()
    n_free = 0
    for chunk in chunks:
        unreadable.extend(chunk.unreadable)
        words = array("Q", chunk.data)
        if sys.byteorder == "big":
            words.byteswap()
        for number, count in enumerate(words[1::2]):
            if count == U64_MAX:
                n_free += 1
            elif count < seq_count:
                sectors.append(words[2 * number])
                counts.append(count)
                indices.append(chunk.first + number)
            else:
                uncommitted.append(chunk.first + number)
    live_sectors, live_blocks, superseded, identical = numbers(), numbers(), [], []
    previous = best = -1
    for place in _by_sector(sectors):
        if sectors[place] != previous:
            previous, best = sectors[place], place
            live_sectors.append(previous)
            live_blocks.append(indices[place])
            continue
        if counts[place] == counts[best]:
            identical.append(indices[place])
        if counts[best] > counts[place]:
            superseded.append(indices[place])
        else:
            superseded.append(indices[best])
            live_blocks[-1] = indices[place]
            best = place
    return Survey(
        live_sectors,
        live_blocks,
        uncommitted,
        numbers(sorted(superseded)),
        numbers(sorted(identical)),
        unreadable,
        n_free - len(unreadable),
    )


def _by_sector(sectors: "array[int]") -> Iterator[int]:
    """Places, by sector and then by place."""
    width = len(sectors).bit_length()
    keys = [sector << width | place for place, sector in enumerate(sectors)]
    keys.sort()
    mask = (1 << width) - 1
    return (key & mask for key in keys)


def extents(sectors: "array[int]", block_sectors: int) -> Extents:
    """Merge blocks, given by their sorted first sectors, into extents."""
    starts, lengths = numbers(), numbers()
    expected = -1
    for sector in sectors:
        if sector == expected:
            lengths[-1] += block_sectors
        else:
            starts.append(sector)
            lengths.append(block_sectors)
        expected = sector + block_sectors
    return Extents(starts, lengths)


def misplaced(sectors: "array[int]", block_sectors: int, end: int | None) -> "array[int]":
    """Places of the sectors at which no block can lie: not on a block's boundary, or not before
    `end` with the whole block; past 2^63 bytes there is no device.
    """
    last = (2**54 if end is None else end) - block_sectors
    if block_sectors == 1:
        return numbers(place for place, sector in enumerate(sectors) if sector > last)
    return numbers(
        place for place, sector in enumerate(sectors) if sector % block_sectors or sector > last
    )


def runs(sectors: "array[int]", blocks: "array[int]", block_sectors: int) -> "array[int]":
    """Places at which a run begins: blocks that follow each other on origin and cache."""
    starts = numbers()
    expected = -1, -1
    for place, pair in enumerate(zip(sectors, blocks, strict=True)):
        if pair != expected:
            starts.append(place)
        expected = pair[0] + block_sectors, pair[1] + 1
    return starts


def places_of(
    blocks: "array[int]", edges: "array[int]", start: int, block_size: int
) -> "tuple[array[int], array[int]]":
    """Where runs of blocks lie in the cache, and how long they are, in bytes.

    A run is from one of the edges, places in `blocks`, up to the next.
    """
    offsets = numbers(start + blocks[place] * block_size for place in edges[:-1])
    return offsets, numbers((end - begin) * block_size for begin, end in pairwise(edges))


def without(values: "array[int]", places: "array[int]") -> "array[int]":
    """The values that are not at these places, which are sorted."""
    if not places:
        return values
    edges = chain([-1], places, [len(values)])
    kept = numbers()
    before = next(edges)
    for edge in edges:
        kept += values[before + 1 : edge]
        before = edge
    return kept

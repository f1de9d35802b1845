"""Recovery: what the entries on a device say, each looked at once in the order of the blocks.

  * not committed (its count is not below the superblock's): free, and to be erased unless it says
    so itself: the crash came before its commit;
  * committed, and no other entry of its sector was met: in the cache;
  * committed, and another was met: the greater count wins, the other one is erased.  Equal counts
    are damage that no crash of this engine leaves; the later block wins.

The order in which blocks become free decides which one is taken next, so it is part of the result.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from writecache_spec.units import U64_MAX


class Found(NamedTuple):
    """What recovery makes of the entries; block numbers throughout."""

    cached: Sequence[int]
    """In the order of the LRU, the oldest first: the order of the blocks."""
    free: Sequence[int]
    """In the order in which they became free."""
    erased: Sequence[int]
    """Those among the free ones whose count says otherwise."""
    identical: Sequence[str] = ()
    """Complaints about equal counts."""


def scan(sectors: Sequence[int], seq_counts: Sequence[int], seq_count: int) -> Found:
    """Look at every entry."""
    free: list[int] = []
    committed: list[int] = []
    erased: list[int] = []
    for index, count in enumerate(seq_counts):
        if count < seq_count:
            committed.append(index)
            continue
        free.append(index)
        if count != U64_MAX:
            erased.append(index)
    met: dict[int, int] = {}
    lost: list[tuple[int, int]] = []
    identical: list[str] = []
    decide(sectors, seq_counts, committed, met, lost, identical)
    return merge(met, free, erased, lost, identical)


def decide(
    sectors: Sequence[int],
    seq_counts: Sequence[int],
    committed: Iterable[int],
    met: dict[int, int],
    lost: list[tuple[int, int]],
    identical: list[str],
) -> None:
    """Find the winner of each sector.

    `met` becomes sectors and their winners, in the order in which these were put in; `lost` the
    blocks that lost, each behind the number of the block at which that was seen.
    """
    for index in committed:
        sector = sectors[index]
        old = met.get(sector)
        if old is None:
            met[sector] = index
            continue
        if seq_counts[old] == seq_counts[index]:
            identical.append(
                f"two identical entries, position {index}, sector {sector}, "
                f"sequence {seq_counts[index]}"
            )
        if seq_counts[old] > seq_counts[index]:
            lost.append((index, index))
        else:
            lost.append((index, old))
            del met[sector]
            met[sector] = index


def merge(
    met: dict[int, int],
    free: list[int],
    erased: list[int],
    lost: list[tuple[int, int]],
    identical: list[str],
) -> Found:
    """Put what lost to where it became free."""
    if lost:
        events = sorted([*((index, index) for index in free), *lost])
        free = [index for _, index in events]
        erased = [*erased, *(index for _, index in lost)]
    return Found(list(met.values()), free, erased, identical)

"""What a device reads as.  Of a large one only what may be anything but zeros is looked at."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

from writecache_models.contract import Contract
from writecache_models.crashing import sectors_in, value_of
from writecache_models.machine import Machine
from writecache_models.trace_states.contents import ZEROS, Kind, Reader, follows, in_words
from writecache_models.trace_states.words import span
from writecache_models.volatile import Volatile
from writecache_spec.state import State

READ_WHOLE: Final = 4096
"""In sectors: the largest device of which everything is read, in one go.

Of persistent memory 6.1 reads several blocks at once otherwise than one by one: the finding
`remainder-begins-too-early`."""
_ReadRow = tuple[int, int, Kind, tuple[Kind, ...] | None, bool]
"""First sector, how many, what is read, what may be, whether it is fine."""


def read_rows(
    reader: Reader,
    values: Mapping[int, Hashable],
    allowed: Mapping[int, frozenset[Hashable]] | None,
    within: range,
) -> list[list[Any]]:
    """Rows of what sectors read as; neighbours join that go on one from another.

    What `values` does not name reads as zeros, as it should.
    """
    rows: list[_ReadRow] = []
    zeros = None if allowed is None else (ZEROS,)
    at = within.start
    for sector, value in values.items():
        if sector > at:
            _append(rows, (at, sector - at, ZEROS, zeros, True))
        kind = reader.kind("origin", sector, value)
        may = None
        if allowed is not None:
            kinds = {reader.kind("origin", sector, one) for one in allowed[sector]}
            may = tuple(sorted(kinds, key=str))
        _append(rows, (sector, 1, kind, may, allowed is None or value in allowed[sector]))
        at = sector + 1
    if at < within.stop:
        _append(rows, (at, within.stop - at, ZEROS, zeros, True))
    return [
        [
            span(first, count),
            in_words(kind, count, first),
            None if may is None else " or ".join(in_words(one, count, first) for one in may),
            fine,
        ]
        for first, count, kind, may, fine in rows
    ]


def _append(rows: list[_ReadRow], row: _ReadRow) -> None:
    """One row more, or a longer one."""
    if rows:
        first, count, kind, may, fine = rows[-1]
        if fine == row[4] and follows(row[2], kind, count) and _all_go_on(row[3], may, count):
            rows[-1] = (first, count + row[1], kind, may, fine)
            return
    rows.append(row)


def _all_go_on(may: tuple[Kind, ...] | None, before: tuple[Kind, ...] | None, count: int) -> bool:
    if may is None or before is None:
        return may is before
    return len(may) == len(before) and all(
        follows(one, other, count) for one, other in zip(may, before, strict=True)
    )


def told_of(origin: Volatile, contract: Contract | None) -> set[int]:
    """Sectors that the origin holds anything in, or the contract has heard of."""
    return {*origin.durable, *origin.pending, *(() if contract is None else contract.versions)}


def read_sparsely(
    machine: Machine, wc: State, places: Iterable[int], n_sectors: int
) -> dict[int, Hashable] | None:
    """What sectors read as that may hold anything but zeros; None where a read fails.

    Those are sectors of the cache's entries, and `places`; whole blocks are read.  A device that is
    not large is read from one end to the other.
    """
    size = wc.config.block_sectors
    blocks: Iterable[int] = range(n_sectors // size)
    if n_sectors > READ_WHOLE:
        blocks = {place // size for place in (*places, *(sector for sector, _ in wc.tree.items()))}
    values: dict[int, Hashable] = {}
    for run in runs(sorted(block for block in blocks if (block + 1) * size <= n_sectors)):
        data = machine.read(run.start * size, len(run) * size).data
        if data is None:
            return None
        values |= enumerate(map(value_of, sectors_in(data)), run.start * size)
    return values


def runs(numbers: Sequence[int]) -> list[range]:
    """Neighbours together.

    >>> runs([1, 2, 5])
    [range(1, 3), range(5, 6)]
    """
    found: list[range] = []
    for number in numbers:
        if found and found[-1].stop == number:
            found[-1] = range(found[-1].start, number + 1)
        else:
            found.append(range(number, number + 1))
    return found

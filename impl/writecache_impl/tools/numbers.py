"""Numbers by the million: what a survey of the entries comes to (`arithmetic` says how)."""

from array import array
from collections.abc import Iterable
from typing import NamedTuple


class Survey(NamedTuple):
    """What a kernel finds in the entries; numbers of entries are those of blocks."""

    live_sectors: "array[int]"
    """The origin's sectors that the cache has, ascending; distinct."""
    live_blocks: "array[int]"
    """The block that a read of each of them would get."""
    uncommitted: "array[int]"
    """Entries in use that no commit reached, ascending: recovery frees them."""
    superseded: "array[int]"
    """Committed entries of which there is a newer one, ascending: recovery frees them."""
    identical: "array[int]"
    """Entries that a kernel complains about, ascending: sector and sequence count are those of an
    earlier one.  It sets its error flag, and the later block counts."""
    unreadable: "array[int]"
    """Entries that could not be read, ascending."""
    n_free: int


class Extents(NamedTuple):
    """Pieces of a device, ascending and apart."""

    starts: "array[int]"
    """Sectors."""
    lengths: "array[int]"
    """Sectors."""


def numbers(values: Iterable[int] = ()) -> "array[int]":
    """An array of 64-bit numbers."""
    return array("Q", values)

"""Numbers by the million: what a survey of the entries comes to, and the two ways to get there."""

import os
from array import array
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from writecache_impl.tools.cache import Entries


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


class Arithmetic(Protocol):
    """What `plain` and `fast` have in common."""

    def survey(self, chunks: "Iterable[Entries]", seq_count: int) -> Survey:
        """What a kernel finds in entries, the superblock having this sequence count."""

    def extents(self, sectors: "array[int]", block_sectors: int) -> Extents:
        """Merge blocks, given by their sorted first sectors, into extents."""

    def misplaced(self, sectors: "array[int]", block_sectors: int, end: int | None) -> "array[int]":
        """Places of the sectors at which no block can lie."""

    def runs(self, sectors: "array[int]", blocks: "array[int]", block_sectors: int) -> "array[int]":
        """Places at which a run of blocks begins."""

    def places_of(
        self, blocks: "array[int]", edges: "array[int]", start: int, block_size: int
    ) -> "tuple[array[int], array[int]]":
        """Where runs of blocks lie in the cache, and how long they are, in bytes."""

    def without(self, values: "array[int]", places: "array[int]") -> "array[int]":
        """The values that are not at these places."""


class Reads(Protocol):
    """Reads many pieces of a file at once."""

    def read(
        self, fd: int, offsets: "array[int]", lengths: "array[int]", buffer: bytearray
    ) -> bool:
        """Read pieces, one behind the other, into a buffer; whether all of them came."""

    def close(self) -> None:
        """Give back what it has of the kernel."""


def many_reads() -> Reads | None:
    """A reader, with numpy, where the kernel has what it takes."""
    if os.environ.get("WRITECACHE_PLAIN"):
        return None
    try:
        from writecache_impl.tools import many
    except ModuleNotFoundError:
        return None
    return many.many_reads()


def arithmetic() -> Arithmetic:
    """With numpy where it is installed and WRITECACHE_PLAIN is not set."""
    from writecache_impl.tools import plain

    if os.environ.get("WRITECACHE_PLAIN"):
        return plain
    try:
        from writecache_impl.tools import fast
    except ModuleNotFoundError:
        return plain
    return fast

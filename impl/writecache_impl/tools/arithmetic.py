"""The two ways to a survey of entries: with numpy (`fast`, `many`), and without it (`plain`)."""

import os
from array import array
from collections.abc import Iterable
from typing import Protocol

from writecache_impl.tools import plain
from writecache_impl.tools.cache import Entries
from writecache_impl.tools.numbers import Extents, Survey


class Arithmetic(Protocol):
    """What `plain` and `fast` have in common."""

    def survey(self, chunks: Iterable[Entries], seq_count: int) -> Survey:
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
    if os.environ.get("WRITECACHE_PLAIN"):
        return plain
    try:
        from writecache_impl.tools import fast
    except ModuleNotFoundError:
        return plain
    return fast

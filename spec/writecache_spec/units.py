"""Units and machine arithmetic: where a number has a width, and what happens at its end.

Everything the described system counts is one of a handful of units.  They are distinct types for
the type checker and plain integers at run time, so that the same functions also run on symbolic
values.  A conversion between two units stands in this module and nowhere else.

Widths: sectors, sizes in bytes and sequence counts are 64-bit and unsigned, a request's size in
bytes and every `unsigned` option is 32-bit, the index of an entry has 47 bits.  Arithmetic wraps
where C's does: `wrap64` and `wrap32` say so where it can matter.
"""

from typing import Final, NewType

Sector = NewType("Sector", int)
"""A position or a length on a block device in units of 512 bytes (64-bit, unsigned)."""

BlockIndex = NewType("BlockIndex", int)
"""The number of a cache block, and of its metadata entry (47-bit, unsigned)."""

ByteCount = NewType("ByteCount", int)
"""A size or an offset in bytes (64-bit, unsigned)."""

SequenceCount = NewType("SequenceCount", int)
"""A commit's number (64-bit, unsigned, wraps)."""

Jiffies = NewType("Jiffies", int)
"""A point in time or a duration in ticks of the kernel's clock (64-bit, unsigned, wraps)."""

SECTOR_SHIFT: Final = 9
SECTOR_SIZE: Final = 512
"""Bytes in a sector."""

U32: Final = 2**32
U64: Final = 2**64

U64_MAX: Final = U64 - 1
"""What the kernel writes as -1: the sequence count of a free entry, an option never given."""

INDEX_BITS: Final = 47
"""Width of `wc_entry.index`."""


def wrap64(value: int) -> int:
    """Reduce a result to 64 unsigned bits.

    >>> wrap64(2**64 + 5), wrap64(-1) == U64_MAX
    (5, True)
    """
    return value % U64


def wrap32(value: int) -> int:
    """Reduce a result to 32 unsigned bits.

    >>> wrap32(2**32 + 5), wrap32(-4096)
    (5, 4294963200)
    """
    return value % U32


def signed32(value: int) -> int:
    """Read the low 32 bits of a value as two's complement.

    >>> signed32(2**32 - 1), signed32(7)
    (-1, 7)
    """
    low = value % U32
    return low - U32 if low >= U32 // 2 else low


def sectors_of(size: int) -> Sector:
    """Convert bytes to whole sectors, rounding down.

    >>> sectors_of(4096)
    8
    """
    return Sector(size // SECTOR_SIZE)


def bytes_of(sectors: int) -> ByteCount:
    """Convert sectors to bytes.

    >>> bytes_of(8)
    4096
    """
    return ByteCount(sectors * SECTOR_SIZE)


def jiffies_of(milliseconds: int, hz: int) -> Jiffies:
    """Convert milliseconds to ticks, rounding up (`msecs_to_jiffies`, for HZ that divides 1000).

    >>> jiffies_of(1000, 100), jiffies_of(1, 100), jiffies_of(0, 100)
    (100, 1, 0)
    """
    tick = 1000 // hz
    return Jiffies((milliseconds + tick - 1) // tick)

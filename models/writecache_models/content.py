"""The content of a device, as a value: writing makes a new one, and shares what has not changed.

So a search through schedules can hold thousands of devices at once, and tell cheaply whether two
are equal.
"""

from functools import lru_cache
from typing import Final

from writecache_spec.vector import Vector

CHUNK_SIZE: Final = 4096
"""Bytes that are kept together."""
_ZERO: Final = bytes(CHUNK_SIZE)


class Content:
    """An immutable string of bytes of fixed length, cheap to change in places."""

    __slots__ = ("_chunks", "size")

    _chunks: Vector[bytes]
    size: int

    def __init__(self, size: int, first_bytes: bytes = b"") -> None:
        """The first bytes of a content of `size` bytes; the rest is zero."""
        if len(first_bytes) > size:
            raise ValueError(f"{len(first_bytes)} bytes do not fit {size}")
        n_given = -(-len(first_bytes) // CHUNK_SIZE)
        given = (
            first_bytes[i * CHUNK_SIZE : (i + 1) * CHUNK_SIZE].ljust(CHUNK_SIZE, b"\0")
            for i in range(n_given)
        )
        n_chunks = -(-size // CHUNK_SIZE)
        self._chunks = Vector((*given, *(_ZERO,) * (n_chunks - n_given)))
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Content):
            return NotImplemented
        return self.size == other.size and self._chunks == other._chunks

    def __hash__(self) -> int:
        return hash((self.size, self._chunks))

    def __bytes__(self) -> bytes:
        return b"".join(self._chunks)[: self.size]

    def read(self, first: int, size: int) -> bytes:
        """`size` bytes from byte `first` on; raises IndexError beyond the end."""
        if first + size > self.size:
            raise IndexError(f"bytes {first} to {first + size} of {self.size}")
        number, offset = divmod(first, CHUNK_SIZE)
        if offset + size <= CHUNK_SIZE:
            return self._chunks[number][offset : offset + size] if size else b""
        last = (first + size - 1) // CHUNK_SIZE
        whole = b"".join([self._chunks[i] for i in range(number, last + 1)])
        return whole[offset : offset + size]

    def write(self, first: int, content: bytes) -> "Content":
        """The content with some bytes replaced; raises IndexError beyond the end."""
        if first + len(content) > self.size:
            raise IndexError(f"bytes {first} to {first + len(content)} of {self.size}")
        chunks = self._chunks
        position = 0
        while position < len(content):
            number, offset = divmod(first + position, CHUNK_SIZE)
            piece = content[position : position + CHUNK_SIZE - offset]
            if len(piece) < CHUNK_SIZE:
                old = chunks[number]
                chunks = chunks.set(number, old[:offset] + piece + old[offset + len(piece) :])
            else:
                chunks = chunks.set(number, piece)
            position += len(piece)
        made = Content.__new__(Content)
        made._chunks, made.size = chunks, self.size
        return made


@lru_cache(maxsize=16)
def blank(size: int) -> Content:
    """`size` bytes of zeros."""
    return Content(size)

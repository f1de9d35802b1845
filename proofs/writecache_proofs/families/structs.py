"""A stand-in for `struct` that takes symbolic values: what the module documents, and no more.

Little-endian, no padding, unsigned numbers of 4 (`I`) and 8 bytes (`Q`).
"""

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from writecache_proofs.symbolic import Bits, Replay, Run
from writecache_spec import codec

_SIZES: Final = {"I": 4, "Q": 8}


class Octets:
    """Bytes, each of them symbolic."""

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = list(values)

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, position: int) -> Any:
        return self.values[position]


class StandIn:
    """`struct.Struct` of one format."""

    def __init__(self, text: str) -> None:
        if not re.fullmatch(r"<(\d*[IQ])+", text):
            raise struct.error(f"no stand-in for {text}")
        self.format = text
        self.sizes: list[int] = []
        for count, letter in re.findall(r"(\d*)([IQ])", text):
            self.sizes += [_SIZES[letter]] * int(count or 1)
        self.size = sum(self.sizes)

    def pack(self, *values: Any) -> Octets:
        """Each number's bytes, the lowest first."""
        octets: list[Any] = []
        for value, size in zip(values, self.sizes, strict=True):
            bits = Bits.of(value)
            if bits is None or bits.low < 0 or bits.high >= 256**size:
                raise struct.error("a number out of its range")
            octets += [bits >> 8 * position & 255 for position in range(size)]
        return Octets(octets)

    def unpack_from(self, data: Octets, offset: int = 0) -> tuple[Any, ...]:
        """The numbers that the first bytes are."""
        if len(data) - offset < self.size:
            raise struct.error("too few bytes")
        numbers = []
        for size in self.sizes:
            number: Any = 0
            for position in range(size):
                number = number | data[offset + position] << 8 * position
            numbers.append(number)
            offset += size
        return tuple(numbers)

    def iter_unpack(self, data: Octets) -> Iterator[tuple[Any, ...]]:
        """The same, one after the other."""
        return (self.unpack_from(data, at) for at in range(0, len(data), self.size))


def stand_in_pack(text: str, *values: Any) -> Octets:
    """`struct.pack`."""
    return StandIn(text).pack(*values)


class _Module:
    pack = staticmethod(stand_in_pack)
    Struct = StandIn


@contextmanager
def symbolic_codec(run: Run) -> Iterator[None]:
    """The shipped codec, with the stand-in in the place of `struct`; on Python's values as it
    is."""
    if isinstance(run, Replay):
        yield
        return
    before = {name: getattr(codec, name) for name in ("_SUPERBLOCK", "_ENTRY", "struct")}
    try:
        for name in ("_SUPERBLOCK", "_ENTRY"):
            setattr(codec, name, StandIn(before[name].format))
        setattr(codec, "struct", _Module)  # noqa: B010 - no attribute for the type checker
        yield
    finally:
        for name, value in before.items():
            setattr(codec, name, value)


def octets(run: Run, name: str, length: int) -> Any:
    """Any bytes."""
    values = [run.bits(f"{name} {position}", 0, 255) for position in range(length)]
    return bytes(values) if isinstance(run, Replay) else Octets(values)

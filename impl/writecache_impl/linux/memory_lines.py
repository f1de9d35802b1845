"""What a step says of a log of stores to persistent memory, and of what its origin was told."""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from .content import HEX_DIGITS, SECTOR_BYTES
from .writelog import Entry

WORD_BYTES = 8


class Store(NamedTuple):
    """A word of persistent memory, as a store has left it."""

    place: int
    """Of its first byte in the memory; a multiple of 8."""
    word: bytes


class Fence(NamedTuple):
    """dm-writecache has waited for its stores."""


Event = Store | Fence | Entry
"""What the log says, in one order; an `Entry` is the origin's disk's."""


def described(events: Iterable[Event]) -> list[list[Any]]:
    """Return events as a step says them.

    Up to each fence, `["store", first, bytes, digest]` for words that adjoin, in the order of their
    places: words that are stored more than once come again behind all others. Then `["fence"]`. At
    the end, what the origin holds now of what it was told, likewise, in sectors: `["origin",
    sector, sectors, digest]`; a discard is zeros, and flushes are left out.
    """
    lines: list[list[Any]] = []
    words: list[dict[int, bytes]] = []
    sectors: list[dict[int, bytes]] = []
    for event in events:
        if isinstance(event, Store):
            _lay(words, event.place, event.word)
        elif isinstance(event, Entry):
            for number in range(event.n_sectors):
                sector = event.content[number * SECTOR_BYTES :][:SECTOR_BYTES]
                _lay(sectors, event.sector + number, sector)
        else:
            lines += _runs("store", words, WORD_BYTES)
            lines.append(["fence"])
            words.clear()
    lines += _runs("store", words, WORD_BYTES)
    return [*lines, *_runs("origin", sectors, 1)]


def _lay(layers: list[dict[int, bytes]], place: int, content: bytes) -> None:
    """Put a piece where none is yet, in a new layer if need be."""
    layer = next((one for one in layers if place not in one), None)
    if layer is None:
        layer = {}
        layers.append(layer)
    layer[place] = content


def _runs(kind: str, layers: list[dict[int, bytes]], step: int) -> Iterator[list[Any]]:
    """Yield the lines of pieces that adjoin, layer by layer; a place is `step` from the next."""
    for layer in layers:
        run: list[bytes] = []
        for place in sorted(layer):
            run.append(layer[place])
            if place + step not in layer:
                digest = hashlib.sha256(b"".join(run)).hexdigest()[:HEX_DIGITS]
                yield [kind, place + step - step * len(run), step * len(run), digest]
                run = []

"""What sectors hold, in words, and rows of neighbouring sectors that hold the like.

A content is read as a *kind*: zeros, data (its tag, and the sector it was written for), metadata,
or other bytes.  Rows join neighbours whose kinds go on from one to the next.
"""

import hashlib
import struct
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from writecache_models.symbolic import MetadataSector
from writecache_models.symbolic_memory import TORN, MemoryShape
from writecache_models.trace_states.words import span
from writecache_models.world import Setting
from writecache_spec.codec import decode_entries, decode_superblock
from writecache_spec.layout import ENTRY_SIZE, MAGIC, SUPERBLOCK_SIZE, MemoryEntry, Superblock
from writecache_spec.state import Config
from writecache_spec.units import SECTOR_SIZE, U64_MAX, bytes_of

Kind = tuple[Hashable, ...]
"""`("zeros",)`, `("data", tag, sector)`, `("text", words)`."""
ZEROS: Final[Kind] = ("zeros",)
MOST_ROWS: Final = 300
"""Rows of one device that are listed."""
_WORDS: Final = struct.Struct("<QQ")
_LISTED: Final = 12
"""Entries of a sector that are named one by one."""


class Reader(Protocol):
    """How contents of one trace are read."""

    def kind(self, device: str, place: int, content: Hashable) -> Kind:
        """What a place of a device holds."""

    def name(self, device: str, place: int, count: int) -> tuple[str, str]:
        """What neighbouring places are called, and what lies there."""


def in_words(kind: Kind, count: int = 1, at: int | None = None) -> str:
    """A kind, of so many neighbours; `at`: the sector that it is read as.

    >>> in_words(("data", 3, 8), 8), in_words(("data", 3, 8), 8, at=8), in_words(ZEROS)
    ('data 3 of sectors 8\u201315', 'data 3', 'zeros')
    """
    match kind:
        case ("data", tag, int(sector)):
            if at == sector:
                return f"data {tag}"
            return f"data {tag} of sector{'s' if count > 1 else ''} {span(sector, count)}"
        case ("text", words):
            return str(words)
        case _:
            return str(kind[0])


def follows(kind: Kind, before: Kind, distance: int) -> bool:
    """Whether a kind goes on from one that lies so many places before."""
    if kind[0] == "data" == before[0]:
        return kind[1] == before[1] and kind[2] == before[2] + distance  # type: ignore[operator]
    return kind == before and kind[0] != "text"


class Row(NamedTuple):
    """Neighbouring places."""

    place: int
    n_places: int
    lies_there: str
    durable: Kind
    pending: tuple[Kind, ...]


def rows(
    reader: Reader,
    device: str,
    places: Iterable[int],
    durable: Mapping[int, Hashable],
    pending: Mapping[int, Sequence[Hashable]],
) -> list[list[object]]:
    """Rows `[places, what lies there, durable, [pending, the latest last]]` of a device."""
    joined: list[Row] = []
    for place in places:
        held = reader.kind(device, place, durable.get(place))
        waiting = tuple(reader.kind(device, place, one) for one in pending.get(place, ()))
        if held == ZEROS and all(kind == ZEROS for kind in waiting):
            # Nothing that a crash could change.
            continue
        row = Row(place, 1, reader.name(device, place, 1)[1], held, waiting)
        if joined and _joins(joined[-1], row):
            joined[-1] = joined[-1]._replace(n_places=joined[-1].n_places + 1)
        else:
            joined.append(row)
    listed: list[list[object]] = [
        [
            reader.name(device, row.place, row.n_places)[0],
            row.lies_there,
            in_words(row.durable, row.n_places),
            [in_words(kind, row.n_places) for kind in row.pending],
        ]
        for row in joined[:MOST_ROWS]
    ]
    if len(joined) > MOST_ROWS:
        listed.append(["\u2026", f"{len(joined) - MOST_ROWS} rows more are left out", "", []])
    return listed


def _joins(row: Row, other: Row) -> bool:
    return (
        row.place + row.n_places == other.place
        and row.lies_there == other.lies_there
        and len(row.pending) == len(other.pending)
        and follows(other.durable, row.durable, row.n_places)
        and all(
            follows(kind, before, row.n_places)
            for kind, before in zip(other.pending, row.pending, strict=True)
        )
    )


def metadata_in_words(
    superblock: Superblock | None, entries: Iterable[tuple[int, MemoryEntry]]
) -> str:
    """What a part of the metadata area says."""
    said = []
    if superblock is not None:
        if superblock.magic == MAGIC:
            said.append(f"seq_count {superblock.seq_count}")
        else:
            said.append(f"no magic (version {superblock.version})")
    used = [(index, entry) for index, entry in entries if entry.seq_count != U64_MAX]
    shown = used if len(used) <= _LISTED else used[:_LISTED]
    said += [
        f"entry {index}: sector {entry.original_sector}, seq {entry.seq_count}"
        for index, entry in shown
    ]
    if len(used) > len(shown):
        said.append(f"{len(used) - len(shown)} entries more")
    return "; ".join(said) or "all free"


class ByteReader:
    """Contents that are bytes, on devices of a trace of operations."""

    def __init__(self, config: Config | None) -> None:
        self.config = config
        """Says what lies where; None: nobody knows."""

    def kind(self, device: str, place: int, content: Hashable) -> Kind:
        """What a sector holds."""
        if not isinstance(content, bytes) or not any(content):
            return ZEROS
        config = self.config
        if device == "cache" and config is not None:
            sector = place - config.start_sector
            if 0 <= sector < config.metadata_sectors:
                return "text", self._metadata(config, sector, content)
        tag, sector = _WORDS.unpack_from(content)
        if content == content[: _WORDS.size] * (SECTOR_SIZE // _WORDS.size):
            return "data", tag, sector
        return "text", f"other bytes, SHA-256 {hashlib.sha256(content).hexdigest()[:8]}\u2026"

    def _metadata(self, config: Config, sector: int, content: bytes) -> str:
        first_byte = bytes_of(sector)
        begin = max(first_byte, SUPERBLOCK_SIZE)
        end = min(first_byte + SECTOR_SIZE, SUPERBLOCK_SIZE + config.n_blocks * ENTRY_SIZE)
        if begin >= end:
            return "padding"
        entries = decode_entries(content[begin - first_byte : end - first_byte])
        first = (begin - SUPERBLOCK_SIZE) // ENTRY_SIZE
        superblock = None if sector else decode_superblock(content)
        return metadata_in_words(superblock, enumerate(entries, first))

    def name(self, device: str, place: int, count: int) -> tuple[str, str]:
        """Sectors; metadata, or a block."""
        config = self.config
        lies_there = ""
        if device == "cache" and config is not None:
            if place >= config.data_start:
                block = (place - config.data_start) // config.block_sectors
                lies_there = f"block {block}" if block < config.n_blocks else "behind the blocks"
            elif place >= config.start_sector:
                first = place == config.start_sector
                lies_there = "superblock, entries" if first else "entries"
        return span(place, count), lies_there


class SymbolReader:
    """Contents that are symbols, on disks of a world."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.shape = setting, setting.shape

    def kind(self, device: str, place: int, content: Hashable) -> Kind:
        """What a place holds."""
        if content is None or content == 0:
            return ZEROS
        if content == TORN:
            return "text", "torn: some words old, some new"
        if isinstance(content, int):
            tag, sector = divmod(content - 1, self.setting.origin_sectors)
            return "data", tag, sector
        return "text", self._metadata(place, content)  # type: ignore[arg-type]

    def _metadata(self, place: int, content: MetadataSector) -> str:
        shape = self.shape
        superblock, entries = content
        if isinstance(shape, MemoryShape):
            if superblock:
                said = superblock[0]._asdict()
                return (
                    ", ".join(
                        f"{name} {value:#x}"
                        for name, value in said.items()
                        if value and name != "reserved"
                    )
                    or "zeros"
                )
            return _word(place - shape.first_entry_word, entries[0])
        first = max(place * SECTOR_SIZE - SUPERBLOCK_SIZE, 0) // ENTRY_SIZE
        return metadata_in_words(superblock[0] if superblock else None, enumerate(entries, first))

    def name(self, device: str, place: int, count: int) -> tuple[str, str]:
        """Sectors, or words of persistent memory; metadata, or a block."""
        shape = self.shape
        if device == "origin":
            return span(place, count), ""
        if place >= shape.n_metadata:
            sector = place - shape.n_metadata
            block = sector // self.setting.block_sectors
            return span(shape.data_start + sector, count), f"block {block}"
        if isinstance(shape, MemoryShape):
            number = place - shape.first_entry_word
            there = "superblock" if number < 0 else f"entry {number // 2}"
            return f"word {place if number < 0 else 8 + number}", there
        return span(place, count), "entries" if place else "superblock, entries"


def _word(number: int, entry: MemoryEntry) -> str:
    if number % 2 == 0:
        free = entry.original_sector == U64_MAX
        return (
            "original_sector of a free one" if free else f"original_sector {entry.original_sector}"
        )
    return "seq_count: free" if entry.seq_count == U64_MAX else f"seq_count {entry.seq_count}"

"""The log of stores to persistent memory and of its fences, and of what the origin is told.

Between two fences stores are durable in any order, so a step says them in the order of their
places: `["store", first byte, bytes, digest]` for words of 8 bytes that adjoin; what is stored more
than once before the fence comes again, behind all that is stored once.  Then `["fence"]`.  A step's
last stores may have no fence yet.

What the origin is told comes last, in the order of its sectors: `["origin", sector, sectors,
digest]`, a discard as zeros.  When it was told, and of flushes, this says nothing: the log from
which it comes has one order of all, and crashes are judged by that (`logged_moments`).
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from writecache_models.content import Content
from writecache_models.devices import Devices, SeenLogs
from writecache_models.digests import DIGEST_DIGITS
from writecache_models.log_lines import DISCARD, FLUSH, Entry, Fenced, Line, Stored
from writecache_models.trace import MEMORY_LOG
from writecache_spec.codec import SUPERBLOCK_FIELDS
from writecache_spec.effects import Copy, StoreEntry, StoreSuperblock, WriteOrigin
from writecache_spec.events import Device
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE
from writecache_spec.state import Config
from writecache_spec.units import SECTOR_SIZE, Sector, bytes_of, sectors_of

WORD_SIZE: Final = 8
"""Bytes that are stored at once."""
FREED: Final = (8, hashlib.sha256(b"\xff" * WORD_SIZE).hexdigest()[:DIGEST_DIGITS])
"""Length and digest of a free entry's sequence count."""
Used = Stored | Fenced | Entry
"""An entry is the origin's."""


class MemoryLoggedDevices(Devices):
    """Persistent memory and origin, and their log."""

    __slots__ = ("_ahead", "_base", "_contradicted", "_key", "_told", "used")

    def __init__(self, cache: Content, origin: Content) -> None:
        super().__init__(cache, origin)
        self.used: tuple[Used, ...] = ()
        """What this step has done, in its order; with a log to follow, since the last fence."""
        self._told: tuple[Line, ...] = ()
        # What the step says of the fences so far.
        self._key = self._base = 0
        # The metadata's first byte, as far as anything was stored there.
        self._ahead: tuple[Line, ...] | None = None
        self._contradicted = False

    def fork(self) -> "MemoryLoggedDevices":
        """An independent copy."""
        copy = MemoryLoggedDevices(self.cache, self.origin)
        copy._written = dict(self._written)
        copy.faults = self.faults
        copy.used, copy._told, copy._key = self.used, self._told, self._key
        copy._base, copy._ahead, copy._contradicted = self._base, self._ahead, self._contradicted
        return copy

    @property
    def contradicted(self) -> bool:
        """Whether the log that was seen says something else up to the last fence."""
        return self._contradicted

    @property
    def points_left(self) -> int:
        """How many lines of the log that was seen are to come."""
        return max(len(self._ahead or ()) - len(self._told), 0)

    def log_key(self) -> object:
        """What decides what the step will say."""
        return self._key, self._contradicted

    def order_of(self, copies: Sequence[Copy | WriteOrigin]) -> list[int] | None:
        """Numbers of copies in the order in which, as was seen, their blocks are freed.

        The endio thread frees what has ended by then, and a fence follows.  The rest comes last.
        """
        if self._ahead is None or self._contradicted:
            return None
        freed: dict[int, int] = {}
        n_fences = 0
        for line in self._ahead[len(self._told) :]:
            if line[0] == "fence":
                n_fences += 1
            elif line[2:] == FREED:
                freed.setdefault(line[1], n_fences)

        def fences_before(number: int) -> int:
            blocks = copies[number].job.blocks
            places = (self._base + SUPERBLOCK_SIZE + block * ENTRY_SIZE + 8 for block in blocks)
            return max((freed.get(place, n_fences + 1) for place in places), default=0)

        return sorted(range(len(copies)), key=fences_before)

    def write(self, device: Device, sector: int, content: bytes, fua: bool = False) -> None:
        """Store blocks in persistent memory, or write to the origin."""
        super().write(device, sector, content, fua)
        if device is Device.CACHE:
            first = bytes_of(Sector(sector))
            self._note(*_words(first, first + len(content), content))
        else:
            self._note(Entry(0, sector, sectors_of(len(content)), content))

    def write_origin(self, config: Config, effect: WriteOrigin) -> None:
        """Write blocks to the origin; a disk without FUA is flushed afterwards."""
        super().write_origin(config, effect)
        if effect.fua:
            self.flush(Device.ORIGIN)

    def discard(self, device: Device, sector: int, n_sectors: int) -> None:
        """Discard sectors of the origin, which become zeros."""
        content = bytes(bytes_of(Sector(n_sectors)))
        super().write(device, sector, content)
        self._note(Entry(DISCARD, sector, n_sectors, content))

    def store(self, start_sector: Sector, effect: StoreSuperblock | StoreEntry) -> None:
        """Store words of the metadata area; a field of 4 bytes changes half a word."""
        super().store(start_sector, effect)
        base = self._base = bytes_of(start_sector)
        if isinstance(effect, StoreSuperblock):
            self._store_fields(base, effect)
            return
        entry = base + SUPERBLOCK_SIZE + effect.block * ENTRY_SIZE
        first = entry if effect.original_sector is not None else entry + WORD_SIZE
        last = entry + ENTRY_SIZE
        self._note(*_words(first, last, self.cache.read(first, last - first)))

    def _store_fields(self, base: int, effect: StoreSuperblock) -> None:
        # Fields of one word that are named together are one store.
        places: dict[int, None] = {}
        for field in effect.fields:
            first, last = SUPERBLOCK_FIELDS[field]
            places.update(dict.fromkeys(range(first // WORD_SIZE, -(-last // WORD_SIZE))))
        for number in places:
            first = base + number * WORD_SIZE
            self._note(Stored(first, self.cache.read(first, WORD_SIZE)))

    def fence(self) -> None:
        """What was stored is durable."""
        self._note(Fenced())
        if self._ahead is None:
            return
        origins = tuple(one for one in self.used if isinstance(one, Entry))
        self._told += tuple(lines_of(one for one in self.used if not isinstance(one, Entry)))
        self.used = origins
        self._contradicted = self._ahead[: len(self._told)] != self._told

    def flush(self, device: Device) -> None:
        """Make durable what was written."""
        self._note(Entry(FLUSH))

    def expect(self, logs: SeenLogs | None) -> None:
        """A step begins that was seen to log this; None: nobody looked."""
        self.used, self._told, self._key, self._contradicted = (), (), 0, False
        seen = None if logs is None else logs.get(MEMORY_LOG, ())
        self._ahead = None if seen is None else tuple(map(tuple, seen))

    def logged(self) -> SeenLogs | None:
        """What this step says."""
        return {MEMORY_LOG: [list(line) for line in (*self._told, *lines_of(self.used))]}

    def _note(self, *used: Used) -> None:
        self.used += used
        self._key = hash((self._key, used))


def lines_of(used: Iterable[Used]) -> Iterator[Line]:
    """What a step says of what it has done."""
    stores, sectors = _Layers(WORD_SIZE), _Layers(SECTOR_SIZE)
    for one in used:
        match one:
            case Stored(place, word):
                stores.add(place, word)
            case Fenced():
                yield from (("store", *run) for run in stores.take())
                yield ("fence",)
            case Entry():
                for at in range(0, len(one.content), SECTOR_SIZE):
                    sectors.add(bytes_of(Sector(one.sector)) + at, one.content[at:][:SECTOR_SIZE])
    yield from (("store", *run) for run in stores.take())
    for place, size, digest in sectors.take():
        yield "origin", place // SECTOR_SIZE, size // SECTOR_SIZE, digest


class _Layers:
    """Pieces of one size, by place: what comes a second time is in the next layer."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.layers: list[dict[int, bytes]] = []

    def add(self, place: int, content: bytes) -> None:
        layer = next((one for one in self.layers if place not in one), None)
        if layer is None:
            layer = {}
            self.layers.append(layer)
        layer[place] = content

    def take(self) -> Iterator[tuple[int, int, str]]:
        """First byte, length and digest of what adjoins, layer by layer; nothing is left."""
        layers, self.layers = self.layers, []
        for layer in layers:
            run: list[bytes] = []
            for place in sorted(layer):
                run.append(layer[place])
                if place + self.size not in layer:
                    content = b"".join(run)
                    digest = hashlib.sha256(content).hexdigest()[:DIGEST_DIGITS]
                    yield place + self.size - len(content), len(content), digest
                    run = []


def _words(first: int, last: int, content: bytes) -> Sequence[Stored]:
    places: Any = range(first, last, WORD_SIZE)
    return [Stored(place, content[place - first :][:WORD_SIZE]) for place in places]

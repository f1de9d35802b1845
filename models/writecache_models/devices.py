"""The two devices under a cache, as bytes, and how effects play on them.

`Devices` does at once what an effect says: it is the pair of devices of a machine that does not
crash.  Writing a metadata region does not encode what has not changed since it was last written:
it compares the identity of the vectors' nodes (`writecache_spec.vector`).
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from writecache_models.content import Content
from writecache_models.digests import Range, content_digest, masked_digest, undefined_ranges
from writecache_models.faults import Fault, Faults
from writecache_spec.codec import (
    SUPERBLOCK_FIELDS,
    decode_entries,
    decode_superblock,
    encode_superblock,
)
from writecache_spec.effects import Copy, StoreEntry, StoreSuperblock, WriteMetadata, WriteOrigin
from writecache_spec.events import Device
from writecache_spec.layout import (
    ENTRY_SIZE,
    REGION_SIZE,
    SUPERBLOCK_SIZE,
    MemoryEntry,
    Superblock,
)
from writecache_spec.state import Config, Entry, cache_sector
from writecache_spec.units import SECTOR_SIZE, Sector, bytes_of, sectors_of
from writecache_spec.vector import FAN_OUT, Vector

SeenLogs = Mapping[str, Sequence[Sequence[Any]]]
"""What was logged in a step, by device: `cache`, `origin`."""
_WORDS = struct.Struct("<QQ")
_LEAF_SIZE = FAN_OUT * ENTRY_SIZE
_LEAF = struct.Struct(f"<{2 * FAN_OUT}Q")


class DeviceError(Exception):
    """A device fails an I/O."""


class OutOfRangeError(DeviceError):
    """It reaches beyond the end of the device: the block layer fails it."""


class FaultError(DeviceError):
    """It meets sectors that fail."""


def pattern(sector: int, n_sectors: int, tag: int) -> bytes:
    """What a vector's write puts there: each sector 32 times its tag and its own number.

    >>> pattern(7, 1, 3)[:16].hex()
    '03000000000000000700000000000000'
    """
    pack = _WORDS.pack
    return b"".join([pack(tag, sector + i) * (SECTOR_SIZE // 16) for i in range(n_sectors)])


class Devices:
    """Cache and origin, and what they hold now."""

    has_dax = True
    """Whether the processor can reach the cache device: not through a target that logs."""
    __slots__ = ("_written", "cache", "faults", "origin")

    def __init__(self, cache: Content, origin: Content) -> None:
        self.cache = cache
        self.origin = origin
        self.faults: Faults = {}
        self._written: dict[int, Vector[Entry]] = {}
        # The entries that each region was last written with.

    def fork(self) -> "Devices":
        """An independent copy."""
        copy = Devices(self.cache, self.origin)
        copy._written = dict(self._written)
        copy.faults = self.faults
        return copy

    def fail(self, device: Device, fault: Fault | None) -> None:
        """From now on some sectors of a device fail, or none."""
        others = {other: known for other, known in self.faults.items() if other is not device}
        self.faults = others if fault is None else {**others, device: fault}

    def fails(self, device: Device, sector: int, n_sectors: int, writes: bool) -> bool:
        """Whether a read or a write of these sectors meets a fault."""
        fault = self.faults.get(device)
        return fault is not None and bool(fault.hit(sector, n_sectors, writes))

    def spoils(self, sector: int, n_sectors: int) -> bool:
        """Whether the processor cannot load these sectors of persistent memory whole."""
        fault = self.faults.get(Device.CACHE)
        return fault is not None and fault.spoils(sector, n_sectors)

    def fails_flush(self, device: Device) -> bool:
        """Whether a flush fails."""
        fault = self.faults.get(device)
        return fault is not None and fault.fails_flushes

    def forget_metadata(self) -> None:
        """Metadata of another table may now be what the cache device holds."""
        self._written.clear()

    def read(self, device: Device, sector: int, n_sectors: int) -> bytes:
        """Read sectors; raises DeviceError."""
        if self.faults and self.fails(device, sector, n_sectors, writes=False):
            raise FaultError
        content = self.cache if device is Device.CACHE else self.origin
        try:
            return content.read(bytes_of(sector), bytes_of(n_sectors))
        except IndexError as error:
            raise OutOfRangeError(str(error)) from error

    def write(self, device: Device, sector: int, content: bytes, fua: bool = False) -> None:
        """Write whole sectors; raises DeviceError, after those are written that do not fail."""
        if self.faults and (fault := self.faults.get(device)):
            n_sectors = sectors_of(len(content))
            if hit := fault.hit(sector, n_sectors, writes=True):
                before, after = bytes_of(hit.start - sector), bytes_of(hit.stop - sector)
                self.write(device, sector, content[:before], fua)
                self.write(device, hit.stop, content[after:], fua)
                raise FaultError
        first = bytes_of(sector)
        try:
            if device is Device.CACHE:
                self.cache = self.cache.write(first, content)
            else:
                self.origin = self.origin.write(first, content)
        except IndexError as error:
            raise OutOfRangeError(str(error)) from error

    def flush(self, device: Device) -> None:
        """Make durable what was written: here everything is at once."""

    def fence(self) -> None:
        """Make durable what was stored: here everything is at once."""

    # What only devices with logs of what is written care for (`logged`).

    @property
    def contradicted(self) -> bool:
        """Whether a log that was seen says something else than what was done."""
        return False

    @property
    def points_left(self) -> int:
        """How much of a log that was seen is still to come."""
        return 0

    def log_key(self) -> object:
        """What decides what will be logged."""
        return None

    def begin_copy(self, effect: Copy | WriteOrigin) -> None:
        """A copy is submitted."""

    def order_of(self, copies: Sequence[Copy | WriteOrigin]) -> list[int] | None:
        """Numbers of the copies that end before the next flush of the origin, in their order.

        None where no log was seen that says so.
        """
        return None

    def end_writes(self) -> None:
        """All requests of clients have ended."""

    def expect(self, logs: SeenLogs | None) -> None:
        """A step begins that was seen to log this; None: nobody looked."""

    def logged(self) -> SeenLogs | None:
        """What the step has logged; None where there is no log."""
        return None

    def copy(self, cache_sector: int, origin_sector: int, n_sectors: int) -> None:
        """Copy from the cache to the origin; raises DeviceError."""
        content = self.read(Device.CACHE, cache_sector, n_sectors)
        self.write(Device.ORIGIN, origin_sector, content)

    def write_origin(self, config: Config, effect: WriteOrigin) -> None:
        """Write blocks of persistent memory to the origin; raises DeviceError."""
        n_blocks = effect.n_sectors // config.block_sectors
        blocks = effect.job.blocks[:n_blocks]
        content = [
            self.read(Device.CACHE, cache_sector(config, block), config.block_sectors)
            for block in blocks
        ]
        self.write(Device.ORIGIN, effect.origin_sector, b"".join(content), effect.fua)

    def discard(self, device: Device, sector: int, n_sectors: int) -> None:
        """Discard sectors: these devices zero them."""
        self.write(device, sector, bytes(bytes_of(n_sectors)))

    def write_metadata(self, start_sector: Sector, effect: WriteMetadata) -> None:
        """Write a part of the metadata area, encoding only what has changed.

        Sectors that fail keep what they hold.
        """
        if self.faults and (fault := self.faults.get(Device.CACHE)):
            hit = fault.hit(start_sector + effect.first_sector, effect.n_sectors, writes=True)
            if hit:
                held = self.cache.read(bytes_of(hit.start), bytes_of(len(hit)))
                self._write_metadata(start_sector, effect)
                self.cache = self.cache.write(bytes_of(hit.start), held)
                self.forget_metadata()
                return
        self._write_metadata(start_sector, effect)

    def _write_metadata(self, start_sector: Sector, effect: WriteMetadata) -> None:
        base = bytes_of(start_sector)
        first = bytes_of(effect.first_sector)
        last = first + bytes_of(effect.n_sectors)
        if first == 0:
            encoded = encode_superblock(effect.metadata.superblock)
            self.cache = self.cache.write(base, encoded)
        entries = effect.metadata.entries
        end_of_entries = SUPERBLOCK_SIZE + len(entries) * ENTRY_SIZE
        last = min(last, end_of_entries)
        for begin in range(first, last, REGION_SIZE):
            end = min(begin + REGION_SIZE, last)
            region = begin // REGION_SIZE
            self._write_entries(base, (begin, end), entries, self._written.get(region))
            # A superblock's write carries only a part of the first region.
            if end == min(begin + REGION_SIZE, end_of_entries):
                self._written[region] = entries

    def _write_entries(
        self, base: int, span: tuple[int, int], entries: Vector[Entry], old: Vector[Entry] | None
    ) -> None:
        """Write the bytes `span` of a metadata area that begins at `base` and now holds `old`."""
        first, last = span
        first_leaf = max(first - SUPERBLOCK_SIZE, 0) // _LEAF_SIZE
        last_leaf = -(-(last - SUPERBLOCK_SIZE) // _LEAF_SIZE)
        for number, leaf in entries.changed_leaves(old, first_leaf, last_leaf):
            encoded = _encode_leaf(leaf)
            begin = SUPERBLOCK_SIZE + number * _LEAF_SIZE
            low, high = max(begin, first), min(begin + len(encoded), last)
            self.cache = self.cache.write(base + low, encoded[low - begin : high - begin])

    def store(self, start_sector: Sector, effect: StoreSuperblock | StoreEntry) -> None:
        """Store words of the metadata area in persistent memory."""
        base = bytes_of(start_sector)
        if isinstance(effect, StoreSuperblock):
            encoded = encode_superblock(effect.superblock)
            for first, last in (SUPERBLOCK_FIELDS[field] for field in effect.fields):
                self.cache = self.cache.write(base + first, encoded[first:last])
            return
        entry = base + SUPERBLOCK_SIZE + effect.block * ENTRY_SIZE
        self.cache = self.cache.write(entry + 8, effect.seq_count.to_bytes(8, "little"))
        if effect.original_sector is not None:
            self.cache = self.cache.write(entry, effect.original_sector.to_bytes(8, "little"))

    def superblock(self, start_sector: int, n_sectors: int = 1) -> Superblock | None:
        """What lies where a superblock should be; None where the device ends before.

        Its whole block is read, of `n_sectors`: None where that fails, too.
        """
        if self.fails(Device.CACHE, start_sector, n_sectors, writes=False):
            return None
        if self.spoils(start_sector, 1):
            return None
        try:
            return decode_superblock(self.cache.read(bytes_of(start_sector), SUPERBLOCK_SIZE))
        except IndexError:
            return None

    def metadata(self, config: Config) -> tuple[Superblock, tuple[MemoryEntry | None, ...]] | None:
        """Superblock and entries as a resume reads them; None where they cannot be read."""
        if self.fails(Device.CACHE, config.start_sector, config.metadata_sectors, writes=False):
            return None
        size = SUPERBLOCK_SIZE + config.n_blocks * ENTRY_SIZE
        content = self.cache.read(bytes_of(config.start_sector), size)
        superblock, entries = decode_superblock(content), decode_entries(content[SUPERBLOCK_SIZE:])
        if self.faults and self.spoils(config.start_sector, config.metadata_sectors):
            if self.spoils(config.start_sector, 1):
                return None
            places = range(SUPERBLOCK_SIZE, size, ENTRY_SIZE)
            return superblock, tuple(
                None if self.spoils(config.start_sector + place // SECTOR_SIZE, 1) else entry
                for place, entry in zip(places, entries, strict=True)
            )
        return superblock, tuple(entries)

    def digests(
        self, start_sectors: Iterable[Sector], known: frozenset[Range]
    ) -> tuple[str, str, frozenset[Range]]:
        """Digests of cache and origin as vectors carry them, and what of the cache is undefined.

        That is what was known to be, and the tails of metadata that begins at these sectors.
        """
        content = bytes(self.cache)
        undefined = known | undefined_ranges(content, start_sectors)
        return masked_digest(content, undefined), content_digest(bytes(self.origin)), undefined


def _encode_leaf(leaf: tuple[Entry, ...]) -> bytes:
    numbers = [number for entry in leaf for number in entry[:2]]
    if len(leaf) == FAN_OUT:
        return _LEAF.pack(*numbers)
    return struct.pack(f"<{len(numbers)}Q", *numbers)

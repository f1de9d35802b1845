"""Devices with logs of what is written to them (`write_log`): one each, or one for both.

A log that was seen can be followed (`expect`): where it says something else than what these devices
are told to do, it is *contradicted*: the schedule was another, and nothing that comes after
matters.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial

from writecache_models.content import Content
from writecache_models.devices import Devices, SeenLogs
from writecache_models.digests import Range, masked_digest
from writecache_models.log_lines import (
    DISCARD,
    FLUSH,
    FUA,
    LARGEST_COPY,
    Entry,
    Line,
    Render,
    points_of,
)
from writecache_models.write_log import Contradiction, Log
from writecache_spec.effects import Copy, WriteMetadata, WriteOrigin
from writecache_spec.events import Device
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE, round_up
from writecache_spec.units import Sector, bytes_of, sectors_of

HOME_FLUSH: Line = (FLUSH, 0, 0)
"""A flush of the origin, in the log of both devices."""
MOST_DIGESTS = 1024
"""Digests of entries' data that are not computed again."""


class LoggedDevices(Devices):
    """Cache and origin, and their logs."""

    has_dax = False
    __slots__ = ("_contradicted", "_homing", "_left", "_logs", "_seen", "_together", "_undefined")

    def __init__(self, cache: Content, origin: Content, together: bool = False) -> None:
        """With a log each, or with one for both: as regions of one device, the origin first."""
        super().__init__(cache, origin)
        self._together = together
        self._contradicted = False
        self._left = 0
        self._homing: dict[Copy | WriteOrigin, tuple[Line, ...]] = {}
        # What the copies under way write.
        self._logs = (
            {"both": Log(home=HOME_FLUSH)} if together else {one.value: Log() for one in Device}
        )
        self._seen: SeenLogs | None = None
        self._undefined: frozenset[Range] = frozenset()

    def fork(self) -> "LoggedDevices":
        """An independent copy."""
        copy = LoggedDevices(self.cache, self.origin, self._together)
        copy._written = dict(self._written)
        copy.faults = self.faults
        copy._contradicted, copy._logs = self._contradicted, dict(self._logs)
        copy._homing = dict(self._homing)
        copy._seen, copy._undefined, copy._left = self._seen, self._undefined, self._left
        return copy

    @property
    def contradicted(self) -> bool:
        """Whether the log that was seen says something else."""
        return self._contradicted

    @property
    def points_left(self) -> int:
        """How many points of the logs that were seen are to come, or were at a contradiction."""
        if self._contradicted:
            return self._left
        return sum(len(log.ahead or ()) for log in self._logs.values())

    def log_key(self) -> object:
        """What decides what will be logged."""
        return tuple(log.key() for log in self._logs.values()), self._contradicted

    def write(self, device: Device, sector: int, content: bytes, fua: bool = False) -> None:
        """Write data of a request, which is complete when that ends."""
        super().write(device, sector, content)
        place = self._place(device).start + sector
        entry = Entry(FUA if fua else 0, place, sectors_of(len(content)), content)
        self._change(device, lambda log, _: log.begin_data(entry))

    def end_writes(self) -> None:
        """All requests have ended."""
        for device in Device:
            self._change(device, lambda log, render: log.end_data(render))

    def discard(self, device: Device, sector: int, n_sectors: int) -> None:
        """Discard sectors, which become zeros."""
        super().write(device, sector, bytes(bytes_of(n_sectors)))
        entry = Entry(DISCARD, self._place(device).start + sector, n_sectors)
        self._change(device, lambda log, _: log._replace(complete=(*log.complete, entry)))

    def begin_copy(self, effect: Copy | WriteOrigin) -> None:
        """A copy is submitted; one that reaches beyond the origin's end never comes to the log."""
        entries = self._entries_of(effect)
        self._homing[effect] = tuple(map(self._render(self._name(Device.ORIGIN)), entries))
        self._change(Device.ORIGIN, lambda log, _: log.begin_copy(entries))

    def order_of(self, copies: Sequence[Copy | WriteOrigin]) -> list[int] | None:
        """Numbers of the copies that end before the next flush of the origin, in their order."""
        log = self._logs[self._name(Device.ORIGIN)]
        if self._contradicted or log.ahead is None:
            return None
        places = log.places(self._render(self._name(Device.ORIGIN)))
        found: list[tuple[int, int]] = []
        for number, copy in enumerate(copies):
            lines = self._homing[copy]
            if all(line in places for line in lines):
                # With the last of its pieces; a copy that fails is none of the log's.
                found.append((max((places[line] for line in lines), default=-1), number))
        return [number for _, number in sorted(found)]

    def copy(self, cache_sector: int, origin_sector: int, n_sectors: int) -> None:
        """A copy ends."""
        content = self.read(Device.CACHE, cache_sector, n_sectors)
        super().write(Device.ORIGIN, origin_sector, content)
        entries = tuple(_pieces(origin_sector, content))
        self._change(Device.ORIGIN, lambda log, render: log.end_copy(entries, render))

    def write_metadata(self, start_sector: Sector, effect: WriteMetadata) -> None:
        """Write a part of the metadata area, and wait for that."""
        super().write_metadata(start_sector, effect)
        self._leave_undefined(start_sector, effect)
        first = start_sector + effect.first_sector
        content = self.cache.read(bytes_of(first), bytes_of(effect.n_sectors))
        place = self._place(Device.CACHE).start + first
        entry = Entry(FUA if effect.fua else 0, place, effect.n_sectors, content)
        if effect.fua:
            self._change(Device.CACHE, lambda log, render: log.write_fua(entry, render))
            return
        self._change(
            Device.CACHE, lambda log, render: log.write(entry, render)._replace(has_metadata=True)
        )

    def flush(self, device: Device) -> None:
        """Make durable what is complete.

        A flush of the cache device with no metadata to be flushed is for the data of requests, and
        waits for them.
        """
        place = self._place(device)
        flush = Entry(FLUSH, place.start)
        guarded = place if device is Device.CACHE else range(0)
        self._change(
            device,
            lambda log, render: log.flush(
                flush, guarded, bool(guarded) and not log.has_metadata, render
            ),
        )

    def expect(self, logs: SeenLogs | None) -> None:
        """A step begins that was seen to log this; None: nobody looked."""
        self.end_writes()
        self._contradicted, self._seen = False, logs
        for name, log in self._logs.items():
            ahead = None if logs is None else points_of(logs.get(name, ()))
            self._logs[name] = log.begin_step(ahead)

    def logged(self) -> SeenLogs | None:
        """What this step has logged: as it was seen, or else as these devices would have it."""
        self.end_writes()
        left = any(log.ahead for log in self._logs.values())
        if self._seen is not None and not (left or self._contradicted):
            return self._seen
        told = {name: list(map(self._render(name), log.told)) for name, log in self._logs.items()}
        if self._seen is None:
            return {name: list(map(list, lines)) for name, lines in told.items()}
        return told  # lines, which are no lists: equal to nothing that was seen

    def digests(
        self, start_sectors: Iterable[Sector], known: frozenset[Range]
    ) -> tuple[str, str, frozenset[Range]]:
        """The same as without logs; what is undefined is so in the logs, too."""
        found = super().digests(start_sectors, known)
        self._undefined = found[2]
        return found

    def _change(self, device: Device, change: Callable[[Log, Render], Log]) -> None:
        name = self._name(device)
        render = self._render(name)
        try:
            self._logs[name] = change(self._logs[name], render)
        except Contradiction:
            self._left, self._contradicted = self.points_left, True
            # From here on they say what they would have logged.
            self._logs = {one: log.let_go() for one, log in self._logs.items()}
            self._logs[name] = change(self._logs[name], render)

    def _name(self, device: Device) -> str:
        """Of the log that a device has, or has a part in."""
        return "both" if self._together else device.value

    def _place(self, device: Device) -> range:
        """The sectors of the log's device that are a device's own."""
        origin, cache = sectors_of(len(self.origin)), sectors_of(len(self.cache))
        if device is Device.ORIGIN:
            return range(origin)
        return range(origin, origin + cache) if self._together else range(cache)

    def _entries_of(self, effect: Copy | WriteOrigin) -> tuple[Entry, ...]:
        """What a copy writes; nothing where it reaches beyond the origin's end."""
        assert isinstance(effect, Copy), "behind a log there is no persistent memory"
        if effect.origin_sector + effect.n_sectors > sectors_of(len(self.origin)):
            return ()
        content = self.read(Device.CACHE, effect.cache_sector, effect.n_sectors)
        return tuple(_pieces(effect.origin_sector, content))

    def _leave_undefined(self, start_sector: Sector, effect: WriteMetadata) -> None:
        """What follows the last entry is written from memory that nobody defines."""
        block_size = effect.metadata.superblock.block_size
        end = SUPERBLOCK_SIZE + len(effect.metadata.entries) * ENTRY_SIZE
        start = bytes_of(start_sector)
        if end % block_size:
            self._undefined |= {(start + end, start + round_up(end, block_size))}

    def _render(self, name: str) -> Render:
        if name == Device.ORIGIN.value:
            return partial(line_of, frozenset())
        shift = bytes_of(Sector(self._place(Device.CACHE).start))
        ranges = frozenset((begin + shift, end + shift) for begin, end in self._undefined)
        return partial(line_of, ranges)


def _pieces(sector: int, content: bytes) -> Iterator[Entry]:
    """The writes that kcopyd makes of a copy."""
    size = bytes_of(LARGEST_COPY)
    for at in range(0, len(content), size):
        piece = content[at : at + size]
        yield Entry(0, sector + sectors_of(at), sectors_of(len(piece)), piece)


def line_of(undefined: frozenset[Range], entry: Entry) -> Line:
    """An entry as a step has it."""
    if not entry.content:
        return entry.flags, entry.sector, entry.n_sectors
    first, size = bytes_of(entry.sector), len(entry.content)
    inside = frozenset(
        (max(begin - first, 0), min(end - first, size))
        for begin, end in undefined
        if begin < first + size and end > first
    )
    return entry.flags, entry.sector, entry.n_sectors, _digest(entry.content, inside)


@lru_cache(maxsize=MOST_DIGESTS)
def _digest(content: bytes, undefined: frozenset[Range]) -> str:
    return masked_digest(content, undefined)

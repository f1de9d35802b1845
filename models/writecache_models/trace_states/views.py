"""How the moments of one trace are shown: devices as rows, and a crash at each moment."""

from collections.abc import Sequence
from typing import Any

from writecache_models.finding import Path
from writecache_models.trace import Trace
from writecache_models.trace_states.contents import ByteReader, Reader, SymbolReader, rows
from writecache_models.trace_states.failing import ByteCrashes, Crash
from writecache_models.trace_states.failing_worlds import WorldCrashes
from writecache_models.trace_states.memory import memory_in
from writecache_models.trace_states.moments import Moment, Step
from writecache_models.trace_states.pool import Pool
from writecache_spec.profile import Profile
from writecache_spec.state import Config


class View:
    """How one trace's moments are shown."""

    def __init__(self) -> None:
        self.pool = Pool()
        self._crashes: dict[Any, int | None] = {}

    def devices(self, moment: Moment) -> tuple[int, int]:
        """Numbers of both devices' rows."""
        raise NotImplementedError

    def crash_at(self, moment: Moment) -> Crash:
        """A crash at this moment."""
        raise NotImplementedError

    def key(self, moment: Moment) -> Any:
        """What decides what a crash leaves, and what is allowed."""
        raise NotImplementedError

    def crash(self, moment: Moment) -> int | None:
        """The number of a crash at this moment."""
        key = self.key(moment)
        if key not in self._crashes:
            crash = self.crash_at(moment)
            self._crashes[key] = self.pool.add(self._shown(crash))
        return self._crashes[key]

    def _shown(self, crash: Crash) -> dict[str, Any]:
        shown = [
            {
                "label": one.label,
                "outcome": one.outcome,
                "memory": memory_in(self.pool, one.wc),
                "reads": one.reads,
                "verdict": one.verdict,
                "problems": one.problems,
            }
            for one in crash.shown
        ]
        return {**crash._asdict(), "shown": shown}


class ByteView(View):
    """Of a trace of operations."""

    def __init__(self, trace: Trace, profile: Profile, steps: Sequence[Step], limit: int) -> None:
        super().__init__()
        sizes = trace.cache_sectors, trace.origin_sectors
        self._crashing = ByteCrashes(profile, sizes, limit)
        self._first = next(filter(None, map(_config, (m for s in steps for m in s.moments))), None)
        """Of the first cache: says what lies where before there is one."""
        self._tables: dict[Any, int] = {}

    def _reader(self, moment: Moment) -> Reader:
        return ByteReader(_config(moment) or self._first)

    def devices(self, moment: Moment) -> tuple[int, int]:
        """Numbers of both devices' rows."""
        cache, origin = (
            self._rows(moment, device, number) for number, device in enumerate(("cache", "origin"))
        )
        return cache, origin

    def _rows(self, moment: Moment, device: str, number: int) -> int:
        disk = moment.disks[number]
        config = _config(moment) or self._first
        key = (id(disk.durable), id(disk.pending), id(config), device)
        if key not in self._tables:
            places = sorted({*disk.durable, *disk.pending})
            made = rows(self._reader(moment), device, places, disk.durable, disk.pending)
            self._tables[key] = self.pool.add(made)
        return self._tables[key]

    def key(self, moment: Moment) -> Any:
        """What decides what a crash leaves, and what is allowed."""
        # Of one object each: the moments keep them all.
        disks = tuple((id(disk.durable), id(disk.pending)) for disk in moment.disks)
        return disks, id(moment.contract), moment.table

    def crash_at(self, moment: Moment) -> Crash:
        """A crash at this moment."""
        at = self._reader(moment), moment.disks, moment.contract, moment.table
        return self._crashing.at(*at)


class WorldView(View):
    """Of a path through a world's events."""

    def __init__(self, path: Path, profile: Profile, limit: int) -> None:
        super().__init__()
        setting = path.setting(profile)
        self._reader = SymbolReader(setting)
        self._crashing = WorldCrashes(setting, limit)

    def devices(self, moment: Moment) -> tuple[int, int]:
        """Numbers of both devices' rows."""
        cache, origin = (
            self.pool.add(
                rows(self._reader, device, range(len(disk.durable)),
                     dict(enumerate(disk.durable)), dict(enumerate(disk.pending)))
            )
            for device, disk in (("cache", moment.disks.cache), ("origin", moment.disks.origin))
        )  # fmt: skip
        return cache, origin

    def key(self, moment: Moment) -> Any:
        """What decides what a crash leaves, and what is allowed."""
        world = moment.disks
        return world.cache, world.origin, world.pieces, world.copies, id(world.contract)

    def crash_at(self, moment: Moment) -> Crash:
        """A crash at this moment."""
        return self._crashing.at(self._reader, moment.disks)


def _config(moment: Moment) -> Config | None:
    return None if moment.wc is None else moment.wc.config

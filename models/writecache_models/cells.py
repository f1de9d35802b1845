"""The matrix: in which state entries were, what was being done, and where in it the power failed.

An entry's state is what recovery could find of it, or of its block.  What is done is an event of
the world, named by the section of the kernel that it stands for.  The power fails at its *edges*,
before its first and after its last effect (both are judged at every event); or *within* it, where
some of what it does has reached a disk and more is to come.

In persistent memory an event that stores and has no fence leaves at its end what it leaves within:
any of its stores.  So *within* is before a fence of its own.

A cell counts the events that began with some entry in that state.  Activations count what the disk
holds, as there is nothing in memory yet.
"""

from collections.abc import Iterable, Iterator
from itertools import product
from typing import Final

from writecache_models.candidates import Turn
from writecache_models.world import Setting, World
from writecache_spec.effects import Work
from writecache_spec.entries import older_duplicate
from writecache_spec.events import Job, Op
from writecache_spec.layout import MAGIC, MemoryEntry, is_committed
from writecache_spec.state import Phase, State, entry_is_committed
from writecache_spec.units import U64_MAX

Cell = tuple[str, str, str, str]
"""The cache's mode, what is done, where in it, and an entry's state when it began."""
SSD: Final = "SSD"
PMEM: Final = "pmem"
MODES: Final = (SSD, PMEM)
EDGES: Final = "edges"
WITHIN: Final = "within"
POINTS: Final = (EDGES, WITHIN)
STATES: Final = (
    "free",
    "uncommitted",
    "uncommitted, 2nd",
    "committed",
    "committed, 2nd",
    "overwritten",
    "copying",
    "copied",
    "flushed",
)
"""2nd: an older entry of the sector is there, too.  Overwritten: committed, and the disk may lose
data of the block.  Copying: under writeback; copied: that has ended; flushed: the origin has it."""
DEEDS: Final = (
    "format", "open", "resume", "load", "begin write", "begin write_fua", "begin read",
    "begin discard", "begin flush", "message flush", "other message", "suspend", "map", "io",
    "do flush", "do discard", "commit", "select",
    "submit", "copy", "endio take", "endio", "timer", "go on",
)  # fmt: skip
"""An open finds a formatted device and nothing in memory; a resume, a suspended cache.  The flush
thread does a flush or a discard; the work queue commits, selects what is to be written back, and
submits the copies."""
_VOLATILE: Final = ("copying", "copied", "flushed")
_NO_IO: Final = (
    "begin write", "begin write_fua", "begin read", "begin discard", "begin flush",
    "other message", "io", "submit", "copy", "timer", "go on",
)  # fmt: skip


def _cells_of(
    deeds: Iterable[str],
    states: Iterable[str] = STATES,
    points: Iterable[str] = POINTS,
    modes: Iterable[str] = MODES,
) -> Iterator[Cell]:
    return product(modes, deeds, points, states)


_REASONS: Final[tuple[tuple[Iterator[Cell], str], ...]] = (
    (
        _cells_of(["format"], STATES[1:]),
        "a device that was never formatted holds no entry",
    ),
    (
        _cells_of(["open", "resume"], _VOLATILE),
        "copies are known in memory only: a suspend waits for them, and a crash forgets them",
    ),
    (
        _cells_of(["open"], ["overwritten"]),
        "after a power failure a disk has what it has: nothing waits to be flushed",
    ),
    (
        _cells_of(["load"], points=[WITHIN]),
        "a constructor writes only where it formats, and a live cache's device is formatted",
    ),
    (
        _cells_of(_NO_IO, points=[WITHIN]),
        "it waits for no I/O of its own: there is nothing that it could be within",
    ),
    (
        _cells_of(["map"], points=[WITHIN], modes=[SSD]),
        "it waits for no I/O of its own: there is nothing that it could be within",
    ),
    (
        _cells_of(["endio take"], points=[WITHIN]),
        "one flush of the origin: all of it or none has happened",
    ),
    (
        _cells_of(["endio take"], ["flushed"], [EDGES]),
        "the endio thread takes what has ended only when it has freed what it took before",
    ),
    (
        _cells_of(["do flush", "do discard"], modes=[PMEM]),
        "whoever maps a flush or a discard does it: the flush thread has nothing to do",
    ),
    (
        _cells_of(DEEDS, ["overwritten"], modes=[PMEM]),
        "a committed block of persistent memory is never written over: the write takes another",
    ),
)
IMPOSSIBLE: Final = {cell: why for cells, why in reversed(_REASONS) for cell in cells}
"""Cells that cannot be reached, and why: the first reason that there is."""


def reachable(modes: Iterable[str] = MODES) -> Iterator[Cell]:
    """All the others."""
    return (cell for cell in _cells_of(DEEDS, modes=modes) if cell not in IMPOSSIBLE)


def cells(setting: Setting, world: World, event: Turn, n_moments: int) -> Iterator[Cell]:
    """The cells of an event that had so many moments, the last of them at its end."""
    if event[0] == "crash":
        # It is that event, and the walk goes on with what is left.
        event = event[1]
    deed, mode = _deed(setting, world, event), PMEM if setting.pmem_mode else SSD
    for state in _states(setting, world, deed):
        yield mode, deed, EDGES, state
        # One I/O has a moment of its own, which is the event's last one but for its promises; a
        # fence has two, before and after.
        if n_moments > 2:
            yield mode, deed, WITHIN, state


def _deed(setting: Setting, world: World, event: Turn) -> str:
    match event:
        case ("open",):
            return "open" if _is_formatted(setting, world) else "format"
        case ("begin", "open" | "resume", *_):
            return "resume"
        case ("begin", "load" | "suspend"):
            return str(event[1])
        case ("begin", "message", *words):
            return "message flush" if words == ["flush"] else "other message"
        case ("begin", op, *_):
            return f"begin {op}"
        case ("flush thread", *_):
            assert world.wc is not None
            discards = world.wc.flush_list[0].op is Op.DISCARD
            return "do discard" if discards else "do flush"
        case ("work", *_):
            return _work(world)
        case _:
            return str(event[0])


def _work(world: World) -> str:
    """What the work queue does next."""
    assert world.wc is not None
    if world.wc.writeback is not None:
        restarts = world.wc.writeback.phase is Phase.RESTART
        return "select" if restarts else "submit"
    return "commit" if world.queue[0] is Work.FLUSH else "select"


def _is_formatted(setting: Setting, world: World) -> bool:
    return setting.shape.superblock(world.cache.latest()).magic == MAGIC


def _states(setting: Setting, world: World, deed: str) -> set[str]:
    """The states that some entry is in; none where lists and disk say nothing."""
    wc = world.wc
    if deed == "format":
        return {"free"}
    if deed in ("open", "resume"):
        return _states_on_disk(setting, world)
    if wc is None or wc.poisoned:
        return set()
    taken, ended = (_blocks(copies) for copies in (wc.endio_taken, wc.endio_list))
    return {
        "flushed" if index in taken
        else "copied" if index in ended
        else _state_of(setting, world, wc, index)
        for index in range(wc.config.n_blocks)
    }  # fmt: skip


def _blocks(copies: Iterable[tuple[Job, bool]]) -> set[int]:
    return {index for job, _ in copies for index in job.blocks}


def _state_of(setting: Setting, world: World, wc: State, index: int) -> str:
    """Of an entry in memory that is not at the end of its writeback."""
    entry = wc.entries[index]
    if entry.seq_count == U64_MAX:
        return "free"
    if entry.write_in_progress:
        return "copying"
    committed = entry_is_committed(wc, entry)
    pending = _is_pending(setting, world, index)
    return _name(committed, pending, older_duplicate(wc, index) is not None)


def _is_pending(setting: Setting, world: World, index: int) -> bool:
    """Whether the disk may lose data of a block."""
    first = setting.shape.n_metadata + index * setting.block_sectors
    return any(world.cache.pending[first : first + setting.block_sectors])


def _states_on_disk(setting: Setting, world: World) -> set[str]:
    """What recovery finds."""
    sectors = world.cache.latest()
    count = setting.shape.superblock(sectors).seq_count
    entries = setting.shape.entries(sectors)
    oldest: dict[int, int] = {}
    for entry in entries:
        if is_committed(entry.seq_count, count):
            sector = entry.original_sector
            oldest[sector] = min(entry.seq_count, oldest.get(sector, entry.seq_count))

    def state(index: int, entry: MemoryEntry) -> str:
        if entry.seq_count == U64_MAX:
            return "free"
        older = oldest.get(entry.original_sector, U64_MAX) < entry.seq_count
        pending = _is_pending(setting, world, index)
        return _name(is_committed(entry.seq_count, count), pending, older)

    return {state(index, entry) for index, entry in enumerate(entries)}


def _name(committed: bool, pending: bool, older: bool) -> str:
    """Of an entry that is in use and idle."""
    if committed and pending:
        return "overwritten"
    return ("committed" if committed else "uncommitted") + (", 2nd" if older else "")

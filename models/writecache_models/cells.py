"""The matrix: in which state entries were, by what was being done, when the power failed.

An entry's state is what recovery could find of it: free, uncommitted, committed, overwritten in
place since the last flush, under writeback, ended and not freed; alone or with an older version of
its sector beside it.
"""

from collections.abc import Iterator
from typing import Final

from writecache_models.candidates import Turn
from writecache_models.world import World
from writecache_spec.entries import older_duplicate
from writecache_spec.state import State, entry_is_committed
from writecache_spec.units import U64_MAX

Cell = tuple[str, str]
"""An entry's state, and what is done."""
STATES: Final = (
    "free",
    "uncommitted",
    "uncommitted, older one beside it",
    "committed",
    "committed, older one beside it",
    "under writeback",
    "copied, not freed",
)
DEEDS: Final = (
    "begin write", "begin write_fua", "begin read", "begin discard", "begin flush",
    "begin message", "begin suspend", "begin load", "map", "io", "flush thread", "work", "copy",
    "endio take", "endio", "timer", "go on",
)  # fmt: skip
IMPOSSIBLE: Final[dict[Cell, str]] = {
    ("copied, not freed", "endio take"): "the endio thread takes all that have ended, at once",
}
"""Cells that cannot be reached, and why."""


def cells(world: World, event: Turn) -> Iterator[Cell]:
    """Where a crash during an event belongs: once for each state that some entry is in."""
    wc = world.wc
    if wc is None or wc.poisoned:
        return
    name = event[0] if event[0] != "begin" else f"begin {event[1]}"
    copied: set[int] = {
        index for job, _ in (*wc.endio_list, *wc.endio_taken) for index in job.blocks
    }
    for state in {_state(wc, index, copied) for index in range(wc.config.n_blocks)}:
        yield state, name


def _state(wc: State, index: int, copied: set[int]) -> str:
    entry = wc.entries[index]
    if entry.seq_count == U64_MAX:
        return "free"
    if index in copied:
        return "copied, not freed"
    if entry.write_in_progress:
        return "under writeback"
    committed = "committed" if entry_is_committed(wc, entry) else "uncommitted"
    beside = ", older one beside it" if older_duplicate(wc, index) is not None else ""
    return committed + beside

"""The cache device's metadata, what a crash may leave of it, and what recovery makes of that.

Each symbolic entry lies in a sector of its own, and so does the superblock (`PLACES`): then a crash
that keeps any set of sectors keeps any set of entries, which covers every way in which entries can
share sectors.  In persistent memory a crash keeps any of the words, an entry's two apart.

`recovered` says what recovery makes of entries, as a formula; that the shipped `resume` makes just
that of them is a theorem (`recovery`), and on Python's own values `resume` itself is run beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from writecache_proofs.families.states import ORIGIN_SECTORS
from writecache_proofs.symbolic import Replay, Run, all_of, any_of, either, implies
from writecache_spec.effects import (
    Effect,
    Fence,
    FlushDevice,
    StoreBlock,
    StoreEntry,
    StoreSuperblock,
    WriteMetadata,
)
from writecache_spec.events import Device, Resume
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE, MemoryEntry
from writecache_spec.resume import resume
from writecache_spec.state import FREE, State
from writecache_spec.transcript import Transcript
from writecache_spec.units import SECTOR_SIZE, Sector, SequenceCount

PLACES: Final = (28, 60, 92, 124, 156, 188)
"""Numbers of blocks whose entries lie in sectors of their own, behind the superblock's."""
NO_BLOCK: Final = -1
Key = tuple[int, str]
"""A place of metadata that is written as a whole: a block's number, and which word; -1 is the
superblock's sequence count."""
COUNT: Final[Key] = (-1, "count")


class Medium(NamedTuple):
    """Metadata on its device: what is durable, and what was written since, the latest last."""

    durable: Mapping[Key, Any]
    pending: Mapping[Key, tuple[Any, ...]]
    unsafe: frozenset[int]
    """Blocks whose data a crash may lose."""

    def written(self, values: Mapping[Key, Any], durably: bool = False) -> "Medium":
        """With some places written."""
        if durably:
            pending = {key: old for key, old in self.pending.items() if key not in values}
            return self._replace(durable={**self.durable, **values}, pending=pending)
        pending = dict(self.pending)
        for key, value in values.items():
            pending[key] = (*pending.get(key, ()), value)
        return self._replace(pending=pending)

    def flushed(self) -> "Medium":
        """With everything durable."""
        latest = {key: values[-1] for key, values in self.pending.items()}
        return Medium({**self.durable, **latest}, {}, frozenset())


def keys_of(wc: State, place: int) -> tuple[Key, ...]:
    """The places of an entry: one in SSD mode, one for each word in persistent memory."""
    words = ("sector", "count") if wc.config.pmem_mode else ("entry",)
    return tuple((place, word) for word in words)


def values_of(wc: State, place: int, sector: Any, count: Any) -> dict[Key, Any]:
    """An entry's places and what is in them."""
    if wc.config.pmem_mode:
        return {(place, "sector"): sector, (place, "count"): count}
    return {(place, "entry"): (sector, count)}


def moments(
    wc: State, effects: Sequence[Effect], medium: Medium, places: Sequence[int]
) -> Iterator[Medium]:
    """What the device holds between effects: at each moment at which a crash says something new."""
    yield medium
    for effect in effects:
        match effect:
            case WriteMetadata(_, _, _, fua):
                values = dict(_carried(wc, effect, places))
                if fua:
                    # Before it is complete any of its sectors may be there.
                    yield medium.written(values)
                medium = medium.written(values, durably=fua)
            case FlushDevice(Device.CACHE) | Fence():
                unsafe = medium.unsafe
                medium = medium.flushed()
                if wc.writes_in_progress:
                    # Data that is on its way no flush covers, and which that is nobody knows.
                    medium = medium._replace(unsafe=unsafe)
            case StoreBlock(_, block) if block in places:
                medium = medium._replace(unsafe=medium.unsafe | {int(block)})
            case StoreEntry(block, count, sector) if block in places:
                stored: dict[Key, Any] = {(int(block), "count"): count}
                if sector is not None:
                    stored[int(block), "sector"] = sector
                medium = medium.written(stored)
            case StoreSuperblock(superblock, ("seq_count",)):
                medium = medium.written({COUNT: superblock.seq_count})
            case _:
                continue
        yield medium


def _carried(wc: State, effect: WriteMetadata, places: Sequence[int]) -> Iterator[tuple[Key, Any]]:
    """What a write of metadata carries, of what is symbolic."""
    first = effect.first_sector
    sectors = range(first, first + effect.n_sectors)
    if 0 in sectors:
        yield COUNT, effect.metadata.superblock.seq_count
    for place in places:
        if (SUPERBLOCK_SIZE + place * ENTRY_SIZE) // SECTOR_SIZE in sectors:
            entry = effect.metadata.entries[place]
            yield from values_of(wc, place, entry.original_sector, entry.seq_count).items()


class Remains(NamedTuple):
    """What a crash has left."""

    count: Any
    entries: dict[int, tuple[Any, Any]]
    """By block: original sector and sequence count."""


def left(run: Run, medium: Medium, name: str, places: Sequence[int]) -> Remains:
    """What a crash may leave: of each place what is durable, or anything pending."""
    found = dict(medium.durable)
    for key, values in medium.pending.items():
        for number, value in enumerate(values):
            kept = run.flag(f"{name} keeps {key[1]} {key[0]} #{number}")
            found[key] = chosen(kept, value, found[key])
    entries = {}
    for place in places:
        pair = found.get((place, "entry"))
        entries[place] = pair or (found[place, "sector"], found[place, "count"])
    return Remains(found[COUNT], entries)


def chosen(kept: Any, new: Any, old: Any) -> Any:
    """What was written, or what was there before."""
    if isinstance(new, tuple):
        return tuple(either(kept, a, b) for a, b in zip(new, old, strict=True))
    return either(kept, new, old)


class Recovered(NamedTuple):
    """What recovery makes of entries, for one sector."""

    block: Any
    """The sector's block; NO_BLOCK where the origin has it."""
    complains: Any
    """Whether two of its entries have one sequence count."""


def recovered(entries: Mapping[int, tuple[Any, Any]], count: Any, sector: Any) -> Recovered:
    """Of a sector's committed entries the one with the greatest count, the later one of equals."""
    block: Any = NO_BLOCK
    best: Any = 0
    complains: Any = False
    for place, (own_sector, own_count) in sorted(entries.items()):
        candidate = all_of([own_count < count, own_sector == sector])
        met = block != NO_BLOCK
        equal = all_of([candidate, met, own_count == best])
        complains = any_of([complains, equal])
        wins = all_of([candidate, any_of([block == NO_BLOCK, own_count >= best])])
        block = either(wins, place, block)
        best = either(wins, own_count, best)
    return Recovered(block, complains)


def resumed(wc: State, remains: Remains) -> tuple[State, Transcript]:
    """What the shipped `resume` makes of what a crash has left."""
    found = [MemoryEntry(FREE.original_sector, FREE.seq_count)] * wc.config.n_blocks
    for place, (sector, count) in remains.entries.items():
        found[place] = MemoryEntry(Sector(sector), SequenceCount(count))
    superblock = wc.superblock._replace(seq_count=remains.count)
    transcript = Transcript()
    event = Resume((superblock, tuple(found)), ORIGIN_SECTORS)
    return resume(blank(wc), event, transcript), transcript


def blank(wc: State) -> State:
    """The same cache, as it has just been constructed."""
    return State(config=wc.config, superblock=wc.superblock, entries=wc.entries)


def block_at(wc: State, sector: Any) -> Any:
    """The newest block of a sector, without a split; NO_BLOCK where there is none."""
    block: Any = NO_BLOCK
    for own_sector, indices in wc.tree.items():
        block = either(own_sector == sector, int(indices[-1]), block)
    return block


def recovers(run: Run, wc: State, remains: Remains, sector: Any) -> Recovered:
    """What recovery makes of remains; on Python's own values `resume` is asked, too."""
    said = recovered(remains.entries, remains.count, sector)
    if isinstance(run, Replay):
        after, _ = resumed(wc, remains)
        run.claim(block_at(after, sector) == said.block, "resume does what is proved of it")
        run.claim(implies(said.complains, after.error), "resume complains of equal counts")
    else:
        run.claim(True, "resume does what is proved of it")
        run.claim(True, "resume complains of equal counts")
    return said

"""Small caches, built compactly, and a driver that plays events on them.

`cache` makes a resumed state of a given number of 512-byte blocks; `drive` plays events and insists
that each of them happened; `write` is a whole request: all its pieces mapped and ended.
"""

from collections.abc import Iterable

from writecache_spec.arguments import BlockDevice
from writecache_spec.codec import encode_entries, encode_superblock
from writecache_spec.construct import construct
from writecache_spec.effects import (
    Broken,
    Complete,
    Effect,
    FlushDevice,
    NotEnabled,
    Remap,
    WriteMetadata,
)
from writecache_spec.events import (
    Bio,
    CopyEnd,
    EndIo,
    EndioTake,
    EndioThread,
    Event,
    FlushThread,
    FlushWork,
    Map,
    Op,
    Resume,
    WritebackContinue,
    WritebackWork,
)
from writecache_spec.invariants import violated
from writecache_spec.layout import MAGIC, VERSION, MemoryEntry, Superblock, round_up
from writecache_spec.profile import PROFILES
from writecache_spec.state import Phase, State
from writecache_spec.step import step
from writecache_spec.units import U64_MAX

ORIGIN_SECTORS = 4096
NO_WATERMARK = "high_watermark 100 low_watermark 100"
"""Writeback begins when no block is free."""


def table_line(options: str = "", block_size: int = 512) -> str:
    return f"s ORIGIN CACHE {block_size} {len(options.split())} {options}"


def device_size(n_blocks: int, block_size: int = 512) -> int:
    """The size of a device on which a format makes exactly this many blocks."""
    return round_up(64 + 16 * n_blocks, block_size) + n_blocks * block_size


def devices(n_blocks: int, block_size: int = 512, start_sector: int = 0) -> dict[str, BlockDevice]:
    size = device_size(n_blocks, block_size) + 512 * start_sector
    return {"CACHE": BlockDevice(size), "ORIGIN": BlockDevice(512 * ORIGIN_SECTORS)}


def formatted(
    options: str = "", *, profile: str = "1.6.0", n_blocks: int = 8, block_size: int = 512
) -> State:
    """A constructed cache on a new device, not resumed yet."""
    line = table_line(options, block_size)
    made = construct(PROFILES[profile], line, devices(n_blocks, block_size), Superblock())
    assert isinstance(made.result, State), made.result
    assert made.result.config.n_blocks == n_blocks
    return made.result


def superblock(n_blocks: int, seq_count: int = 0, block_size: int = 512) -> Superblock:
    return Superblock(MAGIC, VERSION, block_size, 0, n_blocks, seq_count)


def on_disk(*found: tuple[int, int] | None) -> tuple[MemoryEntry, ...]:
    """Entries as a device holds them; None is a free one."""
    return tuple(MemoryEntry(*(pair or (U64_MAX, U64_MAX))) for pair in found)


def cache(
    options: str = "pause_writeback 0",
    *,
    profile: str = "1.6.0",
    n_blocks: int = 8,
    block_size: int = 512,
    found: Iterable[tuple[int, int] | None] = (),
    seq_count: int = 0,
    origin_sectors: int = ORIGIN_SECTORS,
) -> State:
    """A resumed cache; `found` are the first entries on its device, the others are free."""
    if profile.startswith("1.4"):
        options = options.replace("pause_writeback 0", "").strip()
    wc = formatted(options, profile=profile, n_blocks=n_blocks, block_size=block_size)
    entries = on_disk(*found)
    entries += on_disk(*[None] * (n_blocks - len(entries)))
    metadata = superblock(n_blocks, seq_count, block_size), entries
    return drive(wc, Resume(metadata, origin_sectors))


def drive(wc: State, *events: Event) -> State:
    """Play events one after the other; each must be possible, and keep the invariants."""
    for event in events:
        after = step(wc, event)
        assert not isinstance((*after.effects, None)[0], NotEnabled | Broken), after.effects
        wc = after.state
        assert violated(wc) == (), event
    return wc


def effects_of(wc: State, event: Event) -> tuple[Effect, ...]:
    return step(wc, event).effects


def refused(wc: State, event: Event) -> str:
    """Why an event cannot happen now; it must leave the state as it is."""
    after = step(wc, event)
    assert after.state is wc
    assert len(after.effects) == 1
    assert isinstance(after.effects[0], NotEnabled), after.effects
    return after.effects[0].why


def request(op: Op, sector: int, n_sectors: int, **fields: object) -> Bio:
    return Bio(op, sector, n_sectors, **fields)  # type: ignore[arg-type]


def write(wc: State, sector: int, n_sectors: int = 1, now: int = 0, **fields: object) -> State:
    """A whole write: every piece is mapped and ends well."""
    return drive(ended(*pieces(wc, Op.WRITE, sector, n_sectors, now, **fields)))


def pieces(
    wc: State, op: Op, sector: int, n_sectors: int, now: int = 0, **fields: object
) -> tuple[State, list[Remap]]:
    """Map every piece of a request, and end none."""
    remaps = []
    done = 0
    while done < n_sectors:
        bio = request(op, sector + done, n_sectors - done, **fields)
        after = step(wc, Map(bio, now))
        remap = next(effect for effect in after.effects if isinstance(effect, Remap))
        remaps.append(remap)
        wc, done = after.state, done + remap.n_sectors
    return wc, remaps


def ended(wc: State, remaps: Iterable[Remap]) -> State:
    """End pieces well."""
    return drive(wc, *(EndIo(remap.bio, remap.private) for remap in remaps))


def committed(wc: State) -> State:
    return drive(wc, FlushWork())


def flushed(wc: State) -> State:
    """A whole FLUSH of a client: mapped, and done by the flush thread."""
    return drive(wc, Map(Bio(Op.FLUSH)), FlushThread())


def submitted(wc: State, now: int = 0) -> State:
    """A pass of writeback with all its copies submitted."""
    wc = drive(wc, WritebackWork(now))
    while wc.writeback is not None and wc.writeback.phase is Phase.SUBMIT:
        wc = drive(wc, WritebackContinue())
    return wc


def copied(wc: State, *jobs: object, failed: bool = False) -> State:
    """These copies end, and so does their work."""
    ends = [CopyEnd(job, failed) for job in jobs]  # type: ignore[arg-type]
    return drive(wc, *ends, EndioTake(), EndioThread())


def completions(effects: Iterable[Effect]) -> list[str | None]:
    return [effect.errno for effect in effects if isinstance(effect, Complete)]


def ios(effects: Iterable[Effect]) -> list[tuple[object, ...]]:
    """Metadata writes and flushes in short: what the order of a commit is about."""
    short: list[tuple[object, ...]] = []
    for effect in effects:
        if isinstance(effect, WriteMetadata):
            kind = "superblock" if effect.fua else "regions"
            short.append((kind, effect.first_sector, effect.n_sectors))
        elif isinstance(effect, FlushDevice):
            short.append(("flush", effect.device.value))
    return short


def durable_image(wc: State) -> bytes:
    """The metadata as memory holds it, encoded."""
    entries = [MemoryEntry(entry.original_sector, entry.seq_count) for entry in wc.entries]
    return encode_superblock(wc.superblock) + encode_entries(entries)


def free_blocks(wc: State) -> list[int]:
    return list(wc.freelist)


def tree(wc: State) -> dict[int, tuple[int, ...]]:
    return dict(wc.tree.items())


def lru(wc: State) -> list[int]:
    """Blocks in the LRU, the oldest first."""
    return [index for _, index in wc.lru.items()]

"""What a crash leaves after each prefix of an operation's effects, found by letting it happen.

An operation is played on the reference.  Behind each of its effects the power fails: a device keeps
any of the sectors that no flush or FUA covers.  Each content that may be left is activated and
read, and the table says what was found.
"""

from random import Random
from typing import Final, NamedTuple

from writecache_docs.markdown import table
from writecache_docs.watching import Data, Seen, Setting, play
from writecache_models.devices import pattern
from writecache_models.trace import Op
from writecache_models.volatile import Volatile, crashes, n_crashes
from writecache_spec.effects import (
    Effect,
    FlushDevice,
    LoadBlock,
    Remap,
    StoreBlock,
    StoreEntry,
    StoreSuperblock,
    WriteMetadata,
)
from writecache_spec.units import SECTOR_SIZE, U64_MAX

LIMIT: Final = 2**14
"""Contents of one crash that are looked at."""
_USUAL: Final = Setting("s ORIGIN CACHE 1024 4 pause_writeback 0 autocommit_time 3600000", 16, 16)


class Scenario(NamedTuple):
    """An operation on a block of two sectors, after others."""

    title: str
    before: tuple[Op, ...]
    op: Op
    names: dict[int, str]
    """What each content is called: 0 is zeros, else the tag it was written with."""
    interrupted: tuple[Op, int] | None = None
    """After `before`: an operation in which the power fails, and behind how many of its effects.
    What was pending is lost; `op` comes after that."""


_OPEN: Final[Op] = ["open"]
_FLUSH: Final[Op] = ["flush"]


def _write(tag: int, name: str = "write") -> Op:
    return [name, 0, 2, tag]


SCENARIOS: Final = {
    "construct": (
        Scenario("First activation of a device of zeros", (), _OPEN, {0: "zeros"}),
    ),
    "map_write": (
        Scenario("A write of a new block", (_OPEN,), _write(1), {0: "old", 1: "new"}),
        Scenario(
            "A write over a committed block",
            (_OPEN, _write(1), _FLUSH),
            _write(2),
            {1: "old", 2: "new"},
        ),
        Scenario(
            "A write with FUA (the finding [fua-not-committed](../findings/fua-not-committed.md))",
            (_OPEN,),
            _write(1, "write_fua"),
            {0: "old", 1: "new"},
        ),
    ),
    "commit": (
        Scenario(
            "A flush after one write", (_OPEN, _write(1)), _FLUSH, {0: "old", 1: "new"}
        ),
        Scenario(
            "A flush after a committed block was overwritten in place",
            (_OPEN, _write(1), _FLUSH, _write(2)),
            _FLUSH,
            {1: "old", 2: "new"},
        ),
    ),
    "resume": (
        Scenario(
            "Recovery, the power having failed just before a commit point",
            (_OPEN, _write(1), ["message", "flush"], _write(2)),
            _OPEN,
            {1: "old", 2: "new"},
            interrupted=(_FLUSH, 5),
        ),
    ),
    "discard": (
        Scenario(
            "A discard of a committed block, whose older content is in the origin",
            (_OPEN, _write(1), ["message", "flush"], _write(2), _FLUSH),
            ["discard", 0, 2],
            {0: "zeros", 1: "the origin's", 2: "the cache's"},
        ),
    ),
    "writeback": (
        Scenario(
            "The message `flush` with one committed block",
            (_OPEN, _write(1), _FLUSH),
            ["message", "flush"],
            {0: "zeros", 1: "the block's"},
        ),
    ),
    "suspend": (
        Scenario("A suspend after one write", (_OPEN, _write(1)), ["suspend"],
                 {0: "old", 1: "new"}),
    ),
}  # fmt: skip
"""By the module that describes the operation."""


def effect_words(effect: Effect | Data) -> str:
    """An effect in a few words."""
    match effect:
        case Data(device, sector, n_sectors):
            return f"the {device.value} writes data: sector {sector}, {n_sectors} sectors"
        case WriteMetadata(first, n_sectors, metadata, fua):
            how = " with FUA" if fua else ""
            magic = "" if metadata.superblock.magic else ", no magic yet"
            return (
                f"`WriteMetadata`: {n_sectors} sectors from {first}{how}"
                f" (count {metadata.superblock.seq_count}{magic})"
            )
        case FlushDevice(device):
            return f"`FlushDevice`: {device.value}"
        case StoreSuperblock(superblock, fields):
            values = (f"{name} {getattr(superblock, name)}" for name in fields)
            return f"`StoreSuperblock`: {', '.join(values)}"
        case StoreEntry(block, seq_count, original_sector):
            what = "free" if seq_count == U64_MAX else f"count {seq_count}"
            where = "" if original_sector in (None, U64_MAX) else f"sector {original_sector}, "
            return f"`StoreEntry`: block {block}: {where}{what}"
        case StoreBlock(_, block) | LoadBlock(_, block):
            return f"`{type(effect).__name__}`: block {block}"
        case Remap(bio, device):
            return f"`Remap`: {bio.op.value} to the {device.value}"
        case _:
            words = ", ".join(
                f"{name} {getattr(value, 'value', value)}"
                for name, value in effect._asdict().items()
                if isinstance(value, str | bool | int) or hasattr(value, "value")
            )
            return f"`{type(effect).__name__}`" + (f": {words}" if words else "")


def found_after(setting: Setting, disks: tuple[Volatile, ...], names: dict[int, str]) -> list[str]:
    """What recovery reads of the first block, in words, whatever the crash kept; sorted."""
    contents = {
        pattern(sector, 1, tag) if tag else bytes(SECTOR_SIZE): name
        for tag, name in names.items()
        for sector in (0, 1)
    }
    assert n_crashes(disks) <= LIMIT, "not all that a crash may leave can be looked at"
    found = set()
    for left in crashes(disks, LIMIT, Random(1)):
        machine = setting.machine(left.disks)
        opened = machine.open(setting.table)
        if opened.errno is not None:
            found.add(f"refused: {opened.errno}")
            continue
        data = machine.read(0, 2).data
        assert data is not None
        parts = {contents[data[:SECTOR_SIZE]], contents[data[SECTOR_SIZE:]]}
        found.add(
            " and ".join(sorted(parts, reverse=True))
            + (" (one sector each)" if len(parts) > 1 else "")
        )
    return sorted(found)


class Row(NamedTuple):
    """After an effect."""

    seen: Seen | None
    """None: before the first one."""
    found: list[str]


def rows(scenario: Scenario) -> list[Row]:
    """What a crash leaves before the first effect, and after each."""
    before: tuple[Volatile, ...] = (Volatile({}), Volatile({}))
    if scenario.interrupted is not None:
        op, n_effects = scenario.interrupted
        seen_there = play(_USUAL, (*scenario.before, op)).seen[n_effects - 1]
        before = tuple(Volatile(disk.durable) for disk in seen_there.disks)
        machine = play(_USUAL, (scenario.op,), before)
    else:
        machine = play(_USUAL, (*scenario.before, scenario.op))
        if scenario.before:
            before = play(_USUAL, scenario.before).journal.disks
    result = [Row(None, found_after(_USUAL, before, scenario.names))]
    for seen in machine.seen:
        known = result[-1]
        unchanged = known.seen is not None and known.seen.disks == seen.disks
        found = known.found if unchanged else found_after(_USUAL, seen.disks, scenario.names)
        result.append(Row(seen, found))
    return result


def prefixes(scenario: Scenario) -> str:
    """A scenario's table."""
    lines = [
        (
            number,
            "" if row.seen is None or not row.seen.event else f"`{row.seen.event}`",
            "(before)" if row.seen is None else effect_words(row.seen.effect),
            "; ".join(row.found),
        )
        for number, row in enumerate(rows(scenario))
    ]
    columns = ["", "event", "effect", "a crash here: recovery reads"]
    return f"### {scenario.title}\n\n{table(columns, lines)}"

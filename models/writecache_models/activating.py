"""Activations: a table line, the devices that it names, and what the cache device holds, at random.

Whatever they are, the constructor comes to a cache or to a refusal, and never kills the kernel; and
a cache can be resumed (the repaired one refuses where its metadata cannot be read), keeps every
invariant, and says of itself a table line that comes to the same cache again.  Where an I/O fails,
too, though then the cache may come up with an error.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from writecache_spec.arguments import BlockDevice, Refusal
from writecache_spec.construct import construct, first_block_of
from writecache_spec.effects import Broken
from writecache_spec.events import Resume
from writecache_spec.invariants import violated
from writecache_spec.layout import MAGIC, VERSION, MemoryEntry, Superblock
from writecache_spec.profile import Profile
from writecache_spec.state import State
from writecache_spec.status import status_line, table
from writecache_spec.step import step
from writecache_spec.units import U64_MAX, ByteCount, Sector, SequenceCount

_MOST_BLOCKS: Final = 64
"""Of a cache that is resumed: more take long, and show nothing more."""
_SIZES: Final = (0, 512, 4096, 8704, 32768, 2**20)
_TOO_LARGE: Final = (2**57, 2**69, 2**70)
"""Refused for every block size, in SSD mode: nobody has the memory for so many entries."""
_NUMBERS: Final = (
    "0", "1", "2", "50", "99", "100", "101", "512", "4096", "+7", "007", "-1", "0x10", "1k", "",
    "4294967296", "4294967297", "18446744073709551615", "18446744073709551616", "9" * 40,
)  # fmt: skip
_OPTIONS: Final = (
    "start_sector", "high_watermark", "low_watermark", "writeback_jobs", "autocommit_blocks",
    "autocommit_time", "max_age", "pause_writeback",
)  # fmt: skip
_FLAGS: Final = ("fua", "nofua", "cleaner", "metadata_only", "nonsense", "FUA")


@dataclass(frozen=True)
class Table:
    """What a constructor is asked for, and what it finds."""

    line: str
    devices: Mapping[str, BlockDevice]
    superblock: Superblock | None
    """None where it cannot be read."""
    failing_ios: frozenset[int]
    entries: tuple[MemoryEntry | None, ...] | None
    """What a resume reads, over and over; None where it cannot."""


def draw_table(random: Random) -> Table:
    """Mostly well-formed."""
    block_size = random.choice(("512", "512", "1024", "4096", "4096", "1000", "256", "x"))
    words = [random.choice("ssssspppx"), "ORIGIN", "CACHE", block_size]
    options: list[str] = []
    for _ in range(random.choice((0, 0, 1, 1, 2, 3, 8))):
        if random.random() < 0.7:
            options += [random.choice(_OPTIONS), random.choice(_NUMBERS[:9])]
        else:
            options.append(random.choice(_FLAGS))
    words += [str(len(options)), *options]
    if random.random() < 0.4:
        at = random.randrange(len(words))
        words[at : at + 1] = random.choice(
            ([], [random.choice(_NUMBERS)], [words[at]] * 2, [words[at].upper()], ["NOWHERE"])
        )
    failing = frozenset({random.randrange(4)} if random.random() < 0.2 else ())
    return Table(
        " ".join(words),
        {"ORIGIN": _device(random), "CACHE": _device(random, may_be_large=words[0] == "s")},
        _superblock(random, int(block_size) if block_size.isdigit() else 512),
        failing,
        _entries(random),
    )


def _device(random: Random, may_be_large: bool = False) -> BlockDevice:
    is_large = may_be_large and random.random() < 0.1
    return BlockDevice(
        ByteCount(random.choice(_TOO_LARGE if is_large else _SIZES)),
        is_persistent_memory=random.random() < 0.5,
        is_synchronous=random.random() < 0.7,
        first_sector=Sector(random.choice((0, 0, 0, 8, 1))),
        logical_block_size=ByteCount(random.choice((512, 512, 512, 4096))),
    )


def _superblock(random: Random, block_size: int) -> Superblock | None:
    if random.random() < 0.6:
        return Superblock()
    if random.random() < 0.1:
        return None
    n_blocks = random.choice((0, 1, 2, 7, 99, 2**40, 2**54 - 1, 2**56, 2**60 - 1, 2**60, 2**63))
    return Superblock(
        random.choice((0, MAGIC, MAGIC, MAGIC, 7)),
        random.choice((0, VERSION, VERSION, VERSION, VERSION + 1)),
        random.choice((0, 512, 1000, block_size, block_size, block_size)),
        n_blocks=n_blocks,
        seq_count=random.choice((0, 3, U64_MAX)),
    )


def _entries(random: Random) -> tuple[MemoryEntry | None, ...] | None:
    if random.random() < 0.1:
        return None
    numbers = (0, 1, 2, 8, 16, 2**40, 2**47, U64_MAX - 7, U64_MAX)
    return tuple(
        None
        if random.random() < 0.05
        else MemoryEntry(
            Sector(random.choice(numbers)), SequenceCount(random.choice((0, 1, 2, 9, U64_MAX)))
        )
        for _ in range(random.randint(1, 9))
    )


def judge(given: Table, profile: Profile) -> str | None:
    """What is wrong with what becomes of a table; None where nothing is."""
    made = construct(profile, given.line, given.devices, given.superblock, given.failing_ios)
    if isinstance(made.result, Broken):
        return f"a panic: {made.result.reason.name}"
    reads = first_block_of(profile, given.line, given.devices)
    if reads is None and not isinstance(made.result, Refusal):
        return "accepted, though nothing of the device is read"
    if isinstance(made.result, Refusal):
        if made.result.returned:
            return "a refusal that is reported as success"
        return None if made.result.errno and made.result.message else "a refusal without a reason"
    return _judge_cache(given, profile, made.result)


def _judge_cache(given: Table, profile: Profile, wc: State) -> str | None:
    line = table(wc)
    again = construct(profile, line, given.devices, wc.superblock)
    if not isinstance(again.result, State) or table(again.result) != line:
        return f"its own table comes to something else: {line}"
    if first_block_of(profile, line, given.devices) is None:
        return f"nothing of the device is read with its own table: {line}"
    n_blocks = wc.config.n_blocks
    if n_blocks > _MOST_BLOCKS:
        return None
    found: Any = None
    if given.entries is not None:
        found = (wc.superblock, (given.entries * n_blocks)[:n_blocks])
    after = step(wc, Resume(found, Sector(given.devices["ORIGIN"].size // 512)))
    status_line(after.state)
    names = violated(after.state)
    return f"violated: {', '.join(names)}" if names else None

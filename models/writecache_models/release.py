"""The exploration that a release stands on: what was explored, and what came of it.

A run that is complete took every sequence of so many operations, every schedule, every content
that a crash at any moment may leave, and crashes of their recoveries; where it is *closed*, of any
number of operations.  One that was stopped took all of that for fewer operations than its layer,
and with as many every path of up to so many further events as its level says.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from writecache_models.expanding import Bound
from writecache_models.exploring import Progress
from writecache_models.world import Setting
from writecache_spec.profile import PROFILES
from writecache_spec.repairs import OF_MEMORY
from writecache_spec.units import ByteCount, sectors_of

REPORT: Final = Path(__file__).parent / "release.json"
"""What the last full run came to."""


def bound(
    *,
    profile: str = "1.6.0",
    repaired: bool = True,
    blocks: int = 3,
    entries: int = 4,
    block_size: int = 1024,
    n_ops: int = 4,
    n_clients: int = 1,
    failures: int = 0,
    watermark: int | None = None,
    goes_on: bool = False,
) -> Bound:
    """A bound over so many blocks of the origin, and entries of the cache.

    The operations: a write of every run of neighbouring blocks, a flush, a discard of everything,
    a `flush` message; with two clients also a read of everything and a FUA write of one block.
    The repairs are those that act in SSD mode.
    """
    described = PROFILES[profile]
    size = sectors_of(ByteCount(block_size))
    everything = blocks * size
    ops: list[tuple[Any, ...]] = [
        ("write", first * size, count * size)
        for first in range(blocks)
        for count in range(1, blocks - first + 1)
    ]
    ops += [("flush",), ("discard", 0, everything), ("message", "flush")]
    if n_clients > 1:
        ops += [("read", 0, everything), ("write_fua", 0, size)]
    setting = Setting(
        described.repaired(without=OF_MEMORY) if repaired else described,
        "0" if watermark is None else f"4 high_watermark {watermark} low_watermark {watermark}",
        entries,
        everything,
        ByteCount(block_size),
    )
    return Bound(setting, tuple(ops), n_ops, n_clients, failures, goes_on=goes_on)


def release_bound() -> Bound:
    """Three blocks of two sectors, four entries; written back when asked, or where none is free."""
    return bound(watermark=100)


def report(progress: Progress, command: str) -> dict[str, Any]:
    """What an exploration has come to, in numbers."""
    of = progress.bound
    return {
        "command": command,
        "profile": of.setting.profile.name,
        "repairs": sorted(repair.name for repair in of.setting.profile.repairs),
        "blocks": of.setting.origin_sectors // of.setting.block_sectors,
        "table": of.setting.table,
        "block_size": of.setting.block_size,
        "entries": of.setting.n_entries,
        "operations": of.n_ops,
        "requests_at_once": of.n_clients,
        "failures": of.failures,
        "recovery_crashes": of.depth,
        "goes_on": of.goes_on,
        "complete": progress.done,
        "closed": progress.closed,
        "layer": progress.layer,
        "layers": progress.layers,
        "level": progress.level,
        "worlds": progress.n_worlds,
        "events": progress.n_turns,
        "crash_states": progress.n_states,
        "distinct": len(progress.pairs),
        "distinct_up_to_names": len(progress.named),
        "violations": dict(progress.counts),
        "found": {
            found.what: [list(event) for event in found.path] for found in progress.found.values()
        },
        "seconds": round(progress.seconds, 1),
    }


def stored() -> Mapping[str, Any] | None:
    """The report of the last full run, None where there is none."""
    if not REPORT.exists():
        return None
    loaded: Mapping[str, Any] = json.loads(REPORT.read_text())
    return loaded

"""Records what a live kernel makes of memory errors: traces written by hand.

    python bench/poison_traces.py [--kernel SUITE] -o FILE

What the processor loads from a poisoned sector of persistent memory ends in a machine check: a
block that is read, the superblock or an entry in a resume, the superblock in a constructor.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from writecache_impl.linux import LinuxTarget
from writecache_impl.recording import record
from writecache_models.trace import Op, Trace
from writecache_models.vectors import write_traces

POISON: Final = ("fail", "cache", "poison")
HEAL: Final[Op] = ["heal", "cache"]
THREE: Final[list[Op]] = [["open"], ["write", 0, 24, 1], ["flush"]]
ALL: Final[Op] = ["read", 0, 48]


def table(block_size: int, *options: str) -> str:
    """A table whose timers do not come in."""
    words = [*options, "autocommit_time", "3600000"]
    return f"p ORIGIN CACHE {block_size} {len(words)} {' '.join(words)}"


def by_hand() -> Iterator[Trace]:
    """The traces, without what is seen."""
    quiet = table(4096)
    block: list[Op] = [
        *THREE,
        [*POISON, 8, 8],
        *(["read", 8, 8], ["read", 0, 24], ALL, ["read", 8, 8]),
        *(["write", 0, 8, 2], ["discard", 16, 8], ["flush"], HEAL, ALL),
        *(["message", "flush"], ["open"], ALL, ["write", 0, 8, 3]),
    ]
    yield _trace("block", quiet, block)
    tail: list[Op] = [*THREE, [*POISON, 24, 1], ["read", 16, 16], HEAL, ["open"], ALL]
    yield _trace("last-block-of-a-read", quiet, tail)
    refused: list[Op] = [[*POISON, 0, 1], ["open"], HEAL, ["open"], ["write", 0, 8, 1]]
    yield _trace("superblock-of-a-new-device", quiet, refused)
    reload: list[Op] = [*THREE, [*POISON, 0, 1], ["open"], ALL, ["write", 0, 8, 2], HEAL, ["open"]]
    yield _trace("superblock-in-a-reload", quiet, [*reload, ALL])
    resumed: list[Op] = [*THREE, ["suspend"], [*POISON, 0, 1], ["resume"], ALL, ["write", 0, 8, 2]]
    again: list[Op] = [HEAL, ["suspend"], ["resume"], ALL, ["open"], ALL]
    yield _trace("superblock-in-a-resume", quiet, [*resumed, *again])
    many: list[Op] = [["open"], *(["write", 8 * n, 8, n + 1] for n in range(10)), ["flush"]]
    end: list[Op] = [["write", 0, 8, 90], ["flush"], HEAL, ["open"], ["read", 0, 80]]
    for sector in (1, 2):
        for how in (
            (["suspend"], [*POISON, sector, 1], ["resume"]),
            ([*POISON, sector, 1], ["open"]),
        ):
            name = f"entries-{sector}-in-a-{'resume' if len(how) == 3 else 'reload'}"
            yield _trace(name, table(512), [*many, *how, ["read", 0, 80], *end])
    moved = table(4096, "start_sector", "8")
    yield _trace("start-sector", moved, [*THREE, [*POISON, 0, 8], ["open"], [*POISON, 8, 1], *end])


def _trace(name: str, line: str, ops: list[Op]) -> Trace:
    steps = tuple((op, {}) for op in ops)
    extra = {"poison": True}
    return Trace(
        name=f"poison-{name}",
        kernel=None,
        target=None,
        table=line,
        cache_sectors=128,
        origin_sectors=512,
        steps=steps,
        extra=extra,
    )


def main() -> None:
    """Record and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", default="bookworm-pmem")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    with LinuxTarget(arguments.kernel) as target:
        recorded = [record(target, wanted) for wanted in by_hand()]
    write_traces(arguments.output, recorded)
    print(f"{len(recorded)} traces, {sum(len(each.steps) for each in recorded)} steps")


if __name__ == "__main__":
    main()

"""Records how a live kernel treats persistent memory: hand-written traces, and drawn ones.

    python bench/pmem_traces.py [--kernel SUITE] [--drawn N] -o FILE

The hand-written ones are each aimed at one thing; the drawn ones are the workloads of SSD mode with
the mode's letter changed and the options left out that persistent memory has not.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from writecache_impl.linux import LinuxTarget
from writecache_impl.recording import HungError, record
from writecache_models.images import image_of
from writecache_models.trace import Op, Trace
from writecache_models.vectors import write_traces
from writecache_models.workloads import generate
from writecache_models.workloads.memory import in_memory
from writecache_spec.layout import MAGIC, VERSION, Superblock

QUIET: Final = "autocommit_time 3600000"
SIZES: Final = (4096, 512, 1024, 2048)
DRAWN: Final = {
    "plain": 3,
    "requests": 5,
    "watermarks": 3,
    "autocommit": 3,
    "messages": 3,
    "suspends": 3,
    "reloads": 3,
    "tables": 4,
    "crafted": 12,
    "sweep": 1,
    "metadata_only": 2,
    "sleeps": 1,
}


def table(*options: str, size: int = 4096) -> str:
    """A quiet table of persistent memory."""
    words = " ".join([*options, QUIET]).split()
    return f"p ORIGIN CACHE {size} {len(words)} {' '.join(words)}"


def trace(
    name: str,
    ops: list[Op],
    args: str = "",
    cache: int = 128,
    origin: int = 512,
    image: bytes = b"",
) -> Trace:
    """A trace to be recorded; sizes in sectors."""
    return Trace(
        name=f"pmem-{name}",
        kernel=None,
        target="1.6.0",
        table=args or table(),
        cache_sectors=cache,
        origin_sectors=origin,
        cache_image=image,
        steps=tuple((op, {}) for op in ops),
    )


def by_hand() -> Iterator[Trace]:
    """What is aimed at one thing each."""
    for size in SIZES:
        n = size // 512
        ops: list[Op] = [
            ["open"],
            *([*op] for op in (["write", 0, n, 1], ["write", 3 * n, 3 * n, 2], ["read", 0, 8 * n])),
            *(["flush"], ["write", 0, n, 3], ["write", 4 * n, n, 4], ["read", 0, 8 * n]),
            *(["write", 0, n, 5], ["flush"], ["flush"], ["discard", 3 * n, n], ["read", 0, 8 * n]),
            *(
                ["write_dsync", 5 * n, n, 6],
                ["write_dsync", 6 * n, 2 * n, 7],
                ["discard", 0, 8 * n],
            ),
            *(["read", 0, 8 * n], ["flush"], ["write", 2 * n, n, 8], ["message", "flush"]),
            *(["read", 0, 8 * n], ["suspend"], ["resume"], ["read", 0, 8 * n], ["open"]),
            *(["read", 0, 8 * n], ["message", "clear_stats"], ["write", 9 * n, n, 9]),
            *(["message", "flush_on_suspend"], ["suspend"], ["resume"], ["message", "cleaner"]),
            *(["write", 9 * n, n, 10], ["write", 10 * n, n, 11], ["flush"], ["read", 9 * n, 2 * n]),
        ]
        yield trace(f"tour-{size}", ops, table(size=size))
    yield from _options()
    yield from _work()
    yield from _sizes()
    yield from _superblocks()


def _options() -> Iterator[Trace]:
    """Options that only one mode has, start sectors, words that are wrong."""
    some: list[Op] = [["write", 0, 24, 1], ["flush"], ["write", 8, 8, 2], ["message", "flush"]]
    for options in ("fua", "nofua", "fua nofua", "nofua fua", "FUA", "cleaner", "metadata_only"):
        ops: list[Op] = [["open"], *some, ["suspend"], ["resume"]]
        yield trace(options.replace(" ", "-"), ops, table(options))
    refused: list[Op] = [
        ["open", f"p ORIGIN CACHE 4096 {len(options.split())} {options}"]
        for options in (
            *("pause_writeback 0", "pause_writeback 1000", "nonsense", "fua 1", "nofua 1"),
            *("writeback_jobs 0", "writeback_jobs 1", "autocommit_blocks 0", "max_age 86400001"),
            *("high_watermark 101", "high_watermark 10 low_watermark 20", "start_sector"),
        )
    ]
    refused += [
        ["open", f"{mode} {devices} {rest}"]
        for mode, devices, rest in (
            *(("p", "ORIGIN CACHE", size) for size in ("8192 0", "256 0", "777 0", "0 0", "x 0")),
            *(
                ("p", "ORIGIN CACHE", "4096"),
                ("p", "ORIGIN CACHE", "4096 1"),
                ("P", "ORIGIN CACHE", "4096 0"),
            ),
            ("s", "ORIGIN CACHE", "4096 1 fua"),
            *(("p", "NOSUCH CACHE", "4096 0"), ("p", "ORIGIN NOSUCH", "4096 0")),
            *(("s", "ORIGIN CACHE", "4096 1 nofua"), ("s", "ORIGIN CACHE", "4096 0")),
            *(("p", "ORIGIN CACHE", "512 0"), ("p", "ORIGIN CACHE", "4096 0")),
        )
    ]
    with_io = [each for op in refused for each in (op, ["write", 0, 8, 1], ["flush"])]
    yield trace("refused", refused)
    yield trace("refused-in-place", [["open"], *with_io])
    for start in (1, 2, 7, 8, 9, 16, 119, 120, 127, 128, 1 << 40):
        ops = [["open"], *some, ["read", 0, 32], ["suspend"], ["resume"], ["open"], ["read", 0, 32]]
        yield trace(f"start-{start}", ops, table(f"start_sector {start}"))
    ops = [["open"], *some, ["open", table("start_sector 1", size=512)], *some, ["open"], *some]
    yield trace("start-1-512", ops, table("start_sector 8", size=512))


def _work() -> Iterator[Trace]:
    """Writeback: watermarks, a full cache, both modes on one cache, many blocks at once."""
    fill: list[Op] = [["write", 8 * block, 8, block + 1] for block in range(30)]
    yield trace("full", [["open"], *fill, ["read", 0, 240], ["flush"], *fill[:5], ["read", 0, 240]])
    for high, low in ((0, 0), (50, 45), (50, 0), (100, 100), (100, 0), (90, 80)):
        options = f"high_watermark {high} low_watermark {low}"
        ops: list[Op] = [["open"], *fill, ["flush"], ["message", "flush"], ["read", 0, 240]]
        yield trace(f"marks-{high}-{low}", ops, table(options))
    ops = [["open"], *fill[:6], *fill[:3], ["flush"], *fill[3:6], *fill[:2], *fill]
    yield trace("marks-order", ops, table("high_watermark 60 low_watermark 20 autocommit_blocks 2"))
    for count in (0, 1, 2, 3):
        ops = [["open"], *fill[:4], ["write", 0, 40, 77], ["flush"], *fill[:4]]
        yield trace(f"autocommit-{count}", ops, table(f"autocommit_blocks {count}"))
    for jobs in (1, 2):
        ops = [
            ["open"],
            ["write", 0, 64, 1],
            ["flush"],
            ["write", 128, 64, 2],
            ["message", "flush"],
        ]
        yield trace(f"jobs-{jobs}", ops, table(f"writeback_jobs {jobs}"), cache=512)
    ssd = f"s ORIGIN CACHE 4096 4 {QUIET} pause_writeback 0"
    ops = [["open"], *fill[:6], ["flush"], *fill[3:8], ["open", ssd], ["read", 0, 80], *fill[2:9]]
    ops += [["open"], ["read", 0, 80], *fill[:3], ["suspend"], ["open", ssd], ["read", 0, 80]]
    yield trace("both-modes", ops)
    ops = [["open"], ["write", 0, 256, 1], ["flush"], ["message", "flush"], ["write", 0, 2048, 2]]
    ops += [["read", 0, 2048], ["discard", 8, 2000], ["read", 0, 2048], ["message", "flush"]]
    yield trace("large", ops, cache=4096, origin=2048)
    yield trace("large-small-cache", ops, cache=64, origin=2048)
    ops = [["open"], ["write", 0, 8, 1], ["sleep", 2500], ["write", 8, 8, 2], ["sleep", 2500]]
    yield trace("autocommit-time", ops, "p ORIGIN CACHE 4096 0")
    yield trace("max-age", ops, table("max_age 1000"))


def _sizes() -> Iterator[Trace]:
    """Devices that are small or odd."""
    for size in (4096, 512):
        for cache in (8, 9, 16, 24, 32) if size == 4096 else (1, 8, 16, 24):
            ops: list[Op] = [["open"], ["write", 0, 8, 1], ["write", 8, 8, 2], ["message", "flush"]]
            yield trace(f"cache-{cache}-{size}", ops, table(size=size), cache=cache)
    for origin, size in ((1, 512), (7, 512), (12, 2048)):
        n = size // 512
        ops = [["open"], ["write", 0, n, 1], ["flush"], ["write", origin - n, n, 2]]
        ops += [["read", 0, origin], ["discard", 0, n], ["read", 0, origin], ["message", "flush"]]
        yield trace(f"origin-{origin}", ops, table(size=size), origin=origin)


def _superblocks() -> Iterator[Trace]:
    """Superblocks that somebody damaged, and caches as a crash may leave them."""
    good = Superblock(MAGIC, VERSION, 4096, 0, 15, 9)
    entries = [(0, 3), (8, 5), (8, 4), (16, 9), (24, 8), (32, 2**64 - 2), (1, 7)]
    bad = {
        "magic": good._replace(magic=MAGIC ^ 1),
        "magic-0": good._replace(magic=0),
        "version": good._replace(version=2),
        "version-0": good._replace(version=0),
        "no-superblock": good._replace(magic=0, version=0),
        "blocks-0": good._replace(n_blocks=0),
        "blocks-1": good._replace(n_blocks=1),
        "blocks-16": good._replace(n_blocks=16),
        "blocks-large": good._replace(n_blocks=2**52),
        "blocks-overflow": good._replace(n_blocks=2**61 - 4),
        "blocks-wrap": good._replace(n_blocks=2**64 - 1),
        "size-512": good._replace(block_size=512),
        "size-0": good._replace(block_size=0),
        "good": good,
    }
    some: list[Op] = [["read", 0, 8], ["read", 8, 8], ["read", 16, 16], ["write", 8, 8, 1]]
    for name, superblock in bad.items():
        image = image_of(superblock, entries if 8 < superblock.n_blocks < 64 else [])
        ops: list[Op] = [["open"], *some, ["flush"], ["message", "flush"], ["open"], *some[:3]]
        yield trace(f"superblock-{name}", ops, image=image)
    twice = image_of(good._replace(seq_count=20), [(8, 3), (8, 3), (0, 1)])
    yield trace("superblock-twice", [["open"], ["read", 8, 8], ["message", "flush"]], image=twice)


def drawn(number: int, times: int = 1) -> Iterator[Trace]:
    """Workloads of SSD mode, their tables changed."""
    for family, count in DRAWN.items():
        for index in range(number, number + times * count):
            yield in_memory(generate(f"pmem-{family}-{index}", family))


def main() -> None:
    """Record and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", default="bookworm-pmem")
    parser.add_argument("--drawn", type=int, default=1, metavar="TIMES")
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    recorded: list[Trace] = []
    with LinuxTarget(arguments.kernel) as target:
        for wanted in (*by_hand(), *drawn(0, arguments.drawn)):
            try:
                recorded.append(record(target, wanted))
            except HungError as hang:
                recorded.append(hang.trace)
            last = recorded[-1].steps[-1] if recorded[-1].steps else ([], {})
            if {"hang", "panic"} & last[1].keys():
                print(f"{wanted.name}: {last}")
    write_traces(arguments.output, [each for each in recorded if each.steps])
    print(f"{len(recorded)} traces, {sum(len(each.steps) for each in recorded)} steps")


if __name__ == "__main__":
    main()

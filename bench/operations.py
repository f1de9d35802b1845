"""Microseconds per operation of the reference, through the driver, at 10^3 to 10^6 entries.

    make bench                                  (or: python bench/operations.py -o results.json)

Each operation is timed by itself, so that the median and the 99th percentile are of operations, not
of runs.  What counts is the ratio between sizes within one run: machines differ.  Beside it stands
a yardstick, a fixed piece of plain Python, to compare runs by.
"""

import argparse
import gc
import json
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from statistics import median
from typing import Final

from writecache_models.content import Content
from writecache_models.devices import Devices
from writecache_models.machine import Machine
from writecache_spec.layout import round_up
from writecache_spec.profile import PROFILES

BLOCK_SIZE: Final = 4096
BLOCK_SECTORS: Final = BLOCK_SIZE // 512
SIZES: Final = (10**3, 10**4, 10**5, 10**6)
LIMITS_US: Final = {"read": 50, "write": 50, "overwrite": 50, "flush of one entry": 150}
"""What the project promises of the median at 10^3 entries."""
TURNS: Final = 10
"""How many times it is each size's turn."""
ROUNDS: Final = {"read": 200, "overwrite": 200, "write": 25, "flush of one entry": 12}
"""Of each operation in a turn; writes and flushes must not fill a cache of 10^3 entries."""
LARGEST_RATIO: Final = 1.5
"""And of the median at 10^6 entries, against that at 10^3."""
TABLE: Final = (
    "s ORIGIN CACHE 4096 8 autocommit_time 3600000 pause_writeback 0 "
    "high_watermark 100 low_watermark 100"
)


class Bench:
    """One cache of a given size, and what is done to it."""

    def __init__(self, n_entries: int) -> None:
        metadata = round_up(64 + 16 * n_entries, BLOCK_SIZE)
        self.n_places = 4 * n_entries
        self.machine = Machine(
            PROFILES["1.6.0"],
            Devices(
                Content(metadata + n_entries * BLOCK_SIZE), Content(self.n_places * BLOCK_SIZE)
            ),
        )
        outcome = self.machine.open(TABLE)
        assert outcome.errno is None, outcome
        self.random = Random(1)
        # Half full, so that trees have their size; and committed.
        self.used = [
            self.random.randrange(self.n_places) for _ in range(min(n_entries, 10**5) // 2)
        ]
        for place in self.used:
            self.machine.write(place * BLOCK_SECTORS, BLOCK_SECTORS, 1)
        self.machine.flush()

    def write(self) -> Callable[[], object]:
        """A write anywhere."""
        sector = self.random.randrange(self.n_places) * BLOCK_SECTORS
        return lambda: self.machine.write(sector, BLOCK_SECTORS, 2)

    def overwrite(self) -> Callable[[], object]:
        """A write to a block that is cached."""
        sector = self.random.choice(self.used) * BLOCK_SECTORS
        return lambda: self.machine.write(sector, BLOCK_SECTORS, 3)

    def read(self) -> Callable[[], object]:
        """A read of a block that is cached."""
        sector = self.random.choice(self.used) * BLOCK_SECTORS
        return lambda: self.machine.read(sector, BLOCK_SECTORS)

    def flush(self) -> Callable[[], object]:
        """A flush that commits one entry."""
        for _ in range(100):
            place = self.random.randrange(self.n_places)
            if self.machine.wc is not None and place * BLOCK_SECTORS not in self.machine.wc.tree:
                break
        self.machine.write(place * BLOCK_SECTORS, BLOCK_SECTORS, 4)
        return self.machine.flush


def timed(prepare: Callable[[], Callable[[], object]], rounds: int) -> list[float]:
    """Microseconds that an operation takes, each time."""
    taken = []
    for _ in range(rounds):
        operation = prepare()
        begun = time.perf_counter_ns()
        operation()
        taken.append((time.perf_counter_ns() - begun) / 1000)
    return taken


def summary(taken: list[float]) -> dict[str, float]:
    """Median and 99th percentile."""
    taken = sorted(taken)
    high = taken[len(taken) * 99 // 100]
    return {"median_us": round(median(taken), 1), "p99_us": round(high, 1)}


def yardstick() -> float:
    """Microseconds of a fixed piece of plain Python: how fast this machine is."""
    begun = time.perf_counter_ns()
    total = 0
    for number in range(100_000):
        total += number & 7
    return round((time.perf_counter_ns() - begun) / 1000, 1)


def measure(sizes: list[int]) -> dict[str, dict[str, dict[str, float]]]:
    """Everything, by size and operation.

    The sizes take turns, so that a machine that is slower for a while is so for all of them.
    """
    benches = {n_entries: Bench(n_entries) for n_entries in sizes}
    gc.collect()
    gc.freeze()
    results: dict[str, dict[str, dict[str, float]]] = {str(n_entries): {} for n_entries in sizes}
    for name, rounds in ROUNDS.items():
        taken: dict[int, list[float]] = {n_entries: [] for n_entries in sizes}
        for _ in range(TURNS):
            for n_entries, bench in benches.items():
                taken[n_entries] += timed(getattr(bench, name.split()[0]), rounds)
        for n_entries in sizes:
            results[str(n_entries)][name] = summary(taken[n_entries])
    gc.unfreeze()
    for n_entries in sizes:
        cells = "  ".join(
            f"{name} {cost['median_us']:6.1f} (p99 {cost['p99_us']:6.1f})"
            for name, cost in results[str(n_entries)].items()
        )
        print(f"{n_entries:>9,} entries: {cells}", flush=True)
    return results


def judge(results: dict[str, dict[str, dict[str, float]]]) -> list[str]:
    """What falls short of the promise."""
    short = []
    small, large = results.get("1000"), results.get("1000000")
    for name, limit in LIMITS_US.items():
        if small and small[name]["median_us"] > limit:
            short.append(f"{name}: {small[name]['median_us']} µs at 10^3 entries, {limit} promised")
        if small and large:
            ratio = large[name]["median_us"] / small[name]["median_us"]
            print(f"{name}: {ratio:.2f} times as long at 10^6 entries as at 10^3")
            if ratio > LARGEST_RATIO:
                short.append(f"{name}: {ratio:.2f} times as long, {LARGEST_RATIO} promised")
    return short


def main() -> int:
    """Measure, print, and say whether the promise is kept."""
    parser = argparse.ArgumentParser(description="Cost of the reference's operations.")
    parser.add_argument("-o", "--output", type=Path, help="write the results here as JSON")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="entries")
    arguments = parser.parse_args()
    results = measure(arguments.sizes)
    short = judge(results)
    document = {
        "command": "python bench/operations.py " + " ".join(sys.argv[1:]),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
        "yardstick_us": yardstick(),
        "operations": results,
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    for line in short:
        print(f"short of the promise: {line}")
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())

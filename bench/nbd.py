"""What the NBD server does a second, beside nbdkit on a file of the same size in the same run.

    .venv/bin/python bench/nbd.py [--directory DIR] [--seconds S] [--output FILE]

Needs nbdkit and fio, and some 2 GiB in the directory. Three servers over new files each: this one,
nbdkit's file plugin, and that under its filter `cache` in writeback mode. They take turns, round by
round, and of each the best round counts: others use the machine. Prints requests a second and
ratios, and exits with 1 where a promise is not kept: on a par with the filter, half of the plain
file at queue depth 1, a third at depth 16. Nothing is promised for reads, nor for 1 MiB over blocks
that lie in the cache in any order: each of them is a store of its own. It also prints what a
request costs each server of a processor, user and system, in the round where that was least: where
others use the machine that says more.
"""

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

MIB = 2**20
SIZE, CACHE_SIZE = 256 * MIB, 768 * MIB
SERVERS = ("writecache", "file", "cache filter")
ROUNDS = 4


class Job(NamedTuple):
    """What fio does, and the least ratios to the plain file and to the filter."""

    name: str
    how: str
    block: str
    depth: int
    of_file: float
    of_filter: float
    fill: bool = False
    """Every block has been written before, at random."""


JOBS = (
    Job("4 KiB random write, depth 1", "randwrite", "4k", 1, 0.5, 1.0),
    Job("4 KiB random write, depth 16", "randwrite", "4k", 16, 1 / 3, 1.0),
    Job("1 MiB sequential write", "write", "1M", 1, 0.0, 1.0),
    Job("4 KiB random read, depth 1", "randread", "4k", 1, 0.0, 0.0, True),
    Job("4 KiB random read, depth 16", "randread", "4k", 16, 0.0, 0.0, True),
    Job("1 MiB sequential write over blocks written at random", "write", "1M", 1, 0.0, 0.0, True),
)


@contextmanager
def served(server: str, folder: Path) -> Iterator[tuple[str, int]]:
    """A server over new files; its URI and its process."""
    path, origin, cache = folder / "s", folder / "origin", folder / "cache"
    path.unlink(missing_ok=True)
    for file, size in ((origin, SIZE), (cache, CACHE_SIZE)):
        with file.open("wb") as new:
            new.truncate(size)
    if server == "writecache":
        line = [str(Path(sys.executable).with_name("writecache")), "serve", "--socket", str(path)]
        line += ["--origin", str(origin), "--cache", str(cache)]
    else:
        line = ["nbdkit", "-f", "-U", str(path)]
        line += ["--filter=cache"] if server == "cache filter" else []
        line += ["file", str(origin)] + (["cache=writeback"] if server == "cache filter" else [])
    with subprocess.Popen(line, stdout=subprocess.DEVNULL) as process:
        try:
            ends = time.monotonic() + 20
            while not path.exists() and time.monotonic() < ends:
                time.sleep(0.02)
            yield f"nbd+unix:///?socket={path}", process.pid
        finally:
            process.terminate()


def processor_s(pid: int) -> float:
    """What a process has used of a processor."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(uri: str, pid: int, job: Job, seconds: float) -> tuple[float, float]:
    """Requests a second, and microseconds of a processor that a request costs the server."""
    line = ["fio", "--name=bench", "--ioengine=nbd", f"--uri={uri}", f"--rw={job.how}"]
    line += [f"--bs={job.block}", f"--iodepth={job.depth}", f"--size={SIZE}", "--time_based"]
    if job.fill:
        fill = ["--rw=randwrite", "--bs=4k", "--iodepth=16", f"--size={SIZE}"]
        subprocess.run([*line[:4], *fill], stdout=subprocess.DEVNULL, check=True)
    line += [f"--runtime={seconds}", "--output-format=json"]
    before = processor_s(pid)
    shown = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout
    # Before it there may be notes.
    result: Any = json.loads(shown[shown.index("{") :])
    done = result["jobs"][0]["read" if "read" in job.how else "write"]
    return float(done["iops"]), 1e6 * (processor_s(pid) - before) / max(1, done["total_ios"])


def main() -> int:
    """Measure, print, and judge."""
    parser = argparse.ArgumentParser(description="The NBD server beside nbdkit.")
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--output", type=Path)
    wanted = parser.parse_args()
    results: dict[str, dict[str, float]] = {}
    missed = []
    for job in JOBS:
        best = dict.fromkeys(SERVERS, 0.0)
        costs = dict.fromkeys(SERVERS, math.inf)
        for _ in range(ROUNDS):
            for server in SERVERS:
                with (
                    tempfile.TemporaryDirectory(dir=wanted.directory) as folder,
                    served(server, Path(folder)) as (uri, pid),
                ):
                    rate, cost = measure(uri, pid, job, wanted.seconds)
                    best[server] = max(best[server], rate)
                    costs[server] = min(costs[server], cost)
        ours, plain, filtered = best.values()
        results[job.name] = best | {"of file": ours / plain, "of filter": ours / filtered}
        results[job.name] |= {f"{name}, processor us": costs[name] for name in SERVERS}
        print(f"{job.name}: " + ", ".join(f"{name} {best[name]:,.0f}/s" for name in SERVERS))
        print(f"  {ours / plain:.2f} of the file plugin, {ours / filtered:.2f} of the cache filter")
        print("  of a processor: " + ", ".join(f"{n} {costs[n]:.1f} us" for n in SERVERS))
        if ours / plain < job.of_file or ours / filtered < job.of_filter:
            missed.append(job.name)
    if wanted.output:
        wanted.output.write_text(json.dumps(results, indent=1) + "\n")
    for name in missed:
        print(f"not as promised: {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""What the NBD server does a second, beside nbdkit on a file of the same size in the same run.

    .venv/bin/python bench/nbd.py [--directory DIR] [--seconds S] [--output FILE]

Needs nbdkit and fio, and some 2 GiB in the directory.  Three servers over new files each: this
one, nbdkit's file plugin, and that under its filter `cache` in writeback mode.  They take turns,
round by round, and of each the best round counts: others use the machine.  Prints requests a
second and ratios, and exits with 1 where a promise is not kept: on a par with the filter, half of
the plain file at queue depth 1, a third at depth 16.
"""

import argparse
import json
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
ROUNDS = 2


class Job(NamedTuple):
    """What fio does, and the least ratios to the plain file and to the filter."""

    name: str
    how: str
    block: str
    depth: int
    of_file: float
    of_filter: float


JOBS = (
    Job("4 KiB random write, depth 1", "randwrite", "4k", 1, 0.5, 1.0),
    Job("4 KiB random write, depth 16", "randwrite", "4k", 16, 1 / 3, 1.0),
    Job("1 MiB sequential write", "write", "1M", 1, 0.0, 1.0),
)


@contextmanager
def served(server: str, folder: Path) -> Iterator[str]:
    """A server over new files; its URI."""
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
            yield f"nbd+unix:///?socket={path}"
        finally:
            process.terminate()


def measure(uri: str, job: Job, seconds: float) -> float:
    """Requests a second."""
    line = ["fio", "--name=bench", "--ioengine=nbd", f"--uri={uri}", f"--rw={job.how}"]
    line += [f"--bs={job.block}", f"--iodepth={job.depth}", f"--size={SIZE}", "--time_based"]
    line += [f"--runtime={seconds}", "--output-format=json"]
    shown = subprocess.run(line, stdout=subprocess.PIPE, text=True, check=True).stdout
    # Before it there may be notes.
    result: Any = json.loads(shown[shown.index("{") :])
    return float(result["jobs"][0]["write"]["iops"])


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
        for _ in range(ROUNDS):
            for server in SERVERS:
                with (
                    tempfile.TemporaryDirectory(dir=wanted.directory) as folder,
                    served(server, Path(folder)) as uri,
                ):
                    best[server] = max(best[server], measure(uri, job, wanted.seconds))
        ours, plain, filtered = best.values()
        results[job.name] = best | {"of file": ours / plain, "of filter": ours / filtered}
        print(f"{job.name}: " + ", ".join(f"{name} {best[name]:,.0f}/s" for name in SERVERS))
        print(f"  {ours / plain:.2f} of the file plugin, {ours / filtered:.2f} of the cache filter")
        if ours / plain < job.of_file or ours / filtered < job.of_filter:
            missed.append(job.name)
    if wanted.output:
        wanted.output.write_text(json.dumps(results, indent=1) + "\n")
    for name in missed:
        print(f"not as promised: {name}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

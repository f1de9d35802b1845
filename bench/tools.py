"""What the offline tools cost, beside what one would use instead in the same run.

    .venv/bin/python bench/tools.py [--directory DIR] [--output FILE]

Needs some 9 GiB in the directory.  Prints seconds, peaks of memory and ratios, and fails where a
promise is not kept: `check` of 4 million entries within 2 s (numpy), all within 500 MB, `writeback`
of 1 GiB of scattered blocks within 2 times of `dd bs=1M conv=fsync` of 1 GiB.

Scattered means in no order in the cache.  The promise is about blocks whose places on the origin
adjoin: sorting makes long writes of them.  The other figures are for blocks that are scattered over
an origin of 4 GiB, too, and for the undo log, which is a second GiB to be read and written.  Beside
them stands what the same writes take when nothing else is done: sorted, merged, from one buffer,
and an fsync.  Of several rounds the fastest counts, dd's too: others use the machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from writecache_impl.tools.moving import LONGEST_WRITE
from writecache_spec.codec import encode_superblock
from writecache_spec.layout import MAGIC, VERSION, Superblock, calculate_memory_size, round_up

GIB = 2**30
BLOCK = 4096
DIRTY = 4_000_000
ROUNDS = 4
MEMORY_MB = 500
CHECK_SECONDS = 2.0
DD_RATIO = 2.0


def cache_image(path: Path, n_blocks: int, sectors: Any, places: Any, size: int) -> int:
    """Write superblock and entries; the offset of block 0."""
    entries = np.full((n_blocks, 2), 2**64 - 1, "<u8")
    entries[places, 0] = sectors
    entries[places, 1] = 1 + np.arange(len(places)) % 99
    with path.open("wb") as file:
        file.truncate(size)
        file.write(encode_superblock(Superblock(MAGIC, VERSION, BLOCK, 0, n_blocks, 100)))
        file.write(entries.tobytes())
    return round_up(64 + 16 * n_blocks, BLOCK)


def large_image(path: Path) -> None:
    """A sparse cache of 100 GB with 4 million dirty entries, scattered."""
    size = 100 * 10**9 // BLOCK * BLOCK
    divided = calculate_memory_size(size, BLOCK)
    assert isinstance(divided, tuple)
    rng = np.random.default_rng(1)
    places = np.sort(rng.choice(divided.n_blocks, DIRTY, replace=False))
    cache_image(path, divided.n_blocks, rng.permutation(2 * DIRTY)[:DIRTY] * 8, places, size)


def full_image(path: Path) -> None:
    """A sparse cache of 4 million blocks, all dirty."""
    metadata = round_up(64 + 16 * DIRTY, BLOCK)
    rng = np.random.default_rng(2)
    sectors = rng.permutation(2 * DIRTY)[:DIRTY] * 8
    cache_image(path, DIRTY, sectors, np.arange(DIRTY), metadata + DIRTY * BLOCK)


def homes(rng: Any, spread: int) -> Any:
    """Where 1 GiB of blocks belongs on an origin of `spread` GiB, in no order."""
    n_blocks = GIB // BLOCK
    return rng.permutation(spread * n_blocks)[:n_blocks]


def scattered(cache: Path, origin: Path, spread: int) -> None:
    """1 GiB of dirty blocks, in no order, of an origin of `spread` GiB that has data everywhere."""
    n_blocks = GIB // BLOCK
    rng = np.random.default_rng(3)
    sectors = homes(rng, spread) * 8
    size = round_up(64 + 16 * n_blocks, BLOCK) + GIB
    start = cache_image(cache, n_blocks, sectors, np.arange(n_blocks), size)
    with cache.open("r+b") as file:
        file.seek(start)
        for _ in range(16):
            file.write(rng.bytes(GIB // 16))
    fill(origin, spread)


def only_write(origin: Path, spread: int) -> None:
    """The writes of a writeback, sorted and merged, of one buffer, and nothing else."""
    places = np.sort(homes(np.random.default_rng(3), spread))
    firsts = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    data = memoryview(bytes(LONGEST_WRITE))
    with origin.open("r+b") as file:
        fd = file.fileno()
        lengths = np.diff(firsts, append=len(places))
        for place, length in zip(places[firsts].tolist(), lengths.tolist(), strict=True):
            for begin in range(place, place + length, len(data) // BLOCK):
                size = min((place + length - begin) * BLOCK, len(data))
                os.pwrite(fd, data[:size], begin * BLOCK)
        os.fsync(fd)


def fill(path: Path, gibibytes: int) -> None:
    """New data everywhere."""
    with path.open("r+b" if path.exists() else "wb") as file:
        for number in range(64 * gibibytes):
            file.write(np.random.default_rng([number, time.monotonic_ns()]).bytes(GIB // 64))
    sync(path)


def sync(path: Path) -> None:
    """Let nothing of an earlier step be measured."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


class Measured(NamedTuple):
    """What a program took."""

    seconds: float
    cpu: float
    """Seconds of a processor: what is left of them when others use the machine, too."""
    mb: float
    """The peak of its memory."""


def measured(line: list[str], plain: bool = False) -> Measured:
    """Run a program that ends well.

    This process stays small: a peak counts from before the program is begun.
    """
    environment = {**os.environ, **({"WRITECACHE_PLAIN": "1"} if plain else {})}
    began = time.monotonic()
    process = subprocess.Popen(line, env=environment, stdout=subprocess.DEVNULL, stderr=sys.stderr)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{line} ended with {process.returncode}")
    seconds = time.monotonic() - began
    return Measured(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e6)


def made(what: str, *arguments: object) -> None:
    """Make an image, in a process of its own."""
    line = [sys.executable, __file__, "--make", what, *map(str, arguments)]
    subprocess.run(line, check=True)


def tool(*arguments: object) -> list[str]:
    """A command of ours."""
    return [sys.executable, "-c", "from writecache_impl.cli import main; main()",
            *map(str, arguments)]  # fmt: skip


def large(work: Path) -> dict[str, Any]:
    """Every tool on the large image, with numpy and without."""
    image, full, origin = work / "large", work / "full", work / "empty"
    made("large_image", image)
    made("full_image", full)
    with origin.open("wb") as file:
        file.truncate(16 * DIRTY * 512)
    dumped = work / "dump"
    found: dict[str, Measured] = {}
    for name, plain in (("numpy", False), ("plain", True)):
        rounds = 1 if plain else ROUNDS
        runs = [measured(tool("check", full), plain) for _ in range(rounds)]
        found[f"check, 4 million entries, all dirty, {name}"] = min(runs)
        lines = {
            "check": tool("check", image),
            "check --origin": tool("check", image, "--origin", origin),
            "check --extents --json": tool("check", image, "--extents", "--json"),
            "writeback --dry-run": tool("writeback", image, "--origin", origin, "--dry-run"),
            "view --range": tool("view", image, "--origin", origin, "--range", "0+1M"),
            "repair": tool("repair", image, "-o", work / "mended", "--force", "-q"),
        }
        if not plain:
            lines["dump --metadata-only"] = tool(
                "dump", image, "--metadata-only", "-o", dumped, "--force"
            )
            lines["restore"] = tool("restore", dumped, "-o", work / "copy", "--force", "-q")
        for what, line in lines.items():
            found[f"{what}, 100 GB, 4 million dirty, {name}"] = measured(line, plain)
    for path in work.iterdir():
        path.unlink()
    return {
        what: {"seconds": round(one.seconds, 2), "cpu": round(one.cpu, 2), "mb": round(one.mb)}
        for what, one in found.items()
    }


def copying(work: Path, spread: int) -> dict[str, Any]:
    """Writeback of 1 GiB beside dd of 1 GiB, in turns; the origin has `spread` GiB."""
    cache, origin, target, log = (work / name for name in ("cache", "origin", "to", "undo"))
    made("scattered", cache, origin, spread)
    home = ["writeback", cache, "--origin", origin, "-q", "--no-metadata-update"]
    copy = ["dd", f"if={cache}", f"of={target}", "bs=1M", "count=1024", "conv=fsync", "status=none"]
    taken: dict[str, list[Measured]] = {}
    for _ in range(ROUNDS):
        lines = {
            "dd": copy,
            "writeback, undo log": tool(*home, "--undo-log", log),
            "writeback": tool(*home, "--no-undo-log"),
            "undo": tool("undo", log, "-q"),
            "only the writes": [
                sys.executable, __file__, "--make", "only_write", str(origin), str(spread)
            ],
        }  # fmt: skip
        for what, line in lines.items():
            taken.setdefault(what, []).append(measured(line))
        for path in (target, log):
            path.unlink()
        for path in (cache, origin):
            sync(path)
    for path in work.iterdir():
        path.unlink()
    dd = min(taken["dd"]).seconds
    return {
        what: {
            "seconds": [round(one.seconds, 2) for one in times],
            "least": round(min(times).seconds, 2),
            "cpu": round(min(one.cpu for one in times), 2),
            "times dd": round(min(times).seconds / dd, 2),
        }
        for what, times in taken.items()
    }


def broken_promises(results: dict[str, Any]) -> list[str]:
    """What was promised and is not so."""
    broken = [
        f"{what}: {one['mb']} MB, more than {MEMORY_MB}"
        for what, one in results["large"].items()
        if one["mb"] > MEMORY_MB
    ]
    if results["large"]["check, 4 million entries, all dirty, numpy"]["seconds"] > CHECK_SECONDS:
        broken.append(f"check takes more than {CHECK_SECONDS} s")
    if results["1 GiB, adjoining"]["writeback"]["times dd"] > DD_RATIO:
        broken.append(f"writeback takes more than {DD_RATIO} times what dd does")
    return broken


def main() -> int:
    """Measure, print, store; 1 where a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--directory", type=Path, default=None)
    parser.add_argument("--output", type=Path, default=Path("bench/results/tools.json"))
    parser.add_argument("--make", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        what, *paths = options.make
        if what == "scattered":
            scattered(Path(paths[0]), Path(paths[1]), int(paths[2]))
        elif what == "only_write":
            only_write(Path(paths[0]), int(paths[1]))
        else:
            {"large_image": large_image, "full_image": full_image}[what](Path(paths[0]))
        return 0
    with tempfile.TemporaryDirectory(prefix="tools-", dir=options.directory) as name:
        results: dict[str, Any] = {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "processors": os.cpu_count(),
            "load before": round(os.getloadavg()[0], 1),
            "1 GiB, adjoining": copying(Path(name), 1),
            "1 GiB, over 4 GiB": copying(Path(name), 4),
            "large": large(Path(name)),
        }
        results["load after"] = round(os.getloadavg()[0], 1)
    print(f"{results['processors']} processors, load {results['load before']} before", end="")
    print(f" and {results['load after']} after")
    for what, one in results["large"].items():
        print(f"{one['seconds']:8.2f} s {one['cpu']:8.2f} s cpu {one['mb']:6} MB  {what}")
    for group in ("1 GiB, adjoining", "1 GiB, over 4 GiB"):
        for what, one in results[group].items():
            times = f"{one['least']:8.2f} s {one['cpu']:8.2f} s cpu {one['times dd']:6.2f} times dd"
            print(f"{times}  {group}: {what}")
    broken = results["promises broken"] = broken_promises(results)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(results, indent=1) + "\n")
    print("\n".join(broken) or "all promises kept")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

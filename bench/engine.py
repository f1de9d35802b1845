"""The engine beside what one would use instead, in one run: ratios, and what is promised of them.

    python bench/engine.py [-o results.json] [--folder DIR] [--without-linux]

* resume of 4 million dirty entries, against Linux (sid, user mode) on the same entries;
* requests of 4 KiB at random places, one after the other: against Linux 6.1 in user mode, and
  against `os.pwrite` and `os.pread` on a file in the same folder;
* sequential writes of 1 MiB, against a copy into the same mapping;
* memory for an entry.

The folder is by default one in memory: what a disk needs is not the engine's.  Everything is warmed
first, and measured in turns; the best turn counts.
"""

import argparse
import gc
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, Final

import numpy as np

from writecache_impl.engine import Engine
from writecache_impl.engine.entries import Entries
from writecache_impl.linux import UNUSABLE, BootOptions, locate
from writecache_impl.linux.machines import start
from writecache_spec.codec import encode_superblock
from writecache_spec.layout import MAGIC, VERSION, Superblock

QUIET: Final = "autocommit_time 3600000 high_watermark 100 low_watermark 100"
TABLE: Final = f"s ORIGIN CACHE 4096 6 {QUIET}"
SMALL_BLOCKS: Final = f"s ORIGIN CACHE 512 6 {QUIET}"
N_ENTRIES: Final = 4_000_000
BLOCK, MIB = 4096, 2**20
N_BLOCKS: Final = 65536
ROUNDS: Final = 20_000
TURNS: Final = 5
PROMISED: Final = {
    "resume: Linux / engine": (">=", 12.0),
    "random writes: engine / Linux 6.1": (">=", 3.0),
    "random reads: engine / Linux 6.1": (">=", 3.0),
    "random writes: engine / pwrite": (">=", 1 / 6),
    "random reads: engine / pread": (">=", 1 / 3),
    "1 MiB writes of new blocks: engine / copy": (">=", 0.5),
    "1 MiB writes over blocks: engine / copy": (">=", 0.5),
    "bytes an entry": ("<=", 40.0),
}


def best(do: Callable[[int], object], places: list[int], turns: int = TURNS) -> float:
    """Operations a second, in the best of several turns."""
    seconds = []
    for _ in range(turns):
        gc.collect()
        started = time.perf_counter()
        for place in places:
            do(place)
        seconds.append(time.perf_counter() - started)
    return len(places) / min(seconds)


def sparse(path: Path, size: int) -> Path:
    """A file of zeros."""
    with path.open("wb") as file:
        file.truncate(size)
    return path


def full_cache(n_entries: int, block_size: int) -> tuple[bytes, int]:
    """The metadata of a cache that is dirty all over, in random order; and the cache's size."""
    superblock = Superblock(MAGIC, VERSION, block_size, 0, n_entries, 2)
    entries = np.empty((n_entries, 2), np.uint64)
    order = np.random.default_rng(1).permutation(n_entries).astype(np.uint64)
    entries[:, 0], entries[:, 1] = order * np.uint64(block_size // 512), 1
    metadata = encode_superblock(superblock) + entries.tobytes()
    metadata += bytes(-len(metadata) % block_size)
    return metadata, len(metadata) + n_entries * block_size


def resume(folder: Path) -> dict[str, float]:
    """Seconds from files to a cache that runs, and bytes of arrays for an entry."""
    metadata, size = full_cache(N_ENTRIES, 512)
    cache, origin = sparse(folder / "cache", size), sparse(folder / "origin", N_ENTRIES * 512)
    with cache.open("r+b") as file:
        file.write(metadata)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        engine = Engine.open(SMALL_BLOCKS, cache, origin, preallocate=False)
        seconds.append(time.perf_counter() - started)
        assert engine.status().startswith(f"0 {N_ENTRIES} "), engine.status()
        wc = engine._wc
        assert wc is not None
        per_entry = arrays(wc.entries) / N_ENTRIES
        del wc
        engine.abandon()
    cache.unlink()
    origin.unlink()
    return {"seconds": min(seconds), "bytes": per_entry}


def arrays(entries: Entries) -> int:
    """Bytes of what is kept for entries, the metadata in memory included."""
    parts: Iterable[Any] = (
        *(entries.words, entries.state, entries.ages, entries.heads, entries.chain),
        *(entries.to_older, entries.to_newer),
    )
    return sum(memoryview(part).nbytes for part in parts)


def operations(folder: Path) -> dict[str, float]:
    """Requests a second, of the engine and of plain files."""
    random = Random(1)
    size = N_BLOCKS * BLOCK
    cache = sparse(folder / "cache", size + size // 16)
    origin, plain = sparse(folder / "origin", size), sparse(folder / "plain", size)
    places = [place * BLOCK for place in random.sample(range(N_BLOCKS), ROUNDS)]
    block, big = os.urandom(BLOCK), os.urandom(MIB)
    large = [place * MIB for place in range(100)]
    found: dict[str, float] = {}
    handle = os.open(plain, os.O_RDWR)
    with Engine.open(TABLE, cache, origin) as engine:
        wc = engine._wc
        assert wc is not None
        mapping, first = wc.cache.map, wc.config.data_start  # type: ignore[attr-defined]
        for place in range(0, size, MIB):
            mapping[first + place : first + place + MIB] = big
            os.pwrite(handle, big, place)
        for place in places:
            engine.write(place, block)
        found["writes"] = best(lambda place: engine.write(place, block), places)
        found["reads"] = best(lambda place: engine.read(place, BLOCK), places)
        found["pwrite"] = best(lambda place: os.pwrite(handle, block, place), places)
        found["pread"] = best(lambda place: os.pread(handle, BLOCK, place), places)

        def copy(place: int) -> None:
            mapping[first + place : first + place + MIB] = big

        new = []
        for _ in range(TURNS):
            engine.discard(0, size)
            new.append(best(lambda place: engine.write(place, big), large, turns=1))
        found["new MiB"] = max(new)
        found["MiB over"] = best(lambda place: engine.write(place, big), large)
        found["MiB read"] = best(lambda place: engine.read(place, MIB), large)
        found["MiB copied"] = best(copy, large)
    os.close(handle)
    for path in (cache, origin, plain):
        path.unlink()
    return found


def linux(suite: str, what: str, table: str, sectors: int, cache_bytes: int, image: bytes) -> Any:
    """What the guest's program finds; raises one of `UNUSABLE`."""
    options = BootOptions(
        entry="shell", memory_mib=1024, disk_bytes=sectors * 512, cache_bytes=cache_bytes
    )
    with start(locate(suite, None), options) as machine:
        machine.receive(options.boot_s)
        machine.disks["cache"][: len(image)] = image
        script = machine.private.exchange / "in_guest.py"
        shutil.copy(Path(__file__).parent / "in_guest.py", script)
        output = machine.private.exchange / "found.json"
        machine.send([sys.executable, str(script), str(output), str(sectors), what, table])
        machine.receive(300.0)
        if not output.exists():
            print(machine.console_news(), file=sys.stderr)
        return json.loads(output.read_text())


def ratios(found: dict[str, Any]) -> dict[str, float]:
    """What counts."""
    own = found["operations"]
    said = {
        "random writes: engine / pwrite": own["writes"] / own["pwrite"],
        "random reads: engine / pread": own["reads"] / own["pread"],
        "1 MiB writes of new blocks: engine / copy": own["new MiB"] / own["MiB copied"],
        "1 MiB writes over blocks: engine / copy": own["MiB over"] / own["MiB copied"],
        "bytes an entry": found["resume"]["bytes"],
    }
    if "linux resume" in found:
        engine_s = found["resume"]["seconds"]
        said["resume: Linux / engine"] = found["linux resume"]["resume_s"] / engine_s
    if "linux operations" in found:
        guest = found["linux operations"]
        said["random writes: engine / Linux 6.1"] = own["writes"] / guest["writes_per_s"]
        said["random reads: engine / Linux 6.1"] = own["reads"] / guest["reads_per_s"]
    return said


def main() -> int:
    """Measure, print, and say whether what is promised holds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--folder", type=Path, help="where the files are; default: in memory")
    parser.add_argument("--without-linux", action="store_true")
    options = parser.parse_args()
    memory = Path("/dev/shm")
    parent = options.folder or (memory if memory.is_dir() else None)
    found: dict[str, Any] = {"python": platform.python_version(), "numpy": np.__version__}
    with tempfile.TemporaryDirectory(dir=parent, prefix="writecache-") as folder:
        found["resume"] = resume(Path(folder))
        found["operations"] = operations(Path(folder))
    if not options.without_linux:
        image, size = full_cache(N_ENTRIES, 512)
        try:
            found["linux resume"] = linux("sid", "resume", SMALL_BLOCKS, N_ENTRIES, size, image)
            sectors = 2**17
            found["linux operations"] = linux(
                "bookworm", "operations", TABLE, sectors, 2**26 + 2**23, b""
            )
        except UNUSABLE as error:
            print(f"Linux not measured: {error}", file=sys.stderr)
    found["ratios"] = ratios(found)
    broken = 0
    for name, value in found["ratios"].items():
        sense, limit = PROMISED[name]
        holds = value >= limit if sense == ">=" else value <= limit
        broken += not holds
        print(f"{name}: {value:.2f} (promised {sense} {limit:.2f}){'' if holds else '  BROKEN'}")
    for name in ("resume", "operations", "linux resume", "linux operations"):
        print(f"{name}: {found.get(name)}")
    if options.output:
        options.output.write_text(json.dumps(found, indent=1) + "\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())

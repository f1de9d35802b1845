"""Run in a guest by `engine.py`: what Linux needs to resume a cache, and for requests, as JSON.

in_guest.py OUTPUT SECTORS resume|operations TABLE...
"""

import json
import mmap
import os
import sys
import time
from pathlib import Path
from random import Random

from writecache_impl.linux.guest.devicemapper import DeviceMapper

BLOCK_SIZE = 4096
ROUNDS = 4000


def main(output: str, sectors: int, what: str, table: str) -> None:
    """Load, resume, and do requests."""
    mapper = DeviceMapper("/tmp" if os.access("/tmp", os.W_OK) else os.getcwd())
    path, _ = mapper.create(b"bench")
    line = table.replace("ORIGIN", os.environ["ORIGIN"]).replace("CACHE", os.environ["CACHE"])
    mapper.load(b"bench", sectors, b"writecache", line)
    started = time.monotonic()
    mapper.resume(b"bench")
    result: dict[str, object] = {"resume_s": time.monotonic() - started}
    result["status"] = mapper.text(b"bench")
    if what == "operations":
        result |= operations(path, sectors)
    Path(output).write_text(json.dumps(result))


def operations(path: str, sectors: int) -> dict[str, object]:
    """Direct requests of one block at random places, one after the other: how many a second."""
    disk = os.open(path, os.O_RDWR | os.O_DIRECT)
    buffer = mmap.mmap(-1, BLOCK_SIZE)
    buffer[:] = os.urandom(BLOCK_SIZE)
    n_places = sectors * 512 // BLOCK_SIZE
    places = [place * BLOCK_SIZE for place in Random(1).sample(range(n_places), ROUNDS)]
    for place in places:
        os.pwritev(disk, [buffer], place)
    found = {}
    for name, do in (("writes", os.pwritev), ("reads", os.preadv)):
        started = time.monotonic()
        for place in places:
            do(disk, [buffer], place)
        found[f"{name}_per_s"] = ROUNDS / (time.monotonic() - started)
    os.close(disk)
    return found


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], " ".join(sys.argv[4:]))

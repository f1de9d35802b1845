"""A process to be killed: uses the engine over real files, and says what it does.

    python -m writecache_impl.mmap_target.victim CACHE ORIGIN TABLE SEED CLIENTS FIRST_TAG [MUTANT]

A line of its standard output is JSON: `["begin", NUMBER, OP]` before an operation, `["end", NUMBER,
WORKED]` after it.  It goes on until it is killed.  The first line is `["open", STATUS]`.
"""

import json
import os
import sys
import threading
from contextlib import nullcontext
from itertools import count
from random import Random

from writecache_impl.engine import Engine, EngineError
from writecache_impl.mmap_target.mutants import planted
from writecache_models.devices import pattern
from writecache_spec.units import SECTOR_SIZE

_NAMES = (*("write",) * 8, "write_fua", "flush", "discard", "message")


def main(arguments: list[str]) -> None:
    """Work until death."""
    cache, origin, table, seed, clients, first_tag, *mutant = arguments
    with planted(mutant[0]) if mutant else nullcontext():
        engine = Engine.open(table, cache, origin)
        _say(["open", engine.status()])
        numbers, tags = count(), count(int(first_tag))
        threads = [
            threading.Thread(target=_client, args=(engine, Random(f"{seed}-{n}"), numbers, tags))
            for n in range(int(clients))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def _client(engine: Engine, random: Random, numbers: "count[int]", tags: "count[int]") -> None:
    sectors = engine.block_size // SECTOR_SIZE
    n_places = engine.size // engine.block_size
    while True:
        number = next(numbers)
        place = random.randrange(n_places)
        at = [place * sectors, min(random.choice((1, 1, 2, 5)), n_places - place) * sectors]
        name = random.choice(_NAMES)
        arguments: list[object] = ["flush"] if name == "message" else []
        if name not in ("message", "flush"):
            arguments = [*at] if name == "discard" else [*at, next(tags)]
        op: list[object] = [name, *arguments]
        _say(["begin", number, op])
        try:
            _perform(engine, op)
            worked = True
        except EngineError:
            worked = False
        _say(["end", number, worked])


def _perform(engine: Engine, op: list[object]) -> None:
    name, *arguments = op
    numbers = [number for number in arguments if isinstance(number, int)]
    match name:
        case "flush":
            engine.flush()
        case "message":
            engine.message("flush")
        case "discard":
            engine.discard(numbers[0] * SECTOR_SIZE, numbers[1] * SECTOR_SIZE)
        case _:
            data = pattern(numbers[0], numbers[1], numbers[2])
            engine.write(numbers[0] * SECTOR_SIZE, data, fua=name == "write_fua")


def _say(line: list[object]) -> None:
    # One system call a line: what a kill leaves of the last one has no end.
    os.write(1, json.dumps(line).encode() + b"\n")


if __name__ == "__main__":
    main(sys.argv[1:])

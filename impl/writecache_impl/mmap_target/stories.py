"""Random operations on a small cache, for crashes: few blocks, much of everything.

A story is decided by its seed alone.
"""

from random import Random
from typing import NamedTuple

from writecache_models.trace import Op

SECTOR_SIZE = 512


class Story(NamedTuple):
    """What is done, on what."""

    seed: str
    table: str
    cache_sectors: int
    origin_sectors: int
    ops: list[Op]
    settles: float
    """How likely all work in the background is done after an operation; else some of it."""
    fails: float
    """How likely each I/O fails; 0: none does."""
    clients: int
    """Threads; one plays the operations in their order."""

    @property
    def pmem_mode(self) -> bool:
        """Whether the cache is persistent memory."""
        return self.table.startswith("p")


def draw(seed: str, n_ops: int = 30) -> Story:
    """The story that a seed stands for."""
    random = Random(seed)
    pmem_mode = random.random() < 0.25
    block_size = random.choice((512, 512, 1024, 4096))
    sectors = block_size // SECTOR_SIZE
    n_blocks = random.choice((2, 3, 4, 6, 9, 13, 33))
    metadata = -(-(64 + 16 * n_blocks) // block_size) * sectors
    cache_sectors = metadata + n_blocks * sectors
    if pmem_mode:
        cache_sectors = -(-cache_sectors // 8) * 8
    n_places = n_blocks + random.choice((0, 2, 6))
    ops: list[Op] = [["open"]]
    ops += [_operation(random, tag, n_places, sectors) for tag in range(1, n_ops + 1)]
    options = _options(random, pmem_mode)
    return Story(
        seed=seed,
        table=f"{'p' if pmem_mode else 's'} ORIGIN CACHE {block_size} {len(options)} "
        + " ".join(options),
        cache_sectors=cache_sectors,
        origin_sectors=n_places * sectors,
        ops=ops,
        settles=random.choice((0.0, 0.3, 1.0)),
        fails=random.choice((0.0, 0.0, 0.0, 0.02)),
        clients=random.choice((1, 1, 1, 3)),
    )


def _operation(random: Random, tag: int, n_places: int, sectors: int) -> Op:
    place = random.randrange(n_places)
    length = random.choice((1, 1, 2, 3, n_places))
    at = [place * sectors, min(length, n_places - place) * sectors]
    draw = random.random()
    if draw < 0.5:
        name = random.choice(("write", "write", "write", "write_fua", "write_dsync"))
        return [name, *at, tag]
    if draw < 0.58:
        return ["read", *at]
    if draw < 0.78:
        return ["flush"]
    if draw < 0.85:
        return ["discard", *at]
    if draw < 0.92:
        return ["message", random.choice(("flush", "flush", "flush", "cleaner"))]
    return [random.choice(("suspend", "open"))]


def _options(random: Random, pmem_mode: bool) -> list[str]:
    options = [] if pmem_mode else ["pause_writeback", "0"]
    options += ["autocommit_time", random.choice(("0", "3600000"))]
    if random.random() < 0.6:
        high = random.choice((0, 30, 60, 100))
        options += ["high_watermark", str(high), "low_watermark", str(random.choice((0, high)))]
    if random.random() < 0.3:
        options += ["autocommit_blocks", str(random.choice((1, 2)))]
    if random.random() < 0.2:
        options += ["writeback_jobs", "1"]
    if random.random() < 0.1:
        options += ["cleaner"]
    return options

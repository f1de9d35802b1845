"""Workloads: random traces, each family aimed at a part of the target.

A workload is decided by its seed alone, never by what an implementation answers.  Operations that
cannot be done (the device is not there, because an open was refused) are left out by whoever plays
it.  Every write has a tag of its own, so that a lost or a stale sector shows.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from writecache_models.images import DAMAGES, Geometry, crafted_cache
from writecache_models.trace import Trace
from writecache_models.workloads import aimed, crowds, damaged, failing, requests, tables, timers
from writecache_models.workloads.author import Author
from writecache_models.workloads.memory import on_either

Story = Callable[[Author], str]
"""Appends a trace's operations and returns its table."""

FAMILIES: Final[dict[str, tuple[Story, int]]] = {
    "plain": (requests.plain, 10),
    "requests": (requests.requests, 16),
    "watermarks": (requests.watermarks, 12),
    "autocommit": (requests.autocommit, 8),
    "messages": (requests.messages, 8),
    "suspends": (requests.suspends, 8),
    "reloads": (tables.reloads, 8),
    "tables": (tables.tables, 6),
    "crafted": (damaged.crafted, 14),
    "sweep": (requests.sweep, 3),
    "metadata_only": (requests.metadata_only, 2),
    "sleeps": (timers.sleeps, 1),
    "pauses": (timers.pauses, 0),
    "failing": (failing.failing, 0),
    "crowds": (crowds.crowds, 0),
    **{story.__name__: (story, 0) for story in aimed.STORIES},
}
"""Families of workloads, with how often each is drawn."""


def _geometry(random: Random, tiny: bool = False) -> Geometry:
    block_size = random.choice((512, 1024, 2048, 4096, 4096, 4096))
    n_blocks = random.choice((2, 3, 4, 6, 8)) if tiny else random.choice((8, 16, 31, 63, 100))
    sectors = block_size // 512
    metadata = -(-(64 + 16 * n_blocks) // block_size) * sectors
    cache_sectors = (n_blocks * sectors + metadata + 7) // 8 * 8
    origin_sectors = max(16, random.choice((12, 24, 64)) * sectors)
    return Geometry(block_size, cache_sectors, origin_sectors)


def generate(
    seed: str, family: str | None = None, target: str = "1.6.0", memory: bool = False
) -> Trace:
    """The trace that a seed stands for, its steps without observations.

    With `memory` the cache device is persistent memory, and most traces are of mode `p`.

    >>> generate("1").table == generate("1").table
    True
    """
    random = Random(seed)
    names = list(FAMILIES)
    # Drawn only where the target has the option, and by name: its sleeps are long.
    family = family or random.choices(names, [FAMILIES[name][1] for name in names], k=1)[0]
    geometry = _geometry(random, tiny=random.random() < 0.3)
    if family == "sweep":
        geometry = random.choice(
            (Geometry(512, 20480, 4096), Geometry(4096, 1304, 2048), Geometry(4096, 2608, 4096))
        )
    elif random.random() < 0.12:
        start = random.choice((1, 8, 24, 64))
        geometry = geometry._replace(
            start_sector=start, cache_sectors=geometry.cache_sectors + -(-start // 8) * 8
        )
    image = b""
    if family == "crafted":
        image = crafted_cache(random, geometry, random.choice(DAMAGES))
    author = Author(random, geometry, has_pause=target != "1.4.0")
    author.image = image
    table = FAMILIES[family][0](author)
    trace = Trace(
        name=f"{family}-{seed}",
        kernel=None,
        target=target,
        table=table,
        cache_sectors=author.geometry.cache_sectors,
        origin_sectors=author.geometry.origin_sectors,
        cache_image=author.image,
        extra={"family": family, "seed": seed, **author.extra},
        steps=tuple((op, {}) for op in author.ops),
    )
    return on_either(trace, seed) if memory else trace

"""Hypothesis strategies: geometries, operations and traces that a target can be asked for.

Needs the extra `conformance`.  Traces shrink as Hypothesis shrinks: fewer operations, lower
sectors.
"""

from typing import NamedTuple

from hypothesis import strategies as st

from writecache_models.conformance.target import Ability, Facts, Level
from writecache_models.trace import Op, Trace
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE, round_up
from writecache_spec.units import SECTOR_SIZE, sectors_of


class Geometry(NamedTuple):
    """Sizes of a small cache and its origin."""

    block_size: int
    """Bytes."""
    n_blocks: int
    """Of the cache."""
    n_places: int
    """Blocks of the origin."""

    @property
    def block_sectors(self) -> int:
        """Sectors in a block."""
        return self.block_size // SECTOR_SIZE

    @property
    def cache_sectors(self) -> int:
        """Sectors of the cache device."""
        metadata = round_up(SUPERBLOCK_SIZE + ENTRY_SIZE * self.n_blocks, self.block_size)
        return sectors_of(metadata) + self.n_blocks * self.block_sectors

    @property
    def table(self) -> str:
        """A table without options."""
        return f"s ORIGIN CACHE {self.block_size} 0"

    def trace(self, ops: list[Op], name: str = "drawn") -> Trace:
        """Operations on new devices of these sizes."""
        return Trace(
            name=name,
            kernel=None,
            target=None,
            table=self.table,
            cache_sectors=self.cache_sectors,
            origin_sectors=self.n_places * self.block_sectors,
            steps=tuple((op, {}) for op in ops),
        )


def geometries(
    block_sizes: tuple[int, ...] = (512, 1024, 4096), most_blocks: int = 9
) -> st.SearchStrategy[Geometry]:
    """Geometries: caches of a few blocks, which are full soon."""
    return st.builds(
        Geometry,
        st.sampled_from(block_sizes),
        st.integers(2, most_blocks),
        st.integers(2, 2 * most_blocks),
    )


@st.composite
def _places(draw: st.DrawFn, geometry: Geometry) -> list[int]:
    first = draw(st.integers(0, geometry.n_places - 1))
    length = draw(st.integers(1, min(4, geometry.n_places - first)))
    return [first * geometry.block_sectors, length * geometry.block_sectors]


def operations(facts: Facts, geometry: Geometry, tag: int = 1) -> st.SearchStrategy[Op]:
    """One operation that a target can be asked for, on a device that is open.

    A write has this tag: each has to have one of its own, so that a stale sector shows.
    """
    places = _places(geometry)
    seeds = st.integers(0, 2**31 - 1)
    kinds: list[tuple[Ability | None, st.SearchStrategy[Op]]] = [
        (None, st.builds(lambda at: ["write", *at, tag], places)),
        (None, st.builds(lambda at: ["read", *at], places)),
        (None, st.just(["flush"])),
        (Ability.FUA, st.builds(lambda at: ["write_fua", *at, tag], places)),
        (Ability.DISCARD, st.builds(lambda at: ["discard", *at], places)),
        (Ability.ZEROES, st.builds(lambda at: ["zeroes", *at], places)),
        (Ability.MESSAGE, st.just(["message", "flush"])),
        (Ability.SUSPEND, st.just(["open"])),
        (Ability.CRASH, st.builds(lambda seed: ["crash", seed, 0], seeds)),
        (Ability.CRASH_WITHIN,
         st.builds(lambda seed, after: ["crash", seed, after], seeds, st.integers(1, 30))),
    ]  # fmt: skip
    if facts.level >= Level.IMAGES:
        kinds.append((Ability.SNAPSHOT, st.just(["snapshot"])))
    return st.one_of(
        [kind for ability, kind in kinds if ability is None or ability in facts.abilities]
    )


@st.composite
def traces(draw: st.DrawFn, facts: Facts, most_operations: int = 40) -> Trace:
    """Traces: a cache is opened, used, opened again wherever the power failed, and read."""
    geometry = draw(geometries())
    listed = draw(st.lists(operations(facts, geometry), max_size=most_operations))
    whole: Op = ["read", 0, geometry.n_places * geometry.block_sectors]
    ops: list[Op] = [["open"]]
    for tag, op in enumerate(listed, 1):
        ops.append([*op[:3], tag] if op[0].startswith("write") else op)
        if op[0] == "crash" and not op[2]:
            ops += [["open"], whole]
    return geometry.trace([*ops, ["open"], whole])

"""Caches of a few blocks whose entries are symbolic, as they can be between two events.

Each block has a *status*: free, committed, in progress (committed, and being copied to the origin)
or uncommitted.  Original sectors and sequence counts are symbolic, and may be equal: which of them
are, and in which order they lie, splits the path where the shipped tree compares them.  Blocks
stand in the order in which they were inserted: nothing but the place of an entry depends on a
block's number.

What is supposed of such a cache are the invariants of `spec/invariants`; `supposes_invariants` has
them checked on each path, so that nothing is built here which they exclude.
"""

from collections.abc import Sequence
from itertools import combinations
from typing import Any, Final, Literal, NamedTuple

from writecache_proofs.families.constants import config_of
from writecache_proofs.symbolic import Run, implies, negation
from writecache_spec.layout import MAGIC, VERSION, Superblock
from writecache_spec.ordered import OrderedMap
from writecache_spec.profile import PROFILES, Profile
from writecache_spec.state import FREE, Config, Entry, State
from writecache_spec.units import U64_MAX, BlockIndex, Jiffies, Sector, SequenceCount
from writecache_spec.vector import Vector

Placed = Literal["free", "committed", "progress", "uncommitted"]
STATUSES: Final[tuple[Placed, ...]] = ("progress", "committed", "uncommitted", "free")
LAST_SECTOR: Final = 2**55 - 1
"""Of the largest device, in sectors."""
ORIGIN_SECTORS: Final = Sector(LAST_SECTOR + 1)
_COMMITTED: Final = ("committed", "progress")
_FOLLOW: Final = {
    ("progress", "committed"),
    ("progress", "uncommitted"),
    ("committed", "uncommitted"),
    ("uncommitted", "uncommitted"),
}
"""Which versions of one sector there can be beside each other, the older one first."""


class Part(NamedTuple):
    """Caches of which so many blocks are new: what a proof of all at once would take too long for.

    >>> Part(1, 2).includes(("progress", "progress", "uncommitted"))
    True
    >>> Part(1, 2).includes(("progress", "uncommitted"))
    False
    """

    n_new: int
    """Uncommitted ones."""
    n_progress: int | None = None
    """Those under writeback; None: any number."""

    def includes(self, statuses: Sequence[Placed]) -> bool:
        """Whether a cache is among them."""
        rest = (None, statuses.count("progress"))
        return statuses.count("uncommitted") == self.n_new and self.n_progress in rest

    @property
    def words(self) -> str:
        """As a theorem's name has it."""
        rest = "" if self.n_progress is None else f" and {self.n_progress} are under writeback"
        return f"{self.n_new} are new{rest}"


PARTS_OF_SIX: Final = (
    Part(0),
    Part(1),
    *(Part(n_new, n_progress) for n_new in range(2, 7) for n_progress in range(7 - n_new)),
)


def statuses_of(run: Run, n_entries: int, only: Sequence[Placed] = STATUSES) -> tuple[Placed, ...]:
    """Any statuses: blocks in progress first, then committed, uncommitted and free ones.

    That is the order of insertion where it matters: between versions of one sector.
    """
    rank = {status: number for number, status in enumerate(STATUSES)}
    found: list[Placed] = []
    for number in range(n_entries):
        least = rank[found[-1]] if found else 0
        options = [status for status in only if rank[status] >= least]
        found.append(run.choose(f"status {number}", options))
    return tuple(found)


def cache_of(
    run: Run,
    statuses: Sequence[Placed],
    profile: Profile | None = None,
    places: Sequence[int] = (),
    last_count: int = U64_MAX - 1,
    pmem_mode: bool = False,
    any_order: bool = False,
) -> State:
    """A running cache of such blocks.

    `places` are their numbers; the blocks between them are free.  Blocks of one status are named in
    the order of their sectors, unless it matters in which order they were inserted (`any_order`).
    """
    places = places or range(len(statuses))
    config = _config(profile or PROFILES["1.6.0"], max(places) + 1, pmem_mode)
    seq_count = run.integer("seq_count", 0, last_count)
    entries = [FREE] * config.n_blocks
    sectors: dict[int, Any] = {}
    for number, (place, status) in enumerate(zip(places, statuses, strict=True)):
        sectors[number] = run.integer(f"sector {number}", 0, LAST_SECTOR)
        entries[place] = _entry(run, number, status, sectors[number], seq_count)
    for a, b in combinations(range(len(statuses)), 2):
        same = sectors[a] == sectors[b]
        if "free" in (statuses[a], statuses[b]):
            continue
        if statuses[a] == statuses[b] and statuses[a] in _COMMITTED:
            # One of each status in a sector; which of two such blocks is which is but a name.
            run.suppose(negation(same) if any_order else sectors[a] < sectors[b])
        elif (statuses[a], statuses[b]) not in _FOLLOW:
            run.suppose(negation(same))
        elif statuses[b] in _COMMITTED:
            older, newer = entries[places[a]].seq_count, entries[places[b]].seq_count
            run.suppose(implies(same, older < newer))
    listed = [(place, status) for place, status in zip(places, statuses, strict=True)]
    return _assembled(config, entries, listed, seq_count)


def empty_cache(profile: Profile, n_blocks: int, pmem_mode: bool = False) -> State:
    """A running cache with nothing in it, and nothing symbolic."""
    return _assembled(_config(profile, n_blocks, pmem_mode), [FREE] * n_blocks, (), 0)


def _config(profile: Profile, n_blocks: int, pmem_mode: bool) -> Config:
    metadata_sectors = (64 + 16 * n_blocks + 511) // 512
    config = config_of(512, 0, metadata_sectors, n_blocks)
    return config._replace(profile=profile, pmem_mode=pmem_mode)


def _entry(run: Run, number: int, status: Placed, sector: Any, seq_count: Any) -> Entry:
    if status == "free":
        return Entry(Sector(sector), SequenceCount(U64_MAX))
    if status == "uncommitted":
        return Entry(Sector(sector), SequenceCount(seq_count), Jiffies(0), number)
    own = run.integer(f"count {number}", 0, U64_MAX - 2)
    run.suppose(own < seq_count)
    in_progress = status == "progress"
    return Entry(Sector(sector), SequenceCount(own), Jiffies(0), number, in_progress)


def _assembled(
    config: Config, entries: list[Entry], listed: Sequence[tuple[int, Placed]], seq_count: Any
) -> State:
    """Tree, LRU and free list, as the entries have them."""
    tree: OrderedMap[tuple[BlockIndex, ...]] = OrderedMap()
    lru: OrderedMap[BlockIndex] = OrderedMap()
    used = set()
    for place, status in listed:
        if status == "free":
            continue
        index = BlockIndex(place)
        used.add(index)
        sector = entries[place].original_sector
        tree = tree.set(sector, (*(tree.get(sector) or ()), index))
        if status != "progress":
            lru = lru.set(entries[place].lru_key, index)
    free = [BlockIndex(i) for i in range(config.n_blocks) if i not in used]
    if config.pmem_mode:
        freelist = OrderedMap(enumerate(free))
        for key, index in enumerate(free):
            entries[index] = entries[index]._replace(lru_key=key)
    else:
        freelist = OrderedMap((index, index) for index in free)
    return State(
        config=config,
        superblock=Superblock(MAGIC, VERSION, 512, 0, config.n_blocks, seq_count),
        entries=Vector(entries),
        tree=tree,
        lru=lru,
        freelist=freelist,
        current_free=free[0] if free else None,
        seq_count=SequenceCount(seq_count),
        writeback_size=sum(status == "progress" for _, status in listed),
        suspended=False,
        poisoned=False,
        data_device_sectors=ORIGIN_SECTORS,
    )

"""Theorems about the engine: its own versions of a calculation yield what the reference's do.

The engine shares with the reference only how tables and sizes are read.  What it calculates anew,
on flat arrays and in bytes, is run here beside the reference's function on the same values, both on
symbolic ones: equal for every input within the bound, or the exact place where they part.
"""

from types import SimpleNamespace
from typing import Any, Final

from writecache_impl.engine import commit, config, recovery, writeback
from writecache_impl.engine.state import Cache
from writecache_models.mutants import Edit
from writecache_proofs.catalogue import judge, named
from writecache_proofs.families import MODULES
from writecache_proofs.families.constants import config_of
from writecache_proofs.families.states import cache_of
from writecache_proofs.judging import Options, Outcome
from writecache_proofs.symbolic import Run, all_of
from writecache_proofs.theorem import Family, Kind, Twin
from writecache_spec.arguments import Arguments
from writecache_spec.commit import dirty_runs, superblock_sectors
from writecache_spec.construct import _configure
from writecache_spec.layout import (
    ENTRY_SIZE,
    SUPERBLOCK_SIZE,
    MemoryEntry,
    MemorySize,
    entry_region,
)
from writecache_spec.resume import _rebuild
from writecache_spec.state import State, cache_sector, entry_is_committed
from writecache_spec.units import (
    U64_MAX,
    BlockIndex,
    ByteCount,
    Jiffies,
    Sector,
    SequenceCount,
    bytes_of,
    sectors_of,
)
from writecache_spec.writeback import _pause_is_over, _wanted

ENGINE: Final = Family("engine", __name__)
ALL_MODULES: Final = {**MODULES, ENGINE.name: (__name__,)}
"""Families of theorems, these included."""
_BLOCK_SIZES: Final = tuple(2**shift for shift in range(9, 17))
_TICKS: Final = 2**32
"""Where the engine's ages wrap."""


def judge_named(name: str, options: Options) -> Outcome:
    """Judge a theorem of any family: what another process can be asked."""
    return judge(named(name, ALL_MODULES), options)


@ENGINE.theorem(
    Twin("the smaller count wins", (
        Edit(recovery.decide, "if seq_counts[old] > seq_counts[index]:",
             "if seq_counts[old] < seq_counts[index]:"),)),
    Twin("what lost is free where it lies", (
        Edit(recovery.decide, "lost.append((index, old))", "lost.append((old, old))"),)),
    bound="4 entries of any content",
)  # fmt: skip
def the_engine_recovers_what_the_reference_does(run: Run) -> None:
    """Of any entries both take the same blocks, in the same order of the LRU; free the same, in the
    same order; erase the same; and complain of the same."""
    run.allow_keys()
    sectors = [run.integer(f"sector {number}", 0, U64_MAX) for number in range(4)]
    counts = [run.integer(f"count {number}", 0, U64_MAX) for number in range(4)]
    count = run.integer("seq_count", 0, U64_MAX)
    found = recovery.scan(sectors, counts, count)
    entries = (
        MemoryEntry(Sector(a), SequenceCount(b)) for a, b in zip(sectors, counts, strict=True)
    )
    rebuilt = _rebuild(tuple(entries), count)
    run.claim(list(found.cached) == list(rebuilt.by_sector.values()), "the same blocks in use")
    run.claim(list(found.free) == rebuilt.free, "the same blocks free")
    run.claim(sorted(found.erased) == sorted(rebuilt.erased), "the same blocks erased")
    run.claim(len(found.identical) == len(rebuilt.identical), "the same complaints")


@ENGINE.theorem(
    Twin("a run's end is its last region", (
        Edit(commit.dirty_runs, "runs[-1][0], region + 1", "runs[-1][0], region"),)),
    kind=Kind.CHECKED, bound="all sets of 12 regions",
)  # fmt: skip
def the_engine_writes_the_same_runs_of_regions(run: Run) -> None:
    """Of every set of dirty regions both make the same runs."""
    for bitmap in range(2**12):
        regions = {region for region in range(12) if bitmap >> region & 1}
        ours = [(first, end - first) for first, end in commit.dirty_runs(regions)]
        if ours != dirty_runs(bitmap):
            run.claim(False, "the same runs")
    run.claim(True, "the same runs")


def _both_configured(run: Run) -> tuple[config.Config, Any]:
    """Both configurations of one table."""
    block_size = run.choose("block_size", _BLOCK_SIZES)
    pmem_mode = run.choose("pmem", (False, True))
    arguments = Arguments("ORIGIN", "CACHE", ByteCount(block_size), pmem_mode=pmem_mode)
    given = run.choose("given", (False, True))
    if given:
        arguments = arguments._replace(
            start_sector=Sector(run.integer("start_sector", 0, 2**54)),
            autocommit_blocks=run.integer("autocommit_blocks", 0, 2**32 - 1),
            autocommit_time=run.integer("autocommit_time", 0, 2**32 - 1),
            max_age=run.integer("max_age", 0, 2**32 - 1),
            writeback_jobs=run.integer("writeback_jobs", 0, 2**32 - 1),
            pause_writeback=run.integer("pause_writeback", 0, 2**32 - 1),
            fua=run.choose("fua", (False, True)),
        )
    n_blocks = run.integer("n_blocks", 1, 2**47 - 1)
    n_metadata_blocks = run.integer("n_metadata_blocks", 1, 2**50)
    size = MemorySize(BlockIndex(n_blocks), ByteCount(n_metadata_blocks * block_size))
    device: Any = None
    named_ = config.Named(arguments, device, device, config.LIKE)
    ours = config.configure(named_, size.n_blocks, size.metadata_size)
    return ours, _configure(config.LIKE, arguments, size)


@ENGINE.theorem(
    Twin("a smaller superblock", (
        Edit(config.configure, "min(max(_SMALLEST_SUPERBLOCK_WRITE, size), metadata_size)",
             "size"),)),
    Twin("the data begins with the metadata", (
        Edit(config.configure, "named.start + metadata_size", "metadata_size"),)),
    bound="block sizes 512 to 65536",
)  # fmt: skip
def the_engine_is_configured_as_the_reference(run: Run) -> None:
    """Of any table, size and options both work out the same places, lengths, times and limits."""
    ours, theirs = _both_configured(run)
    run.claim(ours.block_sectors == theirs.block_sectors, "the size of a block")
    run.claim(ours.start == bytes_of(theirs.start_sector), "where the metadata begins")
    run.claim(ours.metadata_size == bytes_of(theirs.metadata_sectors), "its length")
    run.claim(ours.data_start == bytes_of(theirs.data_start), "where the data begins")
    carried = bytes_of(superblock_sectors(theirs))
    run.claim(ours.superblock_size == carried, "the superblock's write")
    run.claim(ours.autocommit_blocks == theirs.autocommit_blocks, "when a commit is asked for")
    run.claim(ours.autocommit_ticks == theirs.autocommit_jiffies, "its time")
    run.claim(ours.max_age == theirs.max_age, "the greatest age")
    run.claim(ours.max_writeback_jobs == theirs.max_writeback_jobs, "how much is copied at once")
    run.claim(ours.pause == theirs.pause, "the pause")
    run.claim(ours.writeback_fua == theirs.writeback_fua, "FUA of writeback")


@ENGINE.theorem(
    Twin("an equal count is committed", (
        Edit(Cache.is_committed, "< self.seq_count", "<= self.seq_count"),)),
    Twin("the data begins at the device's", (
        Edit(Cache.data_of, "self.config.data_start + ", ""),)),
    bound="block sizes 512 to 65536",
)  # fmt: skip
def the_engine_places_and_compares_as_the_reference(run: Run) -> None:
    """Where a block's data lies, which region its entry is in, and what is committed."""
    index, count = run.integer("index", 0, 2**47 - 1), run.integer("count", 0, U64_MAX)
    block_size = run.choose("block_size", _BLOCK_SIZES)
    n_metadata_blocks = run.integer("n_metadata_blocks", 1, 2**50)
    metadata_size = n_metadata_blocks * block_size
    theirs = config_of(block_size, 0, sectors_of(metadata_size), 1)
    wc = cache_of(run, ("committed",))
    ours: Any = SimpleNamespace(
        config=SimpleNamespace(data_start=metadata_size, block_size=block_size),
        entries=SimpleNamespace(seq_counts=[count]),
        seq_count=wc.seq_count,
        dirty=set(),
    )
    run.claim(Cache.data_of(ours, index) == bytes_of(cache_sector(theirs, index)), "a block's data")
    entry = wc.entries[0]._replace(seq_count=SequenceCount(count))
    same = Cache.is_committed(ours, 0) == entry_is_committed(wc, entry)
    run.claim(same, "what is committed")
    place = SUPERBLOCK_SIZE + index * ENTRY_SIZE
    run.claim(place // 65536 == entry_region(index), "an entry's region")


def _pass(run: Run, greatest_age: int) -> tuple[Any, State, Any]:
    """The oldest block of a cache of two, the same for both."""
    now = run.integer("now", 0, U64_MAX)
    age = run.integer("age", 0, greatest_age)
    run.suppose(age <= now)
    max_age = run.choose("max_age", (0, 1, 15, 16, 17, 100, 2**30, U64_MAX))
    low, everything = run.integer("low", 0, 3), run.integer("everything", 0, 2)
    wc = cache_of(run, ("committed", "free"))
    oldest = wc.entries[0]._replace(age=Jiffies(now - age))
    wc = wc._replace(
        entries=wc.entries.set(0, oldest),
        freelist_low_watermark=low,
        writeback_all=everything,
        config=wc.config._replace(max_age=Jiffies(max_age)),
    )
    ours = SimpleNamespace(
        error=False, writeback_all=everything, writeback_size=0, low_watermark=low,
        entries=SimpleNamespace(n_free=1, ages=[(now - age) % _TICKS]),
        config=SimpleNamespace(max_age=max_age), now=lambda: now,
    )  # fmt: skip
    return ours, wc, now


def _wants(run: Run, greatest_age: int) -> None:
    ours, wc, now = _pass(run, greatest_age)
    run.claim(bool(writeback._wanted(ours, 0)) == bool(_wanted(wc, now)), "both or neither")


def _at_any_age(run: Run) -> None:
    """A pass takes the same blocks whatever their age."""
    _wants(run, 2**33)


@ENGINE.theorem(
    Twin("at any age", check=_at_any_age),
    Twin("a block more than the watermark", (
        Edit(writeback._wanted, "<= wc.low_watermark", "< wc.low_watermark"),)),
    bound="ages below 2**32 ticks, eight values of max_age",
)  # fmt: skip
def the_engine_goes_on_with_a_pass_as_the_reference(run: Run) -> None:
    """A pass goes on for the same reasons, as long as no block has been there for 2**32 ticks: the
    engine keeps 32 bits of an age."""
    _wants(run, _TICKS - 1)


@ENGINE.theorem(
    Twin("the pause is never over", (
        Edit(writeback.pause_left, "max(pause - idle, 0)", "max(pause - idle, 1)"),)),
)  # fmt: skip
def the_engine_pauses_as_the_reference(run: Run) -> None:
    """Writeback pauses for the origin's writes at the same times."""
    pause, idle_since = run.integer("pause", 0, 2**40), run.integer("idle since", 0, U64_MAX)
    now, in_flight = run.integer("now", 0, U64_MAX), run.integer("in flight", 0, 2**31)
    everything = run.integer("everything", 0, 2)
    cleaner, suspended = run.flag("cleaner"), run.flag("suspended")
    wc = cache_of(run, ("free",))
    wc = wc._replace(
        config=wc.config._replace(pause=Jiffies(pause)), cleaner=cleaner, suspended=suspended,
        writeback_all=everything, origin_writes_in_flight=in_flight,
        origin_idle_since=Jiffies(idle_since),
    )  # fmt: skip
    ours: Any = SimpleNamespace(
        config=SimpleNamespace(pause=pause), cleaner=cleaner, suspended=suspended,
        writeback_all=everything, origin_writes_in_flight=in_flight, origin_idle_since=idle_since,
        now=lambda: now,
    )  # fmt: skip
    over = bool(_pause_is_over(wc, Jiffies(now)))
    run.claim(all_of([bool(writeback.pause_is_over(ours)) == over]), "both or neither")

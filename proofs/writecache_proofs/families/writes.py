"""Induction over events, part two: writes.

A write goes to the newest version of its sectors, to a block that was free, or past the cache where
no sector of it is cached; never to a block that is being copied.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families.medium import NO_BLOCK, block_at
from writecache_proofs.families.refining import Begun, Owed, newest_at
from writecache_proofs.families.running import (
    full_and_committed,
    full_and_first_written,
    full_and_other_written,
    full_and_written,
    running,
    with_room,
)
from writecache_proofs.families.states import LAST_SECTOR, Placed
from writecache_proofs.families.stepping import NOTHING, goes_on, reads_on, stepped
from writecache_proofs.symbolic import Run, all_of, either, implies, negation
from writecache_proofs.theorem import Family, Twin
from writecache_spec import map_pmem, map_write
from writecache_spec.effects import Remap, StoreBlock
from writecache_spec.entries import allocate
from writecache_spec.events import (
    Bio,
    Device,
    Map,
    Op,
)
from writecache_spec.state import blocks_at
from writecache_spec.step import Step
from writecache_spec.units import Jiffies, Sector

WRITES: Final = Family("induction", __name__)


def request_of(run: Run, op: Op, length: int) -> Bio:
    """A request of so many blocks, anywhere."""
    sector = Sector(run.integer("first sector", 0, LAST_SECTOR - 2))
    n_sectors = Sector(length)
    fua, meta = run.flag("fua"), run.flag("meta")
    return Bio(op, sector, n_sectors, fua=fua, meta=meta)


def writes(
    run: Run,
    n_entries: int,
    pmem_mode: bool,
    length: int,
    plain: bool = False,
    such: Callable[[Sequence[Placed]], bool] = lambda statuses: True,
) -> None:
    """A write of a few blocks; `plain`: a cache without options, a request without flags."""
    begun = running(
        run,
        n_entries,
        pmem_mode,
        arranged=True,
        whereabouts=("copying",),
        dirty=(0,),
        unwritten=(False,) if plain else (False, True),
        such=such,
    )
    wc = begun.wc._replace(suspended=False)
    request = request_of(run, Op.WRITE, length)
    if plain:
        wc = wc._replace(cleaner=False, uncommitted_blocks=0)
        request = request._replace(fua=False, meta=False)
    else:
        config = wc.config._replace(metadata_only=run.flag("metadata only"))
        wc = wc._replace(config=config)
    begun = begun._replace(wc=wc)
    if (after := stepped(begun, Map(request, Jiffies(0)))) is None:
        return
    written = _written(begun, after)
    expected = newest_at(begun)
    for place, sector in written:
        expected = either(begun.sector == sector, place, expected)
    reads_on(begun, after.state, expected)
    goes_on(begun, after, _owed(begun, after))
    past_the_cache(begun, after)


def _written(begun: Begun, after: Step) -> list[tuple[int, Any]]:
    """The cache blocks that the request is written to, and their sectors; claims what they are."""
    wc, run = begun.wc, begun.run
    written: list[tuple[int, Any]] = []
    for effect in after.effects:
        if isinstance(effect, StoreBlock):
            written.append((int(effect.block), effect.bio.sector))
        elif isinstance(effect, Remap) and effect.device is Device.CACHE:
            places = blocks_at(wc.config, effect.sector, effect.n_sectors)
            written += [(place, effect.bio.sector + n) for n, place in enumerate(places)]
    for place, sector in written:
        run.claim(not wc.entries[place].write_in_progress, "not to what is being copied")
        run.claim(block_at(after.state, sector) == place, "to the newest version")
        committed = wc.entries[place].seq_count < wc.seq_count
        if wc.config.pmem_mode:
            run.claim(negation(committed), "never over what is committed")
        else:
            run.claim(implies(committed, after.state.overwrote_committed), "and that is known")
    return written


def _owed(begun: Begun, after: Step) -> Owed:
    """A write commits nothing, but in persistent memory it may: all there is."""
    if after.state.seq_count is begun.wc.seq_count:
        return NOTHING
    return Owed(NOTHING.meanwhile, lambda one: newest_at(one._replace(wc=after.state)))


def past_the_cache(begun: Begun, after: Step) -> None:
    """Claim that nothing goes to the origin of which the cache has a version."""
    for effect in after.effects:
        if isinstance(effect, Remap) and effect.device is Device.ORIGIN:
            begin = effect.sector
            inside = all_of([begin <= begun.sector, begun.sector < begin + effect.n_sectors])
            found = block_at(after.state, begun.sector)
            begun.run.claim(implies(inside, found == NO_BLOCK), "no cached sector goes past")
            begun.run.claim(effect.n_sectors >= 1, "something goes")


_OVER_COPIES: Final = Edit(map_write.map_write, "if not entry.write_in_progress:", "if True:")


_TWO: Final = "caches of 2 blocks in any state and order, with any options"
_THREE: Final = "caches of 3 blocks in any state and order, with the default options"
_OLDER: Final = Twin(
    "without the repair: over an older version",
    (Edit(map_write._overwrite, "find_newest(wc, expected) != neighbour", "False"),),
    finding="overwrite-hits-older-version",
)


@WRITES.theorem(
    Twin("over a block that is being copied", (_OVER_COPIES,)),
    Twin("an overwrite of a committed block is not remembered", (
        Edit(map_write.map_write, "wc = wc._replace(overwrote_committed=True, stats=stats)",
             "wc = wc._replace(stats=stats)"),)),
    bound=f"{_TWO}; requests of a block",
)  # fmt: skip
def a_write_of_a_block_keeps_the_invariants(run: Run) -> None:
    """A write, from any state: it goes to the newest version of its sectors or past the cache, and
    what is durable stays as it is."""
    writes(run, 2, False, 1)


@WRITES.theorem(
    Twin("over a block that is being copied", (_OVER_COPIES,)),
    bound=f"{_TWO}; requests of 2 blocks",
)
def a_write_of_two_blocks_keeps_the_invariants(run: Run) -> None:
    """The same of a write of two blocks, which may find neighbours to overwrite, or to take."""
    writes(run, 2, False, 2)


@WRITES.theorem(
    Twin("over a block that is being copied", (_OVER_COPIES,)),
    bound=f"{_THREE}; no block is free, all are committed; requests of a block",
)
def a_write_to_a_full_cache_keeps_the_invariants(run: Run) -> None:
    """The same of a cache that has no free block, where all is committed."""
    writes(run, 3, False, 1, True, full_and_committed)


@WRITES.theorem(
    Twin("over a block that is being copied", (_OVER_COPIES,)),
    bound=f"{_THREE}; no block is free, some are not committed; requests of a block",
)
def a_write_to_a_full_cache_of_which_some_is_uncommitted_keeps_the_invariants(run: Run) -> None:
    """The same where some are not committed."""
    writes(run, 3, False, 1, True, full_and_written)


@WRITES.theorem(
    Twin("over a block that is being copied", (_OVER_COPIES,)),
    bound=f"{_THREE}; no block is free, all are committed; requests of 2 blocks",
)
def a_write_of_two_blocks_over_committed_ones_keeps_the_invariants(run: Run) -> None:
    """The same of two blocks where all is committed: never over a version that is being copied."""
    writes(run, 3, False, 2, True, full_and_committed)


@WRITES.theorem(_OLDER, bound=f"{_THREE}; no block is free, the first is not committed; requests "
                "of 2 blocks")  # fmt: skip
def a_write_of_two_blocks_over_uncommitted_ones_keeps_the_invariants(run: Run) -> None:
    """The same where some are not committed, the first block among them."""
    writes(run, 3, False, 2, True, full_and_first_written)


@WRITES.theorem(_OLDER, bound=f"{_THREE}; no block is free, the first is committed and some are "
                "not; requests of 2 blocks")  # fmt: skip
def a_write_of_two_blocks_over_later_uncommitted_ones_keeps_the_invariants(run: Run) -> None:
    """The same where the first block is committed, and others are not."""
    writes(run, 3, False, 2, True, full_and_other_written)


def _in_a_cache_with_room(run: Run) -> None:
    writes(run, 3, False, run.choose("length", (1, 2)), True, with_room)


@WRITES.theorem(Twin("over a block that is being copied", (_OVER_COPIES,)), bound=f"{_THREE}; "
                  "some are free; requests of 1 or 2 blocks")  # fmt: skip
def a_write_to_a_cache_with_room_keeps_the_invariants(run: Run) -> None:
    """The same of a cache that has free blocks: next to others, in any arrangement."""
    _in_a_cache_with_room(run)


_OVER_COMMITTED: Final = Edit(
    map_pmem.write_pmem, "if index is not None and not entry_is_committed(wc, wc.entries[index]):",
    "if index is not None:",
)  # fmt: skip


@WRITES.theorem(
    Twin("over a committed block", (_OVER_COMMITTED,)),
    Twin("a new block's entry is not stored", (
        Edit(allocate, "transcript.tell(StoreEntry(index, entry.seq_count, "
             "entry.original_sector))", "pass"),)),
    bound=f"{_TWO}; requests of 1 or 2 blocks",
)  # fmt: skip
def a_write_of_persistent_memory_keeps_the_invariants(run: Run) -> None:
    """A write to persistent memory may commit: then all that was written becomes durable, and else
    nothing; a committed block is never overwritten."""
    writes(run, 2, True, run.choose("length", (1, 2)))


@WRITES.theorem(Twin("over a committed block", (_OVER_COMMITTED,)), bound=f"{_THREE}; some are "
                "free; requests of a block")  # fmt: skip
def a_write_to_three_blocks_of_memory_keeps_the_invariants(run: Run) -> None:
    """The same of three blocks."""
    writes(run, 3, True, 1, True, with_room)


@WRITES.theorem(Twin("over a committed block", (_OVER_COMMITTED,)), bound=f"{_THREE}; no block is "
                "free, all are committed; requests of a block")  # fmt: skip
def a_write_to_full_memory_keeps_the_invariants(run: Run) -> None:
    """The same of three blocks of which none is free: it has to wait."""
    writes(run, 3, True, 1, True, full_and_committed)


@WRITES.theorem(Twin("over a committed block", (_OVER_COMMITTED,)), bound=f"{_THREE}; no block is "
                "free, some are not committed; requests of a block")  # fmt: skip
def a_write_to_full_uncommitted_memory_keeps_the_invariants(run: Run) -> None:
    """The same where some are not committed."""
    writes(run, 3, True, 1, True, full_and_written)

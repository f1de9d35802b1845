"""Barriers: each flush, FUA, fence and order is necessary, or proved redundant.

Necessary: with it left out of the shipped function there is a crash after which recovery does not
find what the contract allows; the counterexample is run on Python's own values, and passes as the
function ships.  Redundant: with it left out the theorem of its operation still holds.
"""

from typing import Final

from writecache_models.mutants import Edit
from writecache_proofs.families.commit import discard_refines, endio_refines, flush_refines
from writecache_proofs.families.medium import left, moments, recovers
from writecache_proofs.families.refining import REPAIRED, begin, committed_at
from writecache_proofs.families.states import Placed, cache_of
from writecache_proofs.symbolic import Run, any_of, implies
from writecache_proofs.theorem import Family, Twin
from writecache_spec.commit import _commit_superblock, _free_replaced, commit_regions, flush
from writecache_spec.discard import discard
from writecache_spec.effects import FlushDevice
from writecache_spec.endio import free_copied_blocks, take_ended_copies
from writecache_spec.entries import free_entry
from writecache_spec.events import CopyJob, Device
from writecache_spec.profile import Profile
from writecache_spec.repairs import Repair
from writecache_spec.transcript import Transcript
from writecache_spec.units import BlockIndex

BARRIERS: Final = Family("barriers", __name__)


def _commits(run: Run) -> None:
    flush_refines(run, 2, REPAIRED)


def _commits_pmem(run: Run) -> None:
    flush_refines(run, 2, REPAIRED, pmem_mode=True)


def _discards(run: Run) -> None:
    discard_refines(run, 2, REPAIRED)


def _discards_pmem(run: Run) -> None:
    discard_refines(run, 2, REPAIRED, pmem_mode=True)


def _frees(run: Run) -> None:
    endio_refines(run, None, REPAIRED)


_FIRST: Final = "wc = commit_flushed(_mark_dirty(wc, uncommitted), transcript, data_too=True)"
_LAST: Final = "return commit_flushed(wc, transcript, data_too=False)"

BARRIERS.necessary(
    "a_commit_flushes_before_it_raises_the_count",
    "Without the flush between the entries and the count a crash finds the count raised, and "
    "entries or data missing.",
    _commits,
    Edit(commit_regions, "return disk_flush(wc, transcript, Device.CACHE)._replace(",
         "return wc._replace("),
)  # fmt: skip
BARRIERS.necessary(
    "a_commit_writes_its_entries_first",
    "Without the write of the entries before the count, recovery does not find them.",
    _commits,
    Edit(flush, _FIRST, "wc = commit_flushed(wc, transcript, data_too=True)"),
)
BARRIERS.necessary(
    "the_superblock_is_written_with_fua",
    "Without FUA on the superblock's write a crash after the commit has ended can undo it.",
    _commits,
    Edit(_commit_superblock, "Metadata(wc.superblock, wc.entries), fua=True)",
         "Metadata(wc.superblock, wc.entries))"),
)  # fmt: skip
BARRIERS.necessary(
    "replaced_entries_are_freed_durably",
    "Without the last write and flush of a commit the device keeps entries that memory has "
    "freed, which a later use of their blocks would revive.",
    _commits,
    Edit(_free_replaced, "return commit_flushed(wc, transcript, data_too=False) if freed else wc",
         "return wc"),
)  # fmt: skip
BARRIERS.necessary(
    "what_is_freed_is_marked_dirty",
    "Without the dirty bit of a freed entry the write that shall make it durable does not carry "
    "it.",
    _discards,
    Edit(free_entry, "dirty_regions |= 1 << entry_region(index)", "pass"),
)
BARRIERS.necessary(
    "a_discard_is_committed",
    "Without its commit a crash after a discard revives what was discarded.",
    _discards,
    Edit(discard, _LAST, "return wc"),
)
BARRIERS.necessary(
    "the_end_of_writeback_is_committed",
    "Without the commit of freed blocks their entries stay on the device, and their blocks are "
    "reused.",
    _frees,
    Edit(free_copied_blocks, "return commit_flushed(wc._replace(endio_taken=()), transcript, "
         "data_too=False)", "return wc._replace(endio_taken=())"),
)  # fmt: skip
BARRIERS.necessary(
    "a_commit_of_memory_fences_before_it_raises_the_count",
    "Without the fence before the count is stored a crash finds the count, and entries torn or "
    "missing.",
    _commits_pmem,
    Edit(flush, _FIRST, "pass"),
)
BARRIERS.necessary(
    "a_commit_of_memory_fences_the_count",
    "Without the fence behind the count a crash after the commit has ended can undo it.",
    _commits_pmem,
    Edit(_commit_superblock, _LAST, "return wc"),
)
BARRIERS.necessary(
    "a_discard_of_memory_is_fenced",
    "Without its fence a crash after a discard revives what was discarded.",
    _discards_pmem,
    Edit(discard, _LAST, "return wc"),
)


def copies_are_durable_before_their_blocks_are_freed(run: Run) -> None:
    """A copy that has ended is taken, and its block freed; at every moment of that a crash leaves
    the block, or the origin has durably what was in it: flushed, or written with FUA."""
    begun = begin(run, 1, REPAIRED, statuses=("progress",))
    (place,) = begun.places
    fua = run.choose("fua", (False, True))
    job = CopyJob(BlockIndex(place), 1, begun.wc.entries[place].original_sector)
    wc = begun.wc._replace(
        config=begun.wc.config._replace(writeback_fua=fua), endio_list=((job, False),)
    )
    taking, freeing = Transcript(), Transcript()
    taken = take_ended_copies(wc, taking)
    free_copied_blocks(taken, freeing)
    is_home = fua or FlushDevice(Device.ORIGIN) in taking.effects
    is_its_sector = committed_at(begun) == place
    for number, medium in enumerate(moments(taken, freeing.effects, begun.medium, begun.places)):
        remains = left(run, medium, f"crash {number}", begun.places)
        found = recovers(run, taken, remains, begun.sector)
        kept = any_of([is_home, found.block == place])
        run.claim(implies(is_its_sector, kept), "in the block, or durable on the origin")


BARRIERS.necessary(
    "the_origin_is_flushed_before_blocks_are_freed",
    "Without the flush of the origin a freed block's data is durable nowhere.",
    copies_are_durable_before_their_blocks_are_freed,
    Edit(take_ended_copies, "wc = disk_flush(wc, transcript, Device.ORIGIN)", "pass"),
)


def _overwritten(run: Run, profile: Profile) -> None:
    """A flush with nothing to commit, after a committed block was overwritten in place."""
    either: tuple[Placed, ...] = ("committed", "progress")
    status = run.choose("status", either)
    wc = cache_of(run, (status, "free"), profile)._replace(overwrote_committed=True)
    transcript = Transcript()
    after = flush(wc, transcript)
    run.claim(FlushDevice(Device.CACHE) in transcript.effects, "the overwritten block is durable")
    run.claim(not after.overwrote_committed, "and that is known")


def _overwritten_as_shipped(run: Run) -> None:
    """Without the repair."""
    _overwritten(run, REPAIRED._replace(repairs=REPAIRED.repairs - {Repair.FLUSH_UNDER_WRITEBACK}))


@BARRIERS.theorem(
    Twin("as the kernel does it: only where a block is idle", check=_overwritten_as_shipped,
         finding="flush-under-writeback"),
    bound="2 blocks",
)  # fmt: skip
def a_flush_makes_overwritten_blocks_durable(run: Run) -> None:
    """A flush after a committed block was overwritten in place flushes the cache device, also where
    the block is being copied to the origin by now."""
    _overwritten(run, REPAIRED)

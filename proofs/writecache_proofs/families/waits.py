"""Barriers, continued: each wait, and the flushes and fences that `barriers` leaves.

A wait is a condition under which a transition is not enabled.  Left out, an event of the induction
(`stepping`) breaks what is claimed of it; or the claims hold without it, and it is redundant.
"""

from typing import Final

from writecache_models.mutants import Edit
from writecache_proofs.families.barriers import BARRIERS as _OTHERS
from writecache_proofs.families.barriers import a_flush_makes_overwritten_blocks_durable
from writecache_proofs.families.copies import copies_are_freed, resumes, suspends_end
from writecache_proofs.families.induction import commits, discards
from writecache_proofs.families.passes import goes_on_writing, passes
from writecache_proofs.families.recovery import (
    recovery_of_persistent_memory_is_idempotent_over_crashes,
    resume_builds_on_durable_metadata,
)
from writecache_proofs.families.requests import reads
from writecache_proofs.symbolic import Run
from writecache_proofs.theorem import Family, Twin
from writecache_spec.commit import _free_replaced, commit_regions, flush
from writecache_spec.discard import discard
from writecache_spec.endio import _free_written_blocks, free_copied_blocks
from writecache_spec.events import FlushThread, FlushWork
from writecache_spec.map import _map_read
from writecache_spec.mended import drop_superseded
from writecache_spec.resume import resume
from writecache_spec.suspend import suspend_end
from writecache_spec.writeback import _select
from writecache_spec.writeback_submit import finish, throttle

WAITS: Final = Family(_OTHERS.name, __name__)


def _commits(run: Run) -> None:
    commits(run, 2, False, FlushThread(), FlushWork())


def _commits_of_memory(run: Run) -> None:
    commits(run, 2, True, FlushWork())


def _discards(run: Run) -> None:
    discards(run, 2, False)


def _frees(run: Run) -> None:
    copies_are_freed(run, 2, False, (0,))


def _frees_of_memory(run: Run) -> None:
    copies_are_freed(run, 2, True, (0,))


def _reads(run: Run) -> None:
    reads(run, 2, False)


def _passes(run: Run) -> None:
    passes(run, 2, False, "everything")


def _goes_on(run: Run) -> None:
    goes_on_writing(run, 1, False)


def _suspends(run: Run) -> None:
    suspends_end(run, 2, False)


WAITS.necessary(
    "a_commit_waits_for_data",
    "Without the wait for writes before its flush a commit makes blocks durable whose data is on "
    "its way.",
    _commits,
    Edit(commit_regions, "        wait_for_writes(wc)\n", "        pass\n"),
)
WAITS.necessary(
    "a_flush_waits_for_overwritten_data",
    "Without the wait for writes a flush that has nothing to commit forgets data that is still on "
    "its way to blocks which are committed.",
    _commits,
    Edit(flush, "            wait_for_writes(wc)\n", "            pass\n"),
)
WAITS.necessary(
    "a_commit_waits_for_readers_before_it_frees",
    "Without the wait for reads a commit gives away a block that is being read.",
    _commits,
    Edit(_free_replaced, "                wait_for_reads(wc)\n", "                pass\n"),
)
_FIRST: Final = Edit(
    drop_superseded, "and wc.unwritten:\n        wait_for_writes(wc)\n", "and wc.unwritten:\n"
)
_SECOND: Final = Edit(
    drop_superseded, "    if dropped:\n        wait_for_writes(wc)\n", "    if dropped:\n"
)
WAITS.necessary(
    "dropping_waits_for_writes",
    "Without both of its waits for writes a commit drops blocks whose first write is on its way.",
    _commits,
    _FIRST,
    _SECOND,
)
WAITS.redundant(
    "the_first_wait_of_dropping_is_redundant",
    "Before anything is dropped there is a second wait for writes, in the same transition.",
    _commits,
    (_FIRST,),
    Twin("without the second, too", (_FIRST, _SECOND)),
)
WAITS.redundant(
    "the_second_wait_of_dropping_is_redundant",
    "What is dropped only because it is superseded leaves something to commit, and the commit "
    "waits for writes.",
    _commits,
    (_SECOND,),
    Twin("without the first, too", (_FIRST, _SECOND)),
)
WAITS.necessary(
    "dropping_waits_for_readers",
    "Without the wait for reads a commit drops a block that is being read.",
    _commits,
    Edit(drop_superseded, "            wait_for_reads(wc)\n", "            pass\n"),
)
WAITS.necessary(
    "a_discard_waits_for_readers",
    "Without the wait for reads a discard gives away a block that is being read.",
    _discards,
    Edit(discard, "    wait_for_reads(wc)\n", ""),
)
WAITS.necessary(
    "a_discard_waits_for_writes",
    "Without the wait for writes a discard gives away a block that is being written.",
    _discards,
    Edit(discard, "    wait_for_writes(wc)\n", ""),
)
WAITS.necessary(
    "the_end_of_writeback_waits_for_readers",
    "Without the wait for reads the end of writeback gives away a block that is being read.",
    _frees,
    Edit(free_copied_blocks, "    wait_for_reads(wc)\n", ""),
)
WAITS.necessary(
    "a_read_waits_for_what_is_being_written",
    "Without the wait for writes a read of an uncommitted block finds what the block held for "
    "another sector.",
    _reads,
    Edit(_map_read, "        wait_for_writes(wc)\n", ""),
)
WAITS.necessary(
    "a_read_that_frees_waits_for_readers",
    "Without the wait for reads a read frees a block whose first write failed while somebody, for "
    "all the cache knows, reads it.",
    _reads,
    Edit(_map_read, "            wait_for_reads(wc)\n", ""),
)
WAITS.necessary(
    "a_pass_waits_for_overwritten_data",
    "Without the wait for writes a pass copies blocks whose new data is still on its way, and "
    "frees them after.",
    _passes,
    Edit(_select, "        wait_for_writes(wc)\n", "        pass\n"),
)
WAITS.redundant(
    "a_pass_need_not_wait_for_older_copies",
    "That a pass over everything waits until nothing is under writeback before it begins is not "
    "needed for safety: newer versions are skipped anyway.",
    _passes,
    (Edit(_select, "if wc.writeback_all and wc.writeback_size:", "if False:"),),
    Twin("and overwritten data is not waited for", (
        Edit(_select, "if wc.writeback_all and wc.writeback_size:", "if False:"),
        Edit(_select, "        wait_for_writes(wc)\n", "        pass\n"))),
)  # fmt: skip
WAITS.redundant(
    "a_pass_without_progress_need_not_wait",
    "That a pass which skipped all it met waits for a copy to end is not needed for safety.",
    _passes,
    (Edit(_select, "if skipped and not selection.jobs and wc.writeback_size:", "if False:"),),
    Twin("and overwritten data is not waited for", (
        Edit(_select, "if skipped and not selection.jobs and wc.writeback_size:", "if False:"),
        Edit(_select, "        wait_for_writes(wc)\n", "        pass\n"))),
)  # fmt: skip
WAITS.necessary(
    "writeback_waits_for_its_limit",
    "Without its wait more blocks are being copied at once than `writeback_jobs` allows.",
    _goes_on,
    Edit(throttle, "if limit and being_copied >= limit:", "if False:"),
)
WAITS.necessary(
    "writeback_of_everything_waits_for_its_end",
    "Without its wait writeback of everything ends, and a `flush` message with it, before all is "
    "home.",
    _goes_on,
    Edit(finish, "if wc.writeback_all and wc.writeback_size:", "if False:"),
)
WAITS.necessary(
    "a_suspend_waits_for_writeback",
    "Without its wait a suspend gives up the lists while copies are under way, which the next "
    "resume knows nothing of.",
    _suspends,
    Edit(suspend_end, "if wc.writeback_size:", "if False:"),
)
WAITS.necessary(
    "a_flush_flushes_overwritten_data",
    "Without its flush of the cache device a flush forgets what was overwritten in place.",
    a_flush_makes_overwritten_blocks_durable,
    Edit(flush, "wc = disk_flush(wc, transcript, Device.CACHE)._replace(overwrote_committed=False)",
         "wc = wc._replace(overwrote_committed=False)"),
)  # fmt: skip
WAITS.necessary(
    "a_resume_flushes_what_it_builds_on",
    "Without its flush a resume builds on metadata that the disk may still lose.",
    resume_builds_on_durable_metadata,
    Edit(resume, "        wc = disk_flush(wc, transcript, Device.CACHE)\n", "        pass\n"),
)
_ERASED: Final = Edit(
    resume, "        wc = commit_flushed(mark_all_dirty(wc), transcript, data_too=False)\n",
    "        pass\n",
)  # fmt: skip


def _resumes(run: Run) -> None:
    resumes(run, 2, False)


WAITS.necessary(
    "a_resume_writes_what_it_erases",
    "Without its write and flush an entry that no commit had covered stays on the device, and is "
    "committed when the count has passed it.",
    _resumes,
    _ERASED,
)
WAITS.necessary(
    "a_resume_of_memory_fences_what_it_erases",
    "Without its fence what a resume of persistent memory has erased can come back.",
    recovery_of_persistent_memory_is_idempotent_over_crashes,
    _ERASED,
)
WAITS.necessary(
    "what_a_commit_of_memory_replaces_is_freed_durably",
    "Without the last fence of a commit of persistent memory what it has freed can come back.",
    _commits_of_memory,
    Edit(_free_replaced, "return commit_flushed(wc, transcript, data_too=False) if freed else wc",
         "return wc"),
)  # fmt: skip
WAITS.necessary(
    "the_end_of_writeback_of_memory_is_fenced",
    "Without its fence a block of persistent memory is free while its entry can come back.",
    _frees_of_memory,
    Edit(_free_written_blocks,
         "return commit_flushed(wc._replace(endio_taken=taken), transcript, data_too=False)",
         "return wc._replace(endio_taken=taken)"),
)  # fmt: skip

"""Mutants of writeback: what is copied home when, and what is freed then; and of errors."""

from typing import Final

from writecache_models.mutants import Edit, Mutant
from writecache_spec import endio, entries, transcript, writeback, writeback_submit

_WAKES: Final = (
    "return wc._replace(sleeping=frozenset()) if mends(wc, Repair.WAKE_AFTER_ERROR) else wc"
)
_COMMITTED: Final = (
    "    return commit_flushed(wc._replace(endio_taken=()), transcript, data_too=False)\n"
)
_DONE: Final = "    wc = commit_flushed(wc._replace(endio_taken=()), transcript, data_too=False)\n"
_ORIGIN: Final = "        wc = disk_flush(wc, transcript, Device.ORIGIN)\n"

_SELECTION: Final = (
    Mutant(
        "uncommitted-block-copied",
        "an uncommitted block is written back without a commit",
        (Edit(writeback._take, "        wc = flush(wc, transcript)\n", ""),),
    ),
    Mutant(
        "uncommitted-neighbour-copied",
        "a run of writeback goes on over uncommitted blocks",
        (
            Edit(
                writeback._take_run,
                "            or not entry_is_committed(wc, entry)\n",
                "",
            ),
        ),
    ),
    Mutant(
        "run-of-scattered-blocks",
        "a run of writeback goes on over blocks that are elsewhere on the cache device",
        (
            Edit(
                writeback._take_run,
                "            or not (anywhere or _continues(wc, found, run[-1], last))\n",
                "",
            ),
        ),
    ),
    Mutant(
        "older-copy-not-awaited",
        "a block is copied while an older one of its sector still is",
        (Edit(writeback._take, "older_duplicate(wc, index)", "None"),),
    ),
    Mutant(
        "overwrites-not-awaited",
        "blocks are copied while they are being overwritten in place",
        (Edit(writeback._select, "        wait_for_writes(wc)\n", "        pass\n"),),
    ),
    Mutant(
        "pass-forgets-overwrites",
        "a pass of writeback takes overwritten blocks for flushed, having waited for them only",
        (
            Edit(
                writeback._select,
                "        wait_for_writes(wc)\n",
                "        wait_for_writes(wc)\n"
                "        wc = wc._replace(overwrote_committed=False)\n",
            ),
        ),
    ),
    Mutant(
        "low-watermark-too-low",
        "a pass of writeback ends before the low watermark is reached",
        (
            Edit(
                writeback._wanted,
                "<= wc.freelist_low_watermark",
                "< wc.freelist_low_watermark",
            ),
        ),
        caught_by="vectors",
    ),
    Mutant(
        "whole-pass-does-not-restart",
        "a pass for everything does not wait for what was being copied before it",
        (Edit(writeback._select, "wc.writeback_all and wc.writeback_size:", "False:"),),
    ),
    Mutant(
        "whole-pass-does-not-drain",
        "a pass for everything ends when its copies begin",
        (Edit(writeback_submit.finish, "wc.writeback_all and wc.writeback_size", "False"),),
    ),
)

_ENDS: Final = (
    Mutant(
        "origin-not-flushed",
        "blocks are freed though their copies may not be durable on the origin",
        (Edit(endio.take_ended_copies, _ORIGIN, "        pass\n"),),
    ),
    Mutant(
        "cache-flushed-for-origin",
        "the end of copies flushes the device that they were read from",
        (Edit(endio.take_ended_copies, "Device.ORIGIN", "Device.CACHE"),),
    ),
    Mutant(
        "freed-before-origin-flush",
        "blocks are freed, and that is committed, before the origin is flushed",
        (
            Edit(endio.take_ended_copies, _ORIGIN, "        pass\n"),
            Edit(
                endio.free_copied_blocks,
                _COMMITTED,
                _DONE + _ORIGIN.strip(" ").replace("wc =", "    return"),
            ),
        ),
    ),
    Mutant(
        "copied-blocks-not-committed",
        "blocks that are home are freed in memory only",
        (
            Edit(
                endio.free_copied_blocks,
                _COMMITTED,
                "    return wc._replace(endio_taken=())\n",
            ),
        ),
    ),
    Mutant(
        "copied-blocks-not-flushed",
        "blocks that are home are written as free, and that is not flushed",
        (
            Edit(
                endio.free_copied_blocks,
                _COMMITTED,
                _DONE + "    transcript.effects.pop()\n    return wc\n",
            ),
        ),
    ),
    Mutant(
        "dirty-regions-cleared-too-early",
        "the regions of blocks that are home count as clean before they are written",
        (
            Edit(
                endio.free_copied_blocks,
                "wc._replace(endio_taken=())",
                "wc._replace(endio_taken=(), dirty_regions=0)",
            ),
        ),
    ),
    Mutant(
        "end-of-copies-wakes-nobody",
        "whoever sleeps until a block is free is not woken when writeback frees one",
        (
            Edit(entries.free_entry, "sleeping=frozenset()", "sleeping=wc.sleeping"),
            Edit(endio._end_block, _WAKES, "return wc"),
        ),
    ),
)

_ERRORS: Final = (
    Mutant(
        "failed-copy-counts-as-done",
        "a copy that failed counts as one that did not",
        (Edit(writeback_submit.copy_end, "event.failed", "False"),),
        failures=1,
    ),
    Mutant(
        "freed-despite-error",
        "blocks whose copies ended after an error are freed, whether or not they are home",
        (Edit(endio._end_block, "    if wc.error:\n", "    if False:\n"),),
        failures=1,
    ),
    Mutant(
        "error-not-sticky",
        "an error is logged and forgotten",
        (Edit(transcript.report_error, "error=True, ", ""),),
        failures=1,
    ),
    Mutant(
        "error-wakes-nobody",
        "whoever sleeps until a block is free sleeps on when none will be, after an error",
        (
            Edit(transcript.report_error, "error=True, sleeping=frozenset()", "error=True"),
            Edit(endio._end_block, _WAKES, "return wc"),
        ),
        failures=1,
    ),
)

WRITEBACKS: Final = _SELECTION + _ENDS + _ERRORS
"""All of them."""

"""Mutants of requests: where a read or a write goes, and what a flush or a discard waits for."""

from typing import Final

from writecache_models.mutants import Edit, Mutant
from writecache_spec import discard, entries, map_write, step, write_around

_FLUSHED: Final = "    wc = flush(wc, transcript)\n"
_COMPLETED: Final = '    transcript.tell(Complete(bio, "EIO" if wc.error else None))\n'
_DISCARDED: Final = (
    "        wc = discard(wc, transcript, bio.sector, Sector(bio.sector + bio.n_sectors))\n"
)
_PASSED_ON: Final = (
    "        transcript.tell("
    "Remap(bio, Device.ORIGIN, bio.sector, bio.n_sectors, BioPrivate.NONE))\n"
)
_COMMITTED: Final = "    return commit_flushed(wc, transcript, data_too=False)\n"

_WRITES: Final = (
    Mutant(
        "overwrite-under-writeback",
        "a block is overwritten in place while it is being copied, and then freed",
        (Edit(map_write.map_write, "not entry.write_in_progress", "True"),),
    ),
    Mutant(
        "overwrite-runs-into-writeback",
        "an overwrite goes on over a neighbour that is being copied",
        (Edit(map_write._overwrite, " or entry.write_in_progress", ""),),
    ),
    Mutant(
        "overwrite-runs-over-gap",
        "an overwrite goes on into the next block though its neighbour's data is elsewhere",
        (
            Edit(
                map_write._overwrite,
                "neighbour != last + 1",
                "first + n_blocks == wc.config.n_blocks",
            ),
        ),
    ),
    Mutant(
        "free-run-with-gaps",
        "a write goes on into the next block though the one it took is elsewhere",
        (
            Edit(
                map_write._extend_over_free,
                "wc.current_free == first + n_blocks",
                "wc.current_free is not None and first + n_blocks < wc.config.n_blocks",
            ),
        ),
    ),
    Mutant(
        "overwrite-not-remembered",
        "nothing tells a flush that a committed block was overwritten",
        (Edit(map_write.map_write, "overwrote_committed=True, ", ""),),
    ),
    Mutant(
        "overwritten-neighbour-not-remembered",
        "nothing tells that a committed block behind an uncommitted one was overwritten with it",
        (Edit(map_write._overwrite, "wc = wc._replace(overwrote_committed=True)", "pass"),),
        equivalent="as long as the uncommitted block is there a flush commits, which waits for all "
        "writes and flushes the device; and it does not go away before that was done: by a commit, "
        "or by the discard that frees it",
    ),
    Mutant(
        "runs-past-cached-blocks",
        "a request that goes past the cache does not end before the next cached sector",
        (Edit(write_around.remap_origin, "min(accepted, following - bio.sector)", "accepted"),),
    ),
)

_FLUSHES: Final = (
    Mutant(
        "flush-does-not-commit",
        "a flush is reported and nothing is committed",
        (Edit(step._flush_thread, _FLUSHED, ""),),
    ),
    Mutant(
        "flush-reported-first",
        "a flush is reported before its commit",
        (Edit(step._flush_thread, _FLUSHED + _COMPLETED, _COMPLETED + _FLUSHED),),
    ),
    Mutant(
        "flush-hides-error",
        "a flush whose commit met an error is reported as done",
        (Edit(step._flush_thread, '"EIO" if wc.error else None', "None"),),
        failures=1,
    ),
)

_DISCARDS: Final = (
    Mutant(
        "discard-frees-nothing",
        "a discard leaves the cached blocks as they are",
        (Edit(discard.discard, "        wc = free_entry(wc, transcript, index)\n", ""),),
        caught_by="vectors",
    ),
    Mutant(
        "discard-not-committed",
        "a discard frees blocks in memory only",
        (Edit(discard.discard, _COMMITTED, "    return wc\n"),),
    ),
    Mutant(
        "discard-not-flushed",
        "a discard writes what it has freed, and does not flush it",
        (
            Edit(
                discard.discard,
                _COMMITTED,
                "    wc = commit_flushed(wc, transcript, data_too=False)\n"
                "    transcript.effects.pop()\n"
                "    return wc\n",
            ),
        ),
    ),
    Mutant(
        "discard-passed-on-first",
        "a discard goes to the origin before it is committed",
        (Edit(step._flush_thread, _DISCARDED + _PASSED_ON, _PASSED_ON + _DISCARDED),),
        equivalent="until a discard ends its sectors may hold anything they ever held: the cached "
        "blocks that a crash brings back included, whatever the origin holds",
    ),
    Mutant(
        "discard-does-not-wait-for-reads",
        "a discard frees a block that is being read",
        (Edit(discard.discard, "    wait_for_reads(wc)\n", ""),),
    ),
    Mutant(
        "discard-does-not-wait-for-writes",
        "a discard frees a block that is being written",
        (Edit(discard.discard, "    wait_for_writes(wc)\n", ""),),
    ),
    Mutant(
        "discard-under-writeback",
        "a discard frees a block that is being copied",
        (Edit(discard.discard, " if not wc.entries[i].write_in_progress", ""),),
    ),
    Mutant(
        "discard-end-inclusive",
        "a discard frees the block that begins where it ends",
        (Edit(entries.in_range, "found[0] < end", "found[0] <= end"),),
    ),
    Mutant(
        "discard-begin-exclusive",
        "a discard leaves the block that begins where it begins",
        (Edit(entries.in_range, "at_or_after(start)", "at_or_after(start + 1)"),),
        caught_by="vectors",
    ),
)

REQUESTS: Final = _WRITES + _FLUSHES + _DISCARDS
"""All of them."""

"""Mutants of persistent-memory mode: each fence, and what must not be stored over."""

from typing import Final

from writecache_models.mutants import Edit, Mutant
from writecache_spec import commit, construct, endio, entries, map, map_pmem, resume

_COMMIT: Final = (
    "    wc = commit_flushed(_mark_dirty(wc, uncommitted), transcript, data_too=True)\n"
)


def _mutant(name: str, subject: str, *edits: Edit, equivalent: str | None = None) -> Mutant:
    return Mutant(name, subject, edits, pmem_mode=True, equivalent=equivalent)


MEMORIES: Final = (
    _mutant(
        "memory-commit-without-first-fence",
        "a commit raises the count before data and entries are sure to be there",
        Edit(commit.flush, _COMMIT, ""),
    ),
    _mutant(
        "memory-commit-without-second-fence",
        "a commit is over before the count that was raised is sure to be there",
        Edit(
            commit._commit_superblock,
            "        return commit_flushed(wc, transcript, data_too=False)\n",
            "        return wc\n",
        ),
    ),
    _mutant(
        "memory-count-not-stored",
        "a commit raises the count in the processor only",
        Edit(
            commit._commit_superblock,
            '        transcript.tell(StoreSuperblock(wc.superblock, ("seq_count",)))\n',
            "",
        ),
    ),
    _mutant(
        "memory-committed-block-written-over",
        "a write stores over a committed block, which a crash can tear",
        Edit(
            map_pmem.write_pmem,
            "index is not None and not entry_is_committed(wc, wc.entries[index])",
            "index is not None",
        ),
    ),
    _mutant(
        "memory-fua-not-committed",
        "a FUA write is reported without a commit",
        Edit(map_pmem.write_pmem, "request.fua or wc.uncommitted_blocks", "wc.uncommitted_blocks"),
    ),
    _mutant(
        "memory-beginning-forgotten-in-sleep",
        "a FUA write that slept and then goes on past the cache does not commit its beginning",
        Edit(
            map_pmem.write_pmem,
            "if request.fua and mends",
            "if request.fua and bio != request and mends",
        ),
    ),
    _mutant(
        "memory-flush-not-committed",
        "a flush is reported without a commit",
        Edit(map._map_flush, "    wc = flush(wc, transcript)\n", ""),
    ),
    _mutant(
        "memory-freed-before-origin-flush",
        "blocks that came home are freed though the origin may still lose them",
        Edit(
            endio.take_ended_copies,
            "        wc = disk_flush(wc, transcript, Device.ORIGIN)\n",
            "        pass\n",
        ),
    ),
    _mutant(
        "memory-freed-without-fence",
        "blocks that came home are freed, and can be written anew, without a fence",
        Edit(
            endio._free_written_blocks,
            "commit_flushed(wc._replace(endio_taken=taken), transcript, data_too=False)",
            "wc._replace(endio_taken=taken)",
        ),
    ),
    _mutant(
        "memory-freed-in-processor-only",
        "an entry that is freed is not stored as free",
        Edit(
            entries.free_entry,
            "        transcript.tell(StoreEntry(index, freed.seq_count))\n",
            "",
        ),
    ),
    _mutant(
        "memory-replaced-freed-without-fence",
        "a commit frees what it replaces without a fence",
        Edit(
            commit._free_replaced,
            "    return commit_flushed(wc, transcript, data_too=False) if freed else wc\n",
            "    return wc\n",
        ),
    ),
    _mutant(
        "memory-resume-erases-without-fence",
        "a resume erases without a fence",
        Edit(
            resume.resume,
            "        wc = commit_flushed(mark_all_dirty(wc), transcript, data_too=False)\n",
            "        pass\n",
        ),
    ),
    _mutant(
        "memory-resume-erases-in-processor-only",
        "a resume does not store what it has erased",
        Edit(
            resume.resume,
            "            transcript.tell(StoreEntry(index, FREE.seq_count))\n",
            "            pass\n",
        ),
    ),
    _mutant(
        "memory-format-magic-first",
        "a format stores the magic with the rest, not last",
        Edit(construct.format_device, "magic=0,", "magic=MAGIC,"),
        Edit(construct._store_empty_cache, 'for field in ("version",', 'for field in ("magic",'),
        Edit(construct._store_empty_cache, "[version_last:]", ""),
    ),
)
"""All of them."""

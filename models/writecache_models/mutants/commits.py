"""Mutants of commits, of the format and of entries: what reaches the cache device, and when."""

from typing import Final

from writecache_models.mutants import Edit, Mutant
from writecache_spec import commit, construct, entries, layout

_COMMIT: Final = (
    "    wc = commit_flushed(_mark_dirty(wc, uncommitted), transcript, data_too=True)\n"
)
_SUPERBLOCK: Final = "    wc = _commit_superblock(wc, transcript)\n"
_FREED: Final = "    return commit_flushed(wc, transcript, data_too=False) if freed else wc\n"
_FORMAT: Final = (
    "    wc = commit_flushed(mark_all_dirty(wc), transcript, data_too=False)\n"
    "    superblock = superblock._replace"
)
_NOTHING_TO_LOSE: Final = (
    "in a new cache's superblock the count is 0, so that whatever the entries say none is "
    "committed; the first commit writes its regions and flushes everything before it raises the "
    "count, and before the first commit nothing was promised"
)

_ORDER: Final = (
    Mutant(
        "superblock-before-regions",
        "a commit writes the superblock before the regions that it makes valid",
        (
            Edit(commit.flush, _COMMIT, ""),
            Edit(commit.flush, _SUPERBLOCK, _SUPERBLOCK + _COMMIT),
        ),
    ),
    Mutant(
        "count-raised-before-regions",
        "a commit raises the count in memory before it writes the regions, which carry it along",
        (
            Edit(commit.flush, _COMMIT, ""),
            Edit(commit.flush, _SUPERBLOCK, _COMMIT + _SUPERBLOCK),
        ),
    ),
    Mutant(
        "commit-does-not-wait-for-writes",
        "a commit makes entries valid whose data is still being written",
        (Edit(commit.flush, "data_too=True", "data_too=False"),),
    ),
    Mutant(
        "commit-does-not-flush",
        "a commit writes the superblock without having flushed regions and data",
        (
            Edit(
                commit.commit_regions,
                "        wait_for_writes(wc)\n",
                "        wait_for_writes(wc)\n        return wc._replace(dirty_regions=0)\n",
            ),
        ),
    ),
    Mutant(
        "no-superblock",
        "a commit raises the count in memory only",
        (Edit(commit.flush, _SUPERBLOCK, ""),),
    ),
    Mutant(
        "superblock-keeps-count",
        "a commit writes the superblock with the count that it had",
        (
            Edit(
                commit.flush,
                "superblock=wc.superblock._replace(seq_count=seq_count)",
                "superblock=wc.superblock",
            ),
        ),
    ),
    Mutant(
        "superblock-without-fua",
        "the superblock's write may stay in the disk's cache",
        (Edit(commit._commit_superblock, ", fua=True", ""),),
    ),
    Mutant(
        "freed-duplicates-not-flushed",
        "a commit writes what it replaces as free, and does not flush it",
        (
            Edit(
                commit._free_replaced,
                _FREED,
                "    if freed:\n"
                "        wc = commit_flushed(wc, transcript, data_too=False)\n"
                "        transcript.effects.pop()\n"
                "    return wc\n",
            ),
        ),
        n_entries=29,
        equivalent=(
            "as long as the older entry may come back the newer one is there and wins: whatever "
            "frees that flushes, and the older one's end with it"
        ),
    ),
    Mutant(
        "duplicates-stay",
        "a commit does not free the committed entries that it replaces",
        (
            Edit(
                commit._free_replaced, "            wc = free_entry(wc, transcript, replaced)\n", ""
            ),
        ),
        caught_by="vectors",
    ),
    Mutant(
        "duplicates-freed-under-writeback",
        "a commit frees an entry that it replaces though it is being copied",
        (Edit(commit._free_replaced, " and not wc.entries[replaced].write_in_progress", ""),),
    ),
    Mutant(
        "overwrites-not-flushed",
        "a flush that finds no new entry leaves blocks that were overwritten in the disk's cache",
        (
            Edit(
                commit.flush,
                "disk_flush(wc, transcript, Device.CACHE)._replace(overwrote_committed=False)",
                "wc._replace(overwrote_committed=False)",
            ),
        ),
    ),
    Mutant(
        "overwrites-not-waited-for",
        "a flush forgets that blocks were overwritten while they are still being written",
        (Edit(commit.flush, "            wait_for_writes(wc)\n", ""),),
    ),
)

_REGIONS: Final = (
    Mutant(
        "new-entries-not-dirty",
        "a commit writes only the regions in which something was freed",
        (Edit(commit._mark_dirty, "dirty_regions |= 1 << entry_region(index)", "pass"),),
        profile="1.4.0",
        n_entries=29,
    ),
    Mutant(
        "freed-entries-not-dirty",
        "an entry that is freed does not mark its region",
        (Edit(entries.free_entry, "dirty_regions |= 1 << entry_region(index)", "pass"),),
    ),
    Mutant(
        "freed-entries-keep-count",
        "an entry that is freed is not marked free in the metadata",
        (Edit(entries.free_entry, "SequenceCount(U64_MAX)", "entry.seq_count"),),
    ),
    Mutant(
        "region-of-entries-alone",
        "an entry's region is computed as if no superblock came before the entries",
        (Edit(layout.entry_region, "SUPERBLOCK_SIZE + ", ""),),
        n_entries=4093,
        caught_by="vectors",
    ),
    Mutant(
        "last-region-of-a-run-missing",
        "of neighbouring dirty regions the last is not written",
        (
            Edit(
                commit.dirty_runs,
                "runs.append((position + skipped, length))",
                "runs.append((position + skipped, max(length - 1, 1)))",
            ),
        ),
        n_entries=4093,
        caught_by="vectors",
    ),
    Mutant(
        "last-metadata-sector-missing",
        "the last sector of the metadata is written by superblocks alone",
        (
            Edit(
                commit.commit_regions, "metadata_sectors - first)", "metadata_sectors - first - 1)"
            ),
        ),
    ),
    Mutant(
        "superblock-beyond-metadata",
        "a superblock's write goes on over the first blocks where the metadata is small",
        (
            Edit(
                commit.superblock_sectors,
                "min(sectors_of(wanted), config.metadata_sectors)",
                "sectors_of(wanted)",
            ),
        ),
    ),
)

_FORMATS: Final = (
    Mutant(
        "format-magic-first",
        "a format writes the magic first and the version last",
        (Edit(construct.format_device, "magic=0,", "magic=MAGIC,"),),
    ),
    Mutant(
        "format-all-at-once",
        "a format writes the magic together with the entries, not last",
        (
            Edit(construct.format_device, "magic=0,", "magic=MAGIC,"),
            Edit(
                construct.format_device, "version=0 if version_last else VERSION", "version=VERSION"
            ),
        ),
        equivalent=_NOTHING_TO_LOSE,
    ),
    Mutant(
        "format-entries-not-flushed",
        "a format writes the magic without having flushed the entries",
        (
            Edit(
                construct.format_device,
                _FORMAT,
                _FORMAT.replace("\n", "\n    transcript.effects.pop()\n", 1),
            ),
        ),
        equivalent=_NOTHING_TO_LOSE,
    ),
    Mutant(
        "format-magic-not-flushed",
        "a format ends without having flushed the magic",
        (
            Edit(
                construct.format_device,
                "    return commit_flushed(wc, transcript, data_too=False)\n",
                "    wc = commit_flushed(wc, transcript, data_too=False)\n"
                "    transcript.effects.pop()\n"
                "    return wc\n",
            ),
        ),
        equivalent=_NOTHING_TO_LOSE,
    ),
)

_ENTRIES: Final = (
    Mutant(
        "committed-at-its-own-count",
        "an entry of the commit under way counts as committed",
        (Edit(layout.is_committed, "entry_seq_count < seq_count", "entry_seq_count <= seq_count"),),
    ),
    Mutant(
        "oldest-for-newest",
        "of several entries of a sector the one that was inserted first is found",
        (Edit(entries.find_newest, "indices[-1]", "indices[0]"),),
    ),
    Mutant(
        "duplicates-inserted-first",
        "a new entry goes before the others of its sector, not after them",
        (Edit(entries.allocate, "(*duplicates, index)", "(index, *duplicates)"),),
    ),
    Mutant(
        "new-entries-are-oldest",
        "a new entry goes to the old end of the LRU, where a commit does not look for it",
        (
            Edit(
                entries.allocate,
                "    newest = wc.lru.last()\n    lru_key = newest[0] + 1 if newest else 0\n",
                "    oldest = wc.lru.first()\n    lru_key = oldest[0] - 1 if oldest else 0\n",
            ),
        ),
    ),
    Mutant(
        "high-watermark-too-low",
        "writeback begins when fewer blocks are free than the high watermark says",
        (
            Edit(
                entries.verify_watermark,
                "<= wc.freelist_high_watermark",
                "< wc.freelist_high_watermark",
            ),
        ),
        caught_by="vectors",
    ),
)

COMMITS: Final = _ORDER + _REGIONS + _FORMATS + _ENTRIES
"""All of them."""

"""Historical mutants: mistakes that dm-writecache once had, by the commit that mended each.

Those that no cache in SSD mode can have are left out; they are about mapped persistent memory:
"handle DAX to partitions on persistent memory correctly", "reject asynchronous pmem devices", and
"skip writecache_wait when using pmem mode" (which spares that mode a wait; in SSD mode the wait is
needed, see `ordering`).

A commit that only changed how much is written shows on no device, because what is written in
addition is there already.  Such mutants stand here as equivalent: who catches one has a machine
that looks at sizes.

A reload shows its mistake only where it constructs before it suspends, as device-mapper does.

The last ones have no commit of their own: mistakes of the same kind that nobody made upstream.
"""

from typing import Final

from writecache_models.mutants import Edit, Mutant
from writecache_spec import (
    arguments,
    commit,
    discard,
    endio,
    map,
    map_write,
    resume,
    status,
    write_around,
    writeback,
    writeback_submit,
)

_SAME_CONTENT: Final = (
    "beyond its first sector a superblock's write carries what the device holds already: every "
    "entry that changed since was written with its region, in the same commit or at the end of the "
    "section that changed it; or that failed, and then (mended) nothing is committed any more"
)

_UPSTREAM: Final = (
    Mutant(
        "flush-before-data",
        "a commit's flush comes before the writes that it waits for have ended, so that it covers "
        "the regions but not the data",
        (
            Edit(
                commit.commit_regions,
                "Sector(n_sectors), metadata)",
                "Sector(n_sectors), metadata, fua=data_too)",
            ),
            Edit(
                commit.commit_regions,
                "        wait_for_writes(wc)\n",
                "        wait_for_writes(wc)\n        return wc._replace(dirty_regions=0)\n",
            ),
        ),
        history="dm writecache: fix incorrect flush sequence when doing SSD mode commit",
    ),
    Mutant(
        "reload-keeps-constructed-count",
        "a reload goes on from the sequence count that its constructor read while the old table "
        "was still writing",
        (
            Edit(
                resume._read,
                "    wc = wc._replace(superblock=superblock)\n",
                "",
            ),
        ),
        history="dm writecache: fix data corruption when reloading the target",
    ),
    Mutant(
        "resume-looks-at-no-watermark",
        "a cache that is resumed full begins no writeback before the next write",
        (Edit(resume.resume, "    verify_watermark(wc, transcript)\n", ""),),
        history="dm writecache: verify watermark during resume",
        caught_by="vectors",
    ),
    Mutant(
        "discard-leaves-counter",
        "a discard of an uncommitted block leaves it in the autocommit counter",
        (Edit(discard.discard, "wc.uncommitted_blocks - 1", "wc.uncommitted_blocks"),),
        history="dm writecache: correct uncommitted_block when discarding uncommitted entry",
        options="autocommit_blocks 2",
        caught_by="vectors",
    ),
    Mutant(
        "max-age-not-counted",
        "the table line leaves max_age and its value out of its number of words",
        (
            Edit(
                arguments.table_line,
                "str(len(words))]",
                "str(len(words) - 2 * (arguments.max_age is not None))]",
            ),
        ),
        history="dm writecache: advance the number of arguments when reporting max_age",
        options="max_age 1000",
        caught_by="vectors",
    ),
    Mutant(
        "ten-arguments-at-most",
        "a table of more than ten optional words is refused",
        (Edit(arguments._option_words, "profile.maximum_feature_args", "10"),),
        history="dm writecache: fix the maximum number of arguments",
        caught_by="vectors",
    ),
    Mutant(
        "table-line-computed",
        "the table line shows watermarks and times as they come out of blocks and ticks, not as "
        "they were set",
        (
            Edit(
                status.table,
                "    return table_line(wc.config.arguments)",
                """\
    shown, n_blocks = wc.config.arguments, wc.config.n_blocks
    if shown.high_watermark is not None:
        free = (wc.freelist_high_watermark * 100 + n_blocks // 2) // n_blocks
        shown = shown._replace(high_watermark=100 - free)
    if shown.low_watermark is not None:
        free = (wc.freelist_low_watermark * 100 + n_blocks // 2) // n_blocks
        shown = shown._replace(low_watermark=100 - free)
    if shown.autocommit_time is not None:
        tick = 1000 // wc.config.profile.environment.hz
        shown = shown._replace(autocommit_time=wc.config.autocommit_jiffies * tick)
    return table_line(shown)""",
            ),
        ),
        history="dm writecache: return the exact table values that were set",
        caught_by="vectors",
    ),
    Mutant(
        "copies-beyond-origin",
        "what lies beyond the end of an origin that has shrunk is copied, and the copy fails",
        (
            Edit(
                writeback_submit.submit,
                "    if wrap64(job.original_sector + n_sectors) > wc.data_device_sectors:\n",
                "    if False:\n",
            ),
        ),
        history="dm writecache: fix writing beyond end of underlying device when shrinking",
        caught_by="vectors",
    ),
    Mutant(
        "superblock-bytes-for-sectors",
        "a superblock's write has as many sectors as it should have bytes",
        (Edit(commit.superblock_sectors, "min(sectors_of(wanted), ", "min(wanted, "),),
        history="dm writecache: fix performance degradation in ssd mode",
        equivalent=_SAME_CONTENT,
    ),
    Mutant(
        "superblock-of-a-page",
        "a superblock's write has the size of a page, not of a block",
        (
            Edit(
                commit.superblock_sectors,
                "            return config.block_sectors\n",
                "            wanted = config.profile.environment.page_size\n",
            ),
        ),
        history="dm writecache: commit just one block, not a full page",
        profile="1.4.0",
        equivalent=_SAME_CONTENT,
    ),
    Mutant(
        "superblock-of-a-block",
        "a superblock's write has the size of a block even where that is less than 4 KiB",
        (Edit(commit.superblock_sectors, "max(4096, config.block_size)", "config.block_size"),),
        history="dm writecache: write at least 4k when committing",
        equivalent=_SAME_CONTENT,
    ),
    Mutant(
        "origin-not-flushed-for-writes-around",
        "a flush is reported though what went past a full cache is not durable on the origin",
        (
            Edit(
                map._map_flush,
                "    if bio.flush_number:\n"
                "        return remap_origin(wc, bio, None, transcript)[0]\n",
                "    if bio.flush_number:\n"
                "        transcript.tell(Complete(bio, None))\n"
                "        return wc\n",
            ),
        ),
        history="dm writecache: flush origin device when writing and cache is full",
    ),
    Mutant(
        "overwrite-goes-on-with-free-blocks",
        "a request that overwrites a block goes on with free blocks, not over the neighbours",
        (
            Edit(
                map_write._overwrite,
                "    if not wc.config.profile.overwrite_coalesces:\n",
                "    if True:\n",
            ),
        ),
        history="dm writecache: don't split bios when overwriting contiguous cache content",
        caught_by="vectors",
    ),
    Mutant(
        "suspended-pass-without-limit",
        "a pass of writeback that a suspend waits for goes on beyond its 64 steps",
        (
            Edit(
                writeback._select,
                "            if wc.config.profile.suspended_pass_is_limited:\n",
                "            if False:\n",
            ),
        ),
        history="dm writecache: interrupt writeback if suspended",
        n_entries=66,
        caught_by="vectors",
    ),
    Mutant(
        "fua-write-not-committed",
        "a FUA write is reported when the cache device has its data, before a commit names it",
        (Edit(map_write._remap_cache, "fua = bio.fua and offloads_fua", "fua = False"),),
        history="dm writecache: handle REQ_FUA",
        profile="1.6.0-6.12.117",
    ),
    Mutant(
        "read-counted-once",
        "a read past the cache counts as one block however long it is",
        (Edit(write_around.read_around, "stats.reads + 1 + further", "stats.reads + 1"),),
        history="dm writecache: count number of blocks read, not number of read bios",
        caught_by="vectors",
    ),
    Mutant(
        "write-counted-once",
        "a write to the cache counts as one block however long it is",
        (Edit(map_write._count_write, "stats.writes + run.n_blocks", "stats.writes + 1"),),
        history="dm writecache: count number of blocks written, not number of write bios",
        caught_by="vectors",
    ),
    Mutant(
        "discard-counted-once",
        "a discard counts as one block however long it is",
        (Edit(map._map_discard, "wc.stats.discards + n_blocks", "wc.stats.discards + 1"),),
        history="dm writecache: count number of blocks discarded, not number of discard bios",
        caught_by="vectors",
    ),
    Mutant(
        "dirty-bitmap-too-long",
        "the dirty bitmap is read sixty-four times as far as it goes",
        (Edit(commit.all_regions, "(1 << bitmap_bits(", "(1 << 64 * bitmap_bits("),),
        history="dm writecache: fix a crash due to reading past end of dirty_bitmap",
        equivalent="the crash was the processor's, for want of memory behind the bitmap; a number "
        "has no end to read past, and a run of regions is cut where the metadata ends",
    ),
)

_NEVER_MADE: Final = (
    Mutant(
        "resume-erases-without-flushing",
        "a resume writes what it has erased, and does not flush it",
        (
            Edit(
                resume.resume,
                "        wc = commit_flushed(mark_all_dirty(wc), transcript, data_too=False)\n",
                "        wc = commit_flushed(mark_all_dirty(wc), transcript, data_too=False)\n"
                "        transcript.effects.pop()\n",
            ),
        ),
        n_entries=29,
    ),
    Mutant(
        "duplicates-freed-before-superblock",
        "a commit frees, and writes as free, what it replaces before it is a commit",
        (
            Edit(
                commit.flush,
                "    seq_count = SequenceCount(wrap64(wc.seq_count + 1))\n",
                """\
    for index in reversed(uncommitted):
        replaced = older_duplicate(wc, index)
        if replaced is not None and not wc.entries[replaced].write_in_progress:
            wc = free_entry(wc, transcript, replaced)
    wc = commit_flushed(wc, transcript, data_too=False)
    seq_count = SequenceCount(wrap64(wc.seq_count + 1))
""",
            ),
        ),
    ),
    Mutant(
        "freed-duplicates-not-committed",
        "a commit frees what it replaces in memory only",
        (
            Edit(
                commit._free_replaced,
                "    return commit_flushed(wc, transcript, data_too=False) if freed else wc\n",
                "    return wc\n",
            ),
        ),
        n_entries=29,
    ),
    Mutant(
        "read-does-not-wait-for-write",
        "an uncommitted block is read while its data is still being written",
        (
            Edit(
                map._map_read,
                "        wait_for_writes(wc)\n        if index in wc.unwritten:\n",
                "        if False:\n",
            ),
        ),
    ),
    Mutant(
        "blocks-freed-under-readers",
        "a block that was written back is given away while a read of it is under way",
        (Edit(endio.free_copied_blocks, "    wait_for_reads(wc)\n", ""),),
    ),
)

HISTORICAL: Final = _UPSTREAM + _NEVER_MADE
"""All of them, upstream's first."""

"""Findings that a path through a world's events shows: requests side by side, I/Os that fail."""

from typing import Final

from writecache_models.finding import Finding, Path, Symptom, Trace, quiet_table
from writecache_models.trace import TOGETHER
from writecache_models.walking import events_of
from writecache_spec.repairs import Repair

_NEEDS_ERRORS: Final = "needs an I/O that fails, and then a crash that loses what was not flushed"
WALKED: Final = (
    Finding(
        "read-under-commit",
        "A read returns what was written to another sector",
        Symptom.CORRUPTION,
        "a commit frees the older of two versions while a read of it is under way, and the block "
        "is written anew",
        Repair.READS_BEFORE_FREEING,
        Path(
            "4 high_watermark 100 low_watermark 100",
            3,
            3,
            events_of(
                "open; begin write 1 1; map 0; io 0 False; begin read 1 1; map 1; "
                "begin write 0 2; map 2; io 1 False; begin flush; map 3; flush thread None; "
                "begin write 2 1; map 4; io 1 False; io 0 False"
            ),
        ),
        live=Trace(
            quiet_table("high_watermark", "100", "low_watermark", "100"),
            8,
            8,
            (
                ["open"],
                ["write", 1, 1, 1],
                ["write", 3, 1, 2],
                # Blocks 0 and 1 become the older versions; 6 is the next to be taken, then 0.
                [
                    TOGETHER,
                    ["read", 1, 1],
                    [["write", 0, 4, 3], ["flush"], ["write", 5, 1, 4], ["write", 6, 1, 5]],
                ],
                ["read", 1, 1],
            ),
            cache_delay=400,
        ),
    ),
    Finding(
        "failed-write-shows-leftovers",
        "After a write that failed, a read returns what the block held before, of any sector",
        Symptom.CORRUPTION,
        "an entry stands from the moment at which its block is taken, though no write reached it",
        Repair.FAILED_WRITE_HOLDS_NOTHING,
        Path(
            "0",
            3,
            2,
            events_of(
                "open; begin write 1 1; map 0; io 0 False; begin write 0 2; map 1; io 0 True"
            ),
        ),
        # A cache of one block, which had been another sector's.
        live=Trace(
            quiet_table(block_size=4096),
            16,
            64,
            (
                ["open"],
                ["write", 8, 8, 1],
                ["message", "flush"],
                ["fail", "cache", "flakey", 8, 8],
                ["write", 0, 8, 2],
                ["heal", "cache"],
                ["read", 0, 8],
            ),
        ),
    ),
    Finding(
        "commit-after-failed-flush",
        "A flush that failed is followed by the commit: a crash then loses what was durable",
        Symptom.LOSS,
        "the superblock is written, and older entries are freed, though what they depend on failed",
        Repair.NO_COMMIT_AFTER_ERROR,
        Path(
            "0",
            2,
            2,
            events_of(
                "open; begin write 0 2; map 0; io 0 False; begin discard 0 2; map 1; "
                "flush thread None; io 0 False; begin write 1 1; map 2; io 0 False; "
                "begin flush; map 3; flush thread 1"
            ),
        ),
        not_live=_NEEDS_ERRORS,
    ),
    Finding(
        "resume-forgets-after-error",
        "After an I/O error, suspend and resume make completed writes vanish",
        Symptom.CORRUPTION,
        "a resume rebuilds from the device what could not be written there",
        Repair.RESUME_KEEPS_MEMORY,
        Path(
            "0",
            3,
            2,
            events_of(
                "open; begin write 0 1; map 0; io 0 False; begin flush; map 1; "
                "flush thread 2; begin suspend; work None; go on; begin resume"
            ),
        ),
        # The metadata cannot be written for a while.
        live=Trace(
            quiet_table(block_size=4096),
            64,
            64,
            (
                ["open"],
                ["write", 0, 8, 1],
                ["fail", "cache", "error", 0, 8],
                ["flush"],
                ["heal", "cache"],
                ["read", 0, 8],
                ["suspend"],
                ["resume"],
                ["read", 0, 8],
            ),
        ),
    ),
    Finding(
        "reload-trusts-unflushed-metadata",
        "A reload after a failed flush gives away blocks whose freeing a crash can undo",
        Symptom.LOSS,
        "a resume builds on what it reads from the disk's cache, and does not flush it",
        Repair.RESUME_FLUSHES,
        Path(
            "0",
            2,
            2,
            events_of(
                "open; begin write 0 1; map 0; io 0 False; begin suspend; work None; "
                "work None; work None; copy 0 False; endio take None; endio 1; go on; "
                "begin open; begin write 1 1; map 3"
            ),
        ),
        not_live=_NEEDS_ERRORS,
    ),
    Finding(
        "unreadable-metadata-shows-the-origin",
        "A resume that cannot read its metadata succeeds, and reads return the origin's stale data",
        Symptom.CORRUPTION,
        "a resume cannot fail: what it could not read counts as free",
        Repair.RESUME_REFUSES_UNREADABLE,
        Path(
            "4 high_watermark 100 low_watermark 100",
            2,
            1,
            events_of(
                "open; begin write 0 1; map 0; io 0 False; begin suspend; go on; "
                "begin resume unread"
            ),
        ),
        # The second sector of the metadata: what a constructor reads is well.
        live=Trace(
            quiet_table("high_watermark", "100", "low_watermark", "100"),
            128,
            64,
            (
                ["open"],
                ["write", 0, 1, 1],
                ["message", "flush"],
                ["write", 0, 1, 2],
                ["flush"],
                ["suspend"],
                ["fail", "cache", "error", 2, 1],
                ["open"],
                ["read", 0, 1],
            ),
        ),
    ),
    Finding(
        "flush-under-writeback",
        "A flush is reported while an overwritten block is not durable, and a crash undoes it",
        Symptom.LOSS,
        "a commit without new entries flushes the disk only if some block is not under writeback",
        Repair.FLUSH_UNDER_WRITEBACK,
        Path(
            "4 high_watermark 0 low_watermark 0",
            3,
            2,
            events_of(
                "open; begin write 0 1; map 0; io 0 False; begin flush; map 1; map 1; "
                "io 0 False; flush thread None; begin write 0 1; map 2; io 0 False; "
                "work None; begin flush; map 3; map 3; io 0 False; flush thread None"
            ),
        ),
        live=Trace(
            "s ORIGIN CACHE 512 4 high_watermark 100 low_watermark 100",
            8,
            8,
            (
                ["open"],
                ["write", 0, 1, 1],
                ["flush"],
                ["write", 0, 1, 2],
                ["begin", "message", "cleaner"],
                ["begin", "flush"],
                ["sleep", 0],
            ),
            crash=True,
            origin_delay=300,
            logged=True,
        ),
    ),
    Finding(
        "flush-misses-the-origin",
        "A flush is reported while what went past the cache is not durable",
        Symptom.LOSS,
        "the target asks for one flush, and that one never reaches the origin",
        Repair.FLUSH_REACHES_ORIGIN,
        Path(
            "0",
            1,
            2,
            events_of(
                "open; begin write 0 2; map 0; io 0 False; map 0; io 0 False; begin flush; "
                "map 1; flush thread None"
            ),
        ),
        profile="1.4.0-bullseye",
        kernels="before 5.10.51",
        live=Trace(
            "s ORIGIN CACHE 512 0",
            8,
            8,
            (["open"], ["message", "cleaner"], ["write", 0, 1, 5], ["flush"]),
            crash=True,
            logged=True,
        ),
    ),
    Finding(
        "fua-write-split-by-cleaner",
        "A completed FUA write is lost in a crash where its end went past persistent memory",
        Symptom.LOSS,
        "a write that goes on past the cache is passed on without the commit that FUA asks for",
        Repair.FUA_COMMITS_BEGINNING,
        Path(
            "4 high_watermark 100 low_watermark 100",
            3,
            2,
            events_of(
                "open; begin write 0 1; map 0; begin message cleaner; begin write_fua 0 2; map 2; "
                "io 0 False"
            ),
            pmem_mode=True,
        ),
        kernels="1.4.0 and 6.1, from their sources",
        not_live="needs persistent memory over an origin that takes FUA",
    ),
    Finding(
        "remainder-begins-too-early",
        "A read over cached and uncached sectors of persistent memory leaves its end unread",
        Symptom.CORRUPTION,
        "device-mapper counts only what was passed on, not what was copied before",
        Repair.REMAINDER_IS_THE_END,
        Path(
            "4 high_watermark 100 low_watermark 100",
            3,
            3,
            events_of(
                "open; begin write 0 1; map 0; begin write 2 1; map 1; begin read 0 3; map 2"
            ),
            pmem_mode=True,
        ),
        profile="1.6.0-6.1-amd64",
        kernels="6.1",
        live=Trace(
            "p ORIGIN CACHE 4096 2 autocommit_time 3600000",
            64,
            64,
            (["open"], ["write", 0, 8, 1], ["write", 16, 8, 2], ["read", 0, 24]),
        ),
    ),
)
"""All of them."""

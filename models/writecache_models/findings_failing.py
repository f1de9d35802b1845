"""Findings that an I/O shows which fails."""

from typing import Final

from writecache_models.finding import Finding, Path, Symptom, Trace, quiet_table
from writecache_models.walking import events_of
from writecache_spec.repairs import Repair

FAILING: Final = (
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
        live=Trace(
            "s ORIGIN CACHE 1024 4 high_watermark 100 low_watermark 100",
            7,
            8,
            (
                ["open"],
                ["write", 0, 4, 1],
                ["discard", 0, 4],
                ["write", 2, 2, 2],
                ["fail", "cache", "flakey", 6, 1],
                ["flush"],
            ),
            crash=True,
            logged=True,
        ),
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
        live=Trace(
            "s ORIGIN CACHE 512 4 high_watermark 100 low_watermark 100",
            8,
            8,
            (
                ["open"],
                ["write", 0, 1, 1],
                ["flush"],
                ["begin", "message", "cleaner"],
                ["fail", "cache", "flakey", 7, 1],
                ["heal", "cache"],
                ["open"],
                ["write", 1, 1, 2],
            ),
            crash=True,
            origin_delay=300,
            logged=True,
        ),
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
)

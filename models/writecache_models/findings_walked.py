"""Findings that a path through a world's events shows: requests side by side."""

from typing import Final

from writecache_models.finding import Finding, Path, Symptom, Trace, quiet_table
from writecache_models.trace import TOGETHER
from writecache_models.walking import events_of
from writecache_spec.repairs import Repair

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

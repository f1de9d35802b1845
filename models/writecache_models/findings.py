"""The findings: where the described system breaks the contract, each with the trace that shows it.

A finding is a trace on which the faithful reference breaks the contract, and with the finding's
repair does not.  Most are traces of operations, one after the other, as vectors have them; what
needs requests side by side, or an I/O that fails, is a path through a world's events.  Two are the
same if one repair removes both and the symptom is the same; a *cause* is the ordering or the check
that is missing.
"""

from typing import Final

from writecache_models.finding import Finding, Path, Symptom, Synced, Trace, quiet_table
from writecache_models.findings_failing import FAILING
from writecache_models.findings_walked import WALKED
from writecache_models.images import image_of
from writecache_models.walking import events_of
from writecache_spec.layout import MAGIC, VERSION, Superblock
from writecache_spec.repairs import Repair
from writecache_spec.units import U64

_LAZY: Final = ("high_watermark", "100", "low_watermark", "100")
"""Writeback begins when no block is free."""
_EAGER: Final = ("high_watermark", "0", "low_watermark", "0")
"""Whatever is written is written back at once."""

_TRACED: Final = (
    Finding(
        "format-crash",
        "A crash during the first format leaves a device that no activation accepts",
        Symptom.DEAD,
        "the format's first write carries the version already, and a version without a magic is "
        "refused instead of formatted",
        Repair.FORMAT_VERSION,
        Trace(quiet_table(block_size=1024), 6, 4, (["open"],), crash=True),
    ),
    Finding(
        "fua-not-committed",
        "A completed FUA write is lost in a crash",
        Symptom.LOSS,
        "FUA makes the data durable, and not the entry that says whose it is",
        Repair.FUA_COMMITS,
        Trace(quiet_table(), 8, 8, (["open"], ["write_fua", 0, 1, 1]), crash=True),
        kernels="5.10 to 7.2, but for 6.12.117 and later of 6.12",
        live=Synced(),
    ),
    Finding(
        "two-entries-in-one-commit",
        "A crash just after a commit leaves a cache that comes up with an error",
        Symptom.ERROR,
        "a commit carries two entries of one sector under one sequence count, and frees the older "
        "one only afterwards",
        Repair.ONE_ENTRY_A_COMMIT,
        Trace(
            quiet_table(*_LAZY),
            8,
            8,
            (["open"], ["write", 1, 1, 1], ["write", 0, 2, 2], ["flush"]),
            crash=True,
        ),
    ),
    Finding(
        "overwrite-hits-older-version",
        "A write over two blocks goes to the older of two versions: a read returns old data",
        Symptom.CORRUPTION,
        "a request that overwrites goes on over the neighbouring cache block without asking "
        "whether that is the newest of its sector",
        Repair.OVERWRITE_NEWEST,
        Trace(
            quiet_table(*_LAZY),
            5,
            2,
            (
                ["open"],
                ["write", 1, 1, 1],
                ["discard", 1, 1],
                ["write", 1, 1, 2],
                ["write", 0, 2, 3],
                ["discard", 0, 1],
                ["write", 0, 2, 4],
                ["write", 0, 2, 5],
                ["read", 0, 1],
                ["read", 1, 1],
            ),
        ),
        kernels="5.10.51 to 7.2",
    ),
    Finding(
        "run-over-duplicate",
        "Writeback of a run with two versions of a sector in it kills the kernel",
        Symptom.PANIC,
        "a run of writeback steps over a second version, and then takes the block behind that for "
        "its own neighbour",
        Repair.RUN_OVER_DUPLICATES,
        Trace(
            quiet_table(*_LAZY),
            8,
            7,
            (
                ["open"],
                ["write", 5, 1, 1],
                ["write", 1, 2, 2],
                ["discard", 1, 2],
                ["write", 6, 1, 3],
                ["flush"],
                ["write", 1, 5, 4],
            ),
        ),
    ),
    Finding(
        "pass-frees-its-own-block",
        "Two writes kill the kernel: writeback goes on with a block that its own commit has freed",
        Symptom.PANIC,
        "a pass of writeback chooses its block before it commits, and does not look again",
        Repair.PASS_LOOKS_AGAIN,
        Trace(quiet_table(*_LAZY), 4, 7, (["open"], ["write", 6, 1, 1], ["write", 5, 2, 2])),
    ),
    Finding(
        "flush-message-hangs",
        "After an I/O error in writeback a `flush` message never ends",
        Symptom.HANG,
        "whoever waits for writeback is woken where a block is freed, and after an error none is",
        Repair.WAKE_AFTER_ERROR,
        Path(
            "0",
            3,
            2,
            events_of(
                "open; begin write 0 2; map 0; io 0 False; begin message flush; work None; "
                "work None; copy 0 False; endio take 0; work None; endio None"
            ),
        ),
        live=Trace(
            quiet_table(block_size=4096),
            64,
            256,
            (["open"], ["message", "flush"]),
            origin_delay=300,
            # A damaged entry, whose copy fails: it lies across the end of all numbers.
            cache_image=image_of(Superblock(MAGIC, VERSION, 4096, 0, 7, 9), ((U64 - 8, 3), (8, 2))),
        ),
    ),
    Finding(
        "table-of-memory-without-dax",
        "A table that names an ordinary device as persistent memory kills the kernel",
        Symptom.PANIC,
        "the constructor asks a property of the device's DAX before it asks whether it has one",
        Repair.DAX_IS_ASKED_FOR,
        # A piece of persistent memory that is cut inside a page has no DAX.
        Trace("p ORIGIN CACHE 4096 2 autocommit_time 3600000", 17, 8, (["open"],)),
        profile="1.6.0-6.1-amd64",
        kernels="6.1",
    ),
    Finding(
        "unreadable-superblock-loads",
        "A table whose superblock cannot be read is reported as loaded",
        Symptom.MISTOLD,
        "the count of bytes that could not be copied is returned where an errno belongs",
        Repair.UNREADABLE_IS_AN_ERROR,
        Trace(
            "p ORIGIN CACHE 4096 2 autocommit_time 3600000",
            16,
            8,
            (["open"], ["fail", "cache", "poison", 0, 1], ["open"]),
        ),
        profile="1.6.0-6.1-amd64",
        kernels="6.1",
    ),
)

FINDINGS: Final = _TRACED + FAILING + WALKED
"""All of them."""


def finding_of(repair: Repair | None) -> Finding | None:
    """The finding that a repair is for."""
    return next((one for one in FINDINGS if one.repair is repair), None)


def finding_named(name: str) -> Finding:
    """A finding by its name; raises KeyError."""
    for one in FINDINGS:
        if one.name == name:
            return one
    raise KeyError(name)

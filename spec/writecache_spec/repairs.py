"""Repairs: how each way in which the kernel breaks the contract can be mended.

With none of them the reference does what the kernel does.  A repair changes one check or one order;
it refuses nothing but what cannot be had, a device without DAX or metadata that cannot be read,
delays nothing without bound, and leaves caching on.  With all of them the
contract holds.  What each mends, and how that shows, is told in `findings`.
"""

from enum import Enum
from typing import Final


class Repair(Enum):
    """One mend; the value says what is done differently."""

    FORMAT_VERSION = "a format writes the version together with the magic, last"
    FUA_COMMITS = "a FUA write of the cache is committed before it is reported"
    FUA_COMMITS_BEGINNING = "a FUA write that goes on past the cache commits what it has stored"
    REMAINDER_IS_THE_END = "what is mapped next of a request is what nobody has taken yet"
    DAX_IS_ASKED_FOR = "a cache device that the processor cannot reach is refused in mode p"
    UNREADABLE_IS_AN_ERROR = "a superblock that cannot be loaded is refused with an errno"
    ONE_ENTRY_A_COMMIT = "of two entries of a sector that a commit would carry, the older is freed"
    OVERWRITE_NEWEST = "an overwrite goes on over a neighbour only if that is its sector's newest"
    RUN_OVER_DUPLICATES = "a run of writeback goes on behind its own last block only"
    PASS_LOOKS_AGAIN = "a pass of writeback looks anew for the oldest block after its own commit"
    WAKE_AFTER_ERROR = "whoever waits for writeback is woken when it ends, after an error too"
    READS_BEFORE_FREEING = "a commit waits for reads before it frees what they may be reading"
    FAILED_WRITE_HOLDS_NOTHING = "a block whose first write failed is freed, not read or committed"
    NO_COMMIT_AFTER_ERROR = "a commit ends where one of its I/Os fails"
    RESUME_KEEPS_MEMORY = "a resume after an error goes on with what is in memory"
    RESUME_FLUSHES = "a resume flushes the cache device before it builds on what it read"
    RESUME_REFUSES_UNREADABLE = "a resume whose metadata cannot be read fails, and can be repeated"
    FLUSH_UNDER_WRITEBACK = "overwritten blocks are flushed though all are under writeback"
    FLUSH_REACHES_ORIGIN = "a flush is sent to the origin, too"


ALL_REPAIRS: Final = frozenset(Repair)
NO_REPAIRS: Final = frozenset[Repair]()
OF_MEMORY: Final = frozenset(
    {
        Repair.FUA_COMMITS_BEGINNING,
        Repair.REMAINDER_IS_THE_END,
        Repair.DAX_IS_ASKED_FOR,
        Repair.UNREADABLE_IS_AN_ERROR,
    }
)
"""Those that act in persistent-memory mode only."""

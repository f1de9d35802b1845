"""Discard: forget the cached blocks of a range.

Committed and uncommitted entries alike are freed, and their regions written and flushed, before the
discard goes on to the origin: a crash in between leaves the origin's old content.  Blocks that are
being copied to the origin stay, and so does their entry; the copy may land after the discard.

Where the profile says so an uncommitted block is taken off the autocommit counter.  The counter was
reset by the last autocommit that was only asked for, so it can fall below zero: it wraps, and the
next write asks for a commit at once.

Describes `writecache_discard`.
"""

from writecache_spec.commit import commit_flushed
from writecache_spec.entries import free_entry, in_range
from writecache_spec.state import State, entry_is_committed
from writecache_spec.transcript import Transcript, wait_for_reads, wait_for_writes
from writecache_spec.units import Sector, wrap32


def discard(wc: State, transcript: Transcript, start: Sector, end: Sector) -> State:
    """Free the entries with start <= original sector < end and commit that."""
    indices = [i for i in in_range(wc, start, end) if not wc.entries[i].write_in_progress]
    if not indices:
        return wc
    wait_for_reads(wc)
    wait_for_writes(wc)
    for index in indices:
        if wc.config.profile.discard_uncounts_uncommitted and not entry_is_committed(
            wc, wc.entries[index]
        ):
            wc = wc._replace(uncommitted_blocks=wrap32(wc.uncommitted_blocks - 1))
        wc = free_entry(wc, transcript, index)
    return commit_flushed(wc, transcript, data_too=False)

"""The end of writeback: blocks that are home become free.

1. The endio thread takes the list of copies that have ended, and flushes the origin: from here on
   the origin holds the blocks durably.
2. It frees their entries, waits until no request reads the cache device (a block must not be given
   away under a reader), writes the regions and flushes the cache device.

A crash between the two copies the same data again.  After an error entries are not freed any more:
they stay in the tree, readable, in no list.

Describes `writecache_endio_thread` and `__writecache_endio_ssd`.
"""

from writecache_spec.commit import commit_regions
from writecache_spec.effects import Reason
from writecache_spec.entries import free_entry
from writecache_spec.events import Device
from writecache_spec.repairs import Repair
from writecache_spec.state import State, mends
from writecache_spec.transcript import (
    Transcript,
    bug_on,
    disk_flush,
    report_error,
    require,
    wait_for_reads,
)
from writecache_spec.units import BlockIndex


def take_ended_copies(wc: State, transcript: Transcript) -> State:
    """Take the whole list, and make what it stands for durable on the origin."""
    require(wc.endio_list, "no copy has ended")
    require(not wc.endio_taken, "the endio thread is at work")
    wc = disk_flush(wc, transcript, Device.ORIGIN)
    return wc._replace(endio_list=(), endio_taken=wc.endio_list)


def free_copied_blocks(wc: State, transcript: Transcript) -> State:
    """Free the blocks of the copies that were taken, and commit that."""
    require(wc.endio_taken, "the endio thread has taken nothing")
    for job, failed in wc.endio_taken:
        if failed:
            wc = report_error(wc, transcript, "copy error")
        for number in range(job.first, job.first + job.n_blocks):
            index = BlockIndex(number)
            entry = wc.entries[index]
            bug_on(not entry.write_in_progress, Reason.END_OF_BLOCK_NOT_IN_PROGRESS)
            if wc.error:
                entries = wc.entries.set(index, entry._replace(write_in_progress=False))
                wc = wc._replace(entries=entries)
            else:
                wc = free_entry(wc, index)
            wc = wc._replace(writeback_size=wc.writeback_size - 1)
            if mends(wc, Repair.WAKE_AFTER_ERROR):
                wc = wc._replace(sleeping=frozenset())
    wait_for_reads(wc)
    return commit_regions(wc._replace(endio_taken=()), transcript, data_too=False)

"""The end of writeback: blocks that are home become free.

1. The endio thread takes the list of copies that have ended, and flushes the origin: from here on
   the origin holds the blocks durably.
2. It frees their entries, waits until no request reads the cache device (a block must not be given
   away under a reader), writes the regions and flushes the cache device.

In persistent-memory mode the origin is flushed only where it was not written with FUA.  The thread
lets others have the lock after every 16 blocks, fencing first; nobody needs to wait for readers.

A crash between the two copies the same data again.  After an error entries are not freed any more:
they stay in the tree, readable, in no list.

Describes `writecache_endio_thread`, `__writecache_endio_ssd` and `__writecache_endio_pmem`.
"""

from typing import Final

from writecache_spec.commit import commit_flushed
from writecache_spec.effects import Reason
from writecache_spec.entries import free_entry
from writecache_spec.events import Device, WriteJob
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
from writecache_spec.units import BlockIndex, Sector

ENDIO_LATENCY: Final = 16
"""Blocks of persistent memory that are freed before others may have the lock."""


def take_ended_copies(wc: State, transcript: Transcript) -> State:
    """Take the whole list, and make what it stands for durable on the origin."""
    require(wc.endio_list, "no copy has ended")
    require(not wc.endio_taken, "the endio thread is at work")
    if not wc.config.writeback_fua:
        wc = disk_flush(wc, transcript, Device.ORIGIN)
    return wc._replace(endio_list=(), endio_taken=wc.endio_list)


def free_copied_blocks(wc: State, transcript: Transcript) -> State:
    """Free the blocks of the copies that were taken, and commit that."""
    require(wc.endio_taken, "the endio thread has taken nothing")
    if wc.config.pmem_mode:
        return _free_written_blocks(wc, transcript)
    for job, failed in wc.endio_taken:
        if failed:
            wc = report_error(wc, transcript, "copy error")
        for index in job.blocks:
            wc = _end_block(wc, transcript, index)
    wait_for_reads(wc)
    return commit_flushed(wc._replace(endio_taken=()), transcript, data_too=False)


def _free_written_blocks(wc: State, transcript: Transcript) -> State:
    """Free as many blocks as the thread does before it drops the lock, and fence.

    After the last of 16 blocks it holds on to their job, though nothing may be left of it.
    """
    taken, room = wc.endio_taken, ENDIO_LATENCY
    while taken and room:
        (job, failed), *others = taken
        if failed:
            wc = report_error(wc, transcript, "write error")
        now, left = job.blocks[:room], job.blocks[room:]
        for index in now:
            wc = _end_block(wc, transcript, index)
        room -= len(now)
        place = Sector(job.original_sector + len(now) * wc.config.block_sectors)
        held = () if room else ((WriteJob(tuple(left), place), failed),)
        taken = (*held, *others)
    return commit_flushed(wc._replace(endio_taken=taken), transcript, data_too=False)


def _end_block(wc: State, transcript: Transcript, index: BlockIndex) -> State:
    """A block is not under writeback any more: free, unless an error was met."""
    entry = wc.entries[index]
    bug_on(not entry.write_in_progress, Reason.END_OF_BLOCK_NOT_IN_PROGRESS)
    if wc.error:
        entries = wc.entries.set(index, entry._replace(write_in_progress=False))
        wc = wc._replace(entries=entries)
    else:
        wc = free_entry(wc, transcript, index)
    wc = wc._replace(writeback_size=wc.writeback_size - 1)
    return wc._replace(sleeping=frozenset()) if mends(wc, Repair.WAKE_AFTER_ERROR) else wc

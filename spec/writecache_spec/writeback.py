"""Writeback: which blocks are brought home to the origin, and how.

A pass selects blocks under the lock (this module), drops the lock, and submits copies of contiguous
runs (`writeback_submit`).  While a block is under writeback it is in no list, must not be
overwritten, and stays readable.  What ends a copy is described in `endio`.

A pass goes on while any of these holds, oldest block first:
  * somebody asks for everything (`writeback_all`); then in the order of the tree, not of age,
  * few blocks are free or about to be (the low watermark),
  * the oldest block has reached max_age, less a sixteenth;
but for no more than 64 steps, unless everything is asked for; then the function queues itself
again.

Only committed blocks are copied: an uncommitted one is committed on the way.  A block of which an
older duplicate is still being copied is skipped: the older copy must not land last.

The selection in the order of the tree goes on from where the last run ended.  If a run ends without
having looked at a following entry, the kernel goes on from an old pointer, or from none: outcomes
with names here (`Reason`).

Describes `writecache_writeback` up to its unlock.
"""

from typing import Final, NamedTuple

from writecache_spec.commit import flush
from writecache_spec.effects import QueueWork, Reason, Sleep, Work
from writecache_spec.entries import is_free, next_in_tree, older_duplicate
from writecache_spec.events import CopyJob, Job, WritebackWork, WriteJob
from writecache_spec.mended import must_stop
from writecache_spec.repairs import Repair
from writecache_spec.state import Phase, State, Waiter, Writeback, entry_is_committed, mends
from writecache_spec.transcript import Transcript, bug_on, require, wait_for_writes
from writecache_spec.units import BlockIndex, Jiffies, wrap64
from writecache_spec.write_jobs import BIO_MAX_VECS, write_jobs
from writecache_spec.writeback_submit import finish

WRITEBACK_LATENCY: Final = 64
"""Steps in a pass."""
MAX_AGE_DIV: Final = 16
"""Blocks are looked for sixteen times in each max_age, and taken that much early."""


class _Pass(NamedTuple):
    """A selection under way."""

    wc: State
    jobs: tuple[Job, ...] = ()
    skipped: tuple[BlockIndex, ...] = ()
    """In the order in which they were met."""
    n_walked: int = 0
    begun: bool = False
    following: BlockIndex | None = None
    """The entry that the last run stopped at: where a pass in tree order goes on."""


def begin_writeback(wc: State, event: WritebackWork, transcript: Transcript) -> State:
    """Select the blocks of one pass, or find that there is nothing to do."""
    require(wc.writeback is None, "the writeback function is running")
    require(not wc.poisoned, "the device is suspended")
    require(_pause_is_over(wc, event.now), "writeback pauses while the origin is written")
    return _select(wc, event.now, transcript)


def _pause_is_over(wc: State, now: Jiffies) -> bool:
    """Whether the origin has been left in peace for long enough, or that does not matter now."""
    if not wc.config.pause or wc.cleaner or wc.writeback_all or wc.suspended:
        return True
    idle = 0 if wc.origin_writes_in_flight else wrap64(now - wc.origin_idle_since)
    return idle >= wc.config.pause


def restart_writeback(wc: State, now: Jiffies, transcript: Transcript) -> State:
    """Begin again after waiting for what was under writeback."""
    return _select(wc._replace(writeback=None), now, transcript)


def _select(wc: State, now: Jiffies, transcript: Transcript) -> State:
    if wc.error:
        return wc
    if wc.writeback_all and wc.writeback_size:
        transcript.tell(Sleep(Waiter.WRITEBACK))
        return wc._replace(
            writeback=Writeback(Phase.RESTART), sleeping=wc.sleeping | {Waiter.WRITEBACK}
        )
    if wc.overwrote_committed:
        wait_for_writes(wc)
    selection = _Pass(wc)
    while _wanted(selection.wc, now):
        selection = selection._replace(n_walked=selection.n_walked + 1)
        if selection.n_walked > WRITEBACK_LATENCY and not selection.wc.writeback_all:
            if not wc.suspended:
                transcript.tell(QueueWork(Work.WRITEBACK))
                break
            if wc.config.profile.suspended_pass_is_limited:
                break
        selection = _take(selection, transcript)
    # A commit on the way may have freed some of what was skipped before.
    skipped = tuple(index for index in selection.skipped if not is_free(selection.wc, index))
    wc = _put_back(selection.wc, skipped)
    if skipped and not selection.jobs and wc.writeback_size:
        # Nothing to do before one of the older copies ends.
        transcript.tell(Sleep(Waiter.WRITEBACK))
        return wc._replace(
            writeback=Writeback(Phase.NO_PROGRESS), sleeping=wc.sleeping | {Waiter.WRITEBACK}
        )
    if selection.jobs:
        return wc._replace(writeback=Writeback(Phase.SUBMIT, _as_submitted(wc, selection.jobs)))
    return finish(wc, transcript)


def _wanted(wc: State, now: Jiffies) -> bool:
    """Whether the pass should take another block."""
    oldest = wc.lru.first()
    if oldest is None or must_stop(wc):
        return False
    if wc.writeback_all or len(wc.freelist) + wc.writeback_size <= wc.freelist_low_watermark:
        return True
    max_age = wc.config.max_age
    return wrap64(now - wc.entries[oldest[1]].age) >= max_age - max_age // MAX_AGE_DIV


def _take(selection: _Pass, transcript: Transcript) -> _Pass:
    """One step: the next block with its run, or skip it."""
    selection, index = _next_candidate(selection, transcript)
    wc = selection.wc
    bug_on(wc.entries[index].write_in_progress, Reason.WRITEBACK_OF_BLOCK_IN_PROGRESS)
    if not entry_is_committed(wc, wc.entries[index]):
        wc = flush(wc, transcript)
        freed = is_free(wc, index)
        if must_stop(wc) or (freed and mends(wc, Repair.PASS_LOOKS_AGAIN)):
            return selection._replace(wc=wc)
        bug_on(freed, Reason.FREED_ENTRY)
    older = older_duplicate(wc, index)
    if older is not None:
        bug_on(not wc.entries[older].write_in_progress, Reason.OLDER_ENTRY_NOT_IN_PROGRESS)
        lru = wc.lru.remove(wc.entries[index].lru_key)
        skipped = (*selection.skipped, index)
        return selection._replace(wc=wc._replace(lru=lru), skipped=skipped)
    return _take_run(selection._replace(wc=wc), index)


def _next_candidate(selection: _Pass, transcript: Transcript) -> tuple[_Pass, BlockIndex]:
    wc = selection.wc
    if not wc.writeback_all or mends(wc, Repair.PASS_LOOKS_AGAIN):
        oldest = wc.lru.first()
        assert oldest is not None
        return selection, oldest[1]
    if selection.begun:
        bug_on(selection.following is None, Reason.UNINITIALISED_NEXT)
        assert selection.following is not None
        return selection, selection.following
    wc = flush(wc, transcript)
    first = wc.tree.first()
    bug_on(first is None, Reason.EMPTY_TREE)
    assert first is not None
    return selection._replace(wc=wc, begun=True), first[1][0]


def _take_run(selection: _Pass, first: BlockIndex) -> _Pass:
    """Put a block under writeback, and with it its neighbours: on both devices in SSD mode."""
    block_sectors = selection.wc.config.block_sectors
    anywhere = selection.wc.config.pmem_mode
    run = [first]
    wc = _put_under_writeback(selection.wc, first)
    following = selection.following
    last = first
    while (found := next_in_tree(wc, last)) is not None:
        following = found
        entry, sector = wc.entries[found], wc.entries[last].original_sector
        if entry.original_sector == sector:
            last = found
            continue
        if (
            entry.original_sector != wrap64(sector + block_sectors)
            or entry.write_in_progress
            or not entry_is_committed(wc, entry)
            or not (anywhere or _continues(wc, found, run[-1], last))
        ):
            break
        wc = _put_under_writeback(wc, found)
        run.append(found)
        last = found
        if len(run) == BIO_MAX_VECS:
            # Only when everything is written back does the pass go on from the entry after it.
            after = next_in_tree(wc, last)
            if wc.writeback_all and after is not None:
                following = after
            break
    return selection._replace(
        wc=wc,
        jobs=(*selection.jobs, _job_of(wc, run)),
        n_walked=selection.n_walked + len(run) - 1,
        following=following,
    )


def _job_of(wc: State, run: list[BlockIndex]) -> Job:
    """What brings a run home."""
    first, sector = run[0], wc.entries[run[0]].original_sector
    if wc.config.pmem_mode:
        return WriteJob(tuple(run), sector)
    bug_on(run != list(range(first, first + len(run))), Reason.RUN_NOT_CONTIGUOUS)
    return CopyJob(first, len(run), sector)


def _as_submitted(wc: State, jobs: tuple[Job, ...]) -> tuple[Job, ...]:
    """What is submitted of runs: copies as they were selected, writes not (`write_jobs`)."""
    runs = tuple(job.blocks for job in jobs if isinstance(job, WriteJob))
    return write_jobs(wc, runs) if runs else jobs


def _continues(wc: State, index: int, last_of_run: int, last_seen: int) -> bool:
    """Whether a block lies behind the last one on the cache device, where a copy can reach it.

    The kernel asks about the last entry that it looked at, which may be a duplicate.
    """
    behind = last_of_run if mends(wc, Repair.RUN_OVER_DUPLICATES) else last_seen
    return index == behind + 1


def _put_under_writeback(wc: State, index: BlockIndex) -> State:
    entry = wc.entries[index]
    return wc._replace(
        entries=wc.entries.set(index, entry._replace(write_in_progress=True)),
        lru=wc.lru.remove(entry.lru_key),
        writeback_size=wc.writeback_size + 1,
    )


def _put_back(wc: State, skipped: tuple[BlockIndex, ...]) -> State:
    """Return skipped blocks to the old end of the LRU, the first one met as the oldest."""
    if not skipped:
        return wc
    oldest = wc.lru.first()
    key = oldest[0] if oldest else 0
    entries, lru = wc.entries, wc.lru
    for index in reversed(skipped):
        key -= 1
        entries = entries.set(index, entries[index]._replace(lru_key=key))
        lru = lru.set(key, index)
    return wc._replace(entries=entries, lru=lru)

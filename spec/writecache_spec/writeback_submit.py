"""Submitting what was selected: the second half of the writeback function, outside the lock.

Each run is one copy.  A run that begins beyond the origin's end (the origin has shrunk) counts as
copied at once; one that reaches over it is cut.  `writeback_jobs` limits how many blocks are being
copied: having submitted a run, the function waits until there are fewer.

In persistent-memory mode each run is one write of the origin.  Blocks that begin beyond the
origin's end are left out of it; one that reaches over it makes the write fail.  After an error
nothing more is written: what was selected ends as failed.

The function then ends, unless everything is to be written back: then it waits until nothing is
under writeback.  Such a wait ends only when an entry is freed or an error is met.

Describes `__writecache_writeback_ssd`, `__writecache_writeback_pmem`,
`__writeback_throttle`, the end of `writecache_writeback`, `writecache_wait_on_freelist`,
`writecache_wait_for_writeback`, and `writecache_copy_endio`.
"""

from writecache_spec.effects import Copy, Sleep, WriteOrigin
from writecache_spec.events import CopyEnd, Job, WriteJob
from writecache_spec.state import Phase, State, Waiter, Writeback, cache_sector
from writecache_spec.transcript import Transcript
from writecache_spec.units import Sector, wrap64


def submit(wc: State, jobs: tuple[Job, ...], transcript: Transcript) -> State:
    """Submit the first of the remaining runs, or finish where none remains."""
    if not jobs:
        return finish(wc, transcript)
    job, rest = jobs[0], jobs[1:]
    wc = wc._replace(writeback=Writeback(Phase.SUBMIT, rest))
    if isinstance(job, WriteJob):
        return throttle(_submit_write(wc, job, transcript), rest, transcript)
    config = wc.config
    n_sectors = job.n_blocks * config.block_sectors
    if wrap64(job.original_sector + n_sectors) > wc.data_device_sectors:
        if job.original_sector >= wc.data_device_sectors:
            return wc._replace(endio_list=(*wc.endio_list, (job, False)))
        n_sectors = wc.data_device_sectors - job.original_sector
    source = cache_sector(config, job.first)
    transcript.tell(Copy(job, source, job.original_sector, Sector(n_sectors)))
    return throttle(wc, rest, transcript)


def _submit_write(wc: State, job: WriteJob, transcript: Transcript) -> State:
    """Write a run from persistent memory, as far as the origin reaches."""
    block_sectors = wc.config.block_sectors
    room = max(wc.data_device_sectors - job.original_sector, 0)
    n_blocks = min(job.n_blocks, -(-room // block_sectors))
    if wc.error or not n_blocks:
        return wc._replace(endio_list=(*wc.endio_list, (job, wc.error)))
    n_sectors = Sector(n_blocks * block_sectors)
    transcript.tell(WriteOrigin(job, job.original_sector, n_sectors, wc.config.writeback_fua))
    return wc


def throttle(wc: State, rest: tuple[Job, ...], transcript: Transcript) -> State:
    """Wait while as many blocks are being copied as `writeback_jobs` allows."""
    limit = wc.config.max_writeback_jobs
    being_copied = wc.writeback_size - sum(job.n_blocks for job in rest)
    if limit and being_copied >= limit:
        transcript.tell(Sleep(Waiter.WRITEBACK))
        return wc._replace(
            writeback=Writeback(Phase.THROTTLE, rest), sleeping=wc.sleeping | {Waiter.WRITEBACK}
        )
    return wc._replace(writeback=Writeback(Phase.SUBMIT, rest))


def finish(wc: State, transcript: Transcript) -> State:
    """End the writeback function, or wait until everything is written back."""
    if wc.writeback_all and wc.writeback_size:
        transcript.tell(Sleep(Waiter.WRITEBACK))
        return wc._replace(
            writeback=Writeback(Phase.DRAIN), sleeping=wc.sleeping | {Waiter.WRITEBACK}
        )
    return wc._replace(writeback=None)


def copy_end(wc: State, event: CopyEnd) -> State:
    """A copy is done, well or not: leave it to the endio thread."""
    return wc._replace(endio_list=(*wc.endio_list, (event.job, event.failed)))

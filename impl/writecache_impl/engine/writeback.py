"""Writeback: which blocks are brought home to the origin, and how they become free.

1. A pass selects blocks under the lock, oldest first, each with its run of neighbours: on both
   devices in SSD mode, at most 256.  It goes on while somebody asks for everything, while few
   blocks are free or about to be, or while the oldest has reached max_age less a sixteenth; but for
   no more than 64 steps, unless everything is asked for: then it queues itself again.
2. Each run is copied, without the lock.  While a block is under writeback it is in no list, is not
   overwritten, and stays readable.
3. The origin is flushed: from here on it holds the blocks durably.
4. Under the lock their entries are freed, written, and the cache device is flushed.

Only committed blocks are copied; an uncommitted one is committed on the way, after which the pass
looks again for the oldest.  A block of which an older version is still being copied is skipped: the
older copy must not land last.  A power loss between 3 and 4 copies the same data again.  After an
error blocks are not freed any more, and everybody who waits is woken all the same.

`writeback` is a generator because it sleeps, as the kernel's function does: it yields where it goes
on only after some block's writeback has ended.  The lock is held whenever it runs.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from writecache_impl.engine import commit
from writecache_impl.engine.config import MAX_AGE_DIV
from writecache_impl.engine.entries import AGE_MASK, FREE, IN_PROGRESS, LISTED, NONE, UNLISTED
from writecache_impl.engine.state import WRITEBACK, Cache, Run
from writecache_spec.units import U64_MAX, wrap64

WRITEBACK_LATENCY: Final = 64
"""Steps in a pass."""
BIO_MAX_VECS: Final = 256
"""Blocks in a run."""
MOST_SELECTED: Final = 16384
"""Blocks that are under writeback at once where everything is asked for: then the next as many."""
COPY_SIZE: Final = 2**19
"""Bytes that are written to the origin at once."""


def pause_is_over(wc: Cache) -> bool:
    """Whether the origin has been left in peace for long enough, or that does not matter now."""
    return pause_left(wc) == 0


def pause_left(wc: Cache) -> int:
    """How many ticks writeback still has to wait, as far as is known now."""
    pause = wc.config.pause
    if not pause or wc.cleaner or wc.writeback_all or wc.suspended:
        return 0
    idle = 0 if wc.origin_writes_in_flight else wrap64(wc.now() - wc.origin_idle_since)
    return max(pause - idle, 0)


def writeback(wc: Cache) -> Iterator[None]:
    """Do one pass: put runs on `wc.copies`, and yield where nothing can be done before some end.

    Where everything is asked for that is what there is at the beginning.  Oldest first, so that
    blocks which come meanwhile are none of it.
    """
    left = wc.config.n_blocks - wc.entries.n_free
    while True:
        while wc.writeback_all and wc.writeback_size and not wc.error:
            yield
        if wc.error:
            return
        runs, skipped = _select(wc)
        n_selected = sum(len(run.blocks) for run in runs)
        left -= n_selected
        yield from _submit(wc, runs, skipped)
        if n_selected < MOST_SELECTED or left <= 0 or not wc.writeback_all:
            return


def _submit(wc: Cache, runs: list[Run], skipped: list[int]) -> Iterator[None]:
    """Let runs be copied, no more at once than `writeback_jobs` allows."""
    if skipped and not runs and wc.writeback_size:
        yield
    limit = wc.config.max_writeback_jobs
    left = sum(len(run.blocks) for run in runs)
    for run in runs:
        wc.copies.append(run)
        left -= len(run.blocks)
        while limit and wc.writeback_size - left >= limit:
            yield
    while wc.writeback_all and wc.writeback_size:
        yield


def _select(wc: Cache) -> tuple[list[Run], list[int]]:
    """The runs of one pass, and the blocks that were skipped."""
    runs: list[Run] = []
    skipped: list[int] = []
    entries = wc.entries
    n_walked = n_selected = 0
    while (index := entries.oldest) != NONE and _wanted(wc, index):
        n_walked += 1
        if n_walked > WRITEBACK_LATENCY and not wc.writeback_all:
            if not wc.suspended:
                wc.enqueue(WRITEBACK)
            break
        if not wc.is_committed(index):
            commit.flush(wc)
            if wc.error or entries.state[index] == FREE:
                continue
        if entries.duplicates and entries.older(index) >= 0:
            entries.unlist(index)
            skipped.append(index)
            continue
        run = _take_run(wc, index)
        runs.append(run)
        n_walked += len(run.blocks) - 1
        n_selected += len(run.blocks)
        if n_selected >= MOST_SELECTED:
            break
    # A commit on the way may have freed some of what was skipped before.
    skipped = [index for index in skipped if entries.state[index] == UNLISTED]
    for index in reversed(skipped):
        entries.list_oldest(index)
    return runs, skipped


def _wanted(wc: Cache, oldest: int) -> bool:
    """Whether the pass should take another block."""
    if wc.error:
        return False
    if wc.writeback_all or wc.entries.n_free + wc.writeback_size <= wc.low_watermark:
        return True
    max_age = wc.config.max_age
    if max_age == U64_MAX:
        return False
    age = (wc.now() - wc.entries.ages[oldest]) & AGE_MASK
    return age >= max_age - max_age // MAX_AGE_DIV


def _take_run(wc: Cache, first: int) -> Run:
    """Put a block under writeback, and with it its neighbours."""
    entries = wc.entries
    block_sectors = wc.config.block_sectors
    anywhere = wc.config.pmem_mode
    run = [first]
    entries.unlist(first, IN_PROGRESS)
    last = first
    while len(run) < BIO_MAX_VECS and (found := entries.next_in_order(last)) >= 0:
        sector = entries.sectors[last]
        if entries.sectors[found] == sector:
            # A newer version: what follows it may still belong to the run.
            last = found
            continue
        if (
            entries.sectors[found] != sector + block_sectors
            or entries.state[found] != LISTED
            or not wc.is_committed(found)
            or not (anywhere or found == run[-1] + 1)
        ):
            break
        entries.unlist(found, IN_PROGRESS)
        run.append(found)
        last = found
    wc.writeback_size += len(run)
    return Run(run if anywhere else range(first, first + len(run)), entries.sectors[first])


def copy(wc: Cache, run: Run) -> None:
    """Bring a run's data to the origin; `run.failed` says how that ended.  Without the lock.

    What begins behind the origin's end counts as copied; what reaches over it is cut in SSD mode,
    and fails in the other.
    """
    config = wc.config
    room = wc.origin_sectors - run.sector
    size = len(run.blocks) * config.block_size
    if config.pmem_mode:
        n_blocks = min(len(run.blocks), -(-max(room, 0) // config.block_sectors))
        size = n_blocks * config.block_size
        run.went_nowhere = wc.error or not n_blocks
        run.failed = wc.error
    elif wrap64(run.sector + size // 512) > wc.origin_sectors:
        run.went_nowhere = room <= 0
        size = room * 512
    if run.went_nowhere:
        return
    try:
        data = memoryview(_data(wc, run, size))
    except OSError:
        run.failed = True
        return
    for begin in range(0, size, COPY_SIZE):
        try:
            piece = data[begin : begin + COPY_SIZE]
            wc.origin.write(run.sector * 512 + begin, piece, config.writeback_fua)
        except (OSError, OverflowError):
            run.failed = True


def _data(wc: Cache, run: Run, size: int) -> bytes:
    """The first bytes of a run; in SSD mode its blocks are neighbours."""
    if isinstance(run.blocks, range):
        return wc.cache.read(wc.data_of(run.blocks[0]), size)
    blocks = run.blocks[: size // wc.config.block_size]
    return b"".join(wc.cache.read(wc.data_of(at), wc.config.block_size) for at in blocks)


def flush_origin(wc: Cache) -> bool:
    """Make durable what was copied.  Without the lock; False where that fails."""
    if wc.config.writeback_fua:
        return True
    try:
        wc.origin.flush()
    except OSError:
        return False
    return True


def end(wc: Cache, runs: Iterable[Run], flushed: bool) -> None:
    """Free the blocks of runs that were copied, and commit that.

    In the order in which they come: from one that failed on nothing is freed.
    """
    if not flushed:
        wc.fail("error flushing metadata")
    for run in runs:
        if run.failed:
            wc.fail("write error" if wc.config.pmem_mode else "copy error")
        for index in run.blocks:
            if wc.error:
                wc.entries.state[index] = UNLISTED
            else:
                wc.free_entry(index)
            wc.writeback_size -= 1
    wc.wake()
    commit.write_metadata(wc)

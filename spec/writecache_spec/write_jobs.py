"""Which blocks of persistent memory are brought home by one write of the origin.

A pass of writeback selects runs: a block and those that follow it on the origin.  Their writes are
made of the list of all of them, in its order, and each takes what adjoins on the origin, also
beyond its run, as long as there is room: in its list of entries, and in the bio's vector of pieces
of memory, which was chosen for the run that it begins with.

So a run that goes on where another ended is joined to it, or parted where the first bio is full.
It shows in which blocks are freed together.

Describes `__writecache_writeback_pmem`, `wc_add_block`; of the block layer `bio_alloc_bioset`,
`bio_add_page`.
"""

from itertools import chain
from typing import Final

from writecache_spec.events import WriteJob
from writecache_spec.state import State
from writecache_spec.units import BlockIndex, wrap64

WB_LIST_INLINE: Final = 16
"""Entries of a write that need no memory of their own."""
BIO_MAX_VECS: Final = 256
"""Pieces of memory of the largest bio, and blocks of the longest run."""
_VECTORS: Final = (4, 16, 64, 128, BIO_MAX_VECS)
"""Pieces of memory that a bio has room for: as many as were asked for, or the next of these."""


def write_jobs(wc: State, runs: tuple[tuple[BlockIndex, ...], ...]) -> tuple[WriteJob, ...]:
    """The writes of a pass that has selected these runs, in their order."""
    blocks = tuple(chain.from_iterable(runs))
    asked = [
        len(run) if number == 0 else BIO_MAX_VECS for run in runs for number in range(len(run))
    ]
    jobs: list[WriteJob] = []
    at = 0
    while at < len(blocks):
        job = _job_from(wc, blocks[at:], asked[at])
        jobs.append(job)
        at += job.n_blocks
    return tuple(jobs)


def _job_from(wc: State, blocks: tuple[BlockIndex, ...], asked: int) -> WriteJob:
    """The first of them, and what else fits into its write."""
    most = max(asked, WB_LIST_INLINE)
    room = next(size for size in _VECTORS if size >= asked)
    first = wc.entries[blocks[0]].original_sector
    taken: list[BlockIndex] = []
    pieces = written = 0
    for block in blocks[:most]:
        sector = wc.entries[block].original_sector
        if taken and sector != wrap64(
            wc.entries[taken[-1]].original_sector + wc.config.block_sectors
        ):
            break
        if first + written * wc.config.block_sectors < wc.data_device_sectors:
            # What adjoins in memory, too, is one piece.
            adjoins = bool(taken) and block == taken[-1] + 1
            if not adjoins and pieces == room:
                break
            pieces += not adjoins
            written += 1
        taken.append(block)
    return WriteJob(tuple(taken), first)

"""Where a request finds no place in the cache: it goes past it, waits, or is refused.

What goes straight to the origin ends before the next cached sector.  That sector is wherever an
entry says, so a damaged cache can cut a request at a place that is no multiple of the block size;
the rest is then refused.

Describes `writecache_map_remap_origin` and what `writecache_map` does with its result.
"""

from writecache_spec.effects import Complete, Remap, Sleep
from writecache_spec.entries import following_sector
from writecache_spec.events import Bio, BioPrivate, Device, Op
from writecache_spec.state import State
from writecache_spec.transcript import Transcript
from writecache_spec.units import Sector, bytes_of, wrap32


def remap_origin(
    wc: State, bio: Bio, following: Sector | None, transcript: Transcript
) -> tuple[State, Sector]:
    """Send a request to the origin, up to the `following` cached sector if there is one.

    Returns the state and the number of sectors accepted.
    """
    accepted = bio.n_sectors
    if following is not None:
        accepted = Sector(min(accepted, following - bio.sector))
    private = BioPrivate.NONE
    # A flush is a write without data.
    if wc.config.pause and bio.op in (Op.WRITE, Op.FLUSH):
        private = BioPrivate.ORIGIN_WRITE
        wc = wc._replace(origin_writes_in_flight=wc.origin_writes_in_flight + 1)
    transcript.tell(Remap(bio, Device.ORIGIN, bio.sector, accepted, private))
    return wc, accepted


def read_around(wc: State, bio: Bio, transcript: Transcript) -> State:
    """Let a read, or its beginning, go past the cache."""
    wc, accepted = remap_origin(wc, bio, following_sector(wc, bio.sector), transcript)
    # The rest of the piece, in 32 bits: a piece cut off by a misaligned entry can be less than a
    # block, and the counter then leaps.
    block_size = wc.config.block_size
    further = wrap32(bytes_of(accepted) - block_size) // block_size
    return wc._replace(stats=wc.stats._replace(reads=wc.stats.reads + 1 + further))


def write_around(wc: State, bio: Bio, transcript: Transcript) -> State:
    """Let a write, or its beginning, go past the cache."""
    wc, accepted = remap_origin(wc, bio, following_sector(wc, bio.sector), transcript)
    n_blocks = accepted // wc.config.block_sectors
    stats = wc.stats
    return wc._replace(
        stats=stats._replace(
            writes=stats.writes + n_blocks, writes_around=stats.writes_around + n_blocks
        )
    )


def refuse_write(wc: State, request: Bio, rest: Bio, transcript: Transcript) -> State:
    """After an error: report a write as failed, having counted what is left of it."""
    transcript.tell(Complete(request, "EIO"))
    n_blocks = rest.n_sectors // wc.config.block_sectors
    return wc._replace(stats=wc.stats._replace(writes=wc.stats.writes + n_blocks))


def sleep_for_free_block(wc: State, bio: Bio, transcript: Transcript) -> State:
    """Let a write, or what is left of it, wait for a free block."""
    transcript.tell(Sleep(bio.tag, bio))
    blocked = wc.stats.writes_blocked_on_freelist + 1
    return wc._replace(
        sleeping=wc.sleeping | {bio.tag},
        stats=wc.stats._replace(writes_blocked_on_freelist=blocked),
    )

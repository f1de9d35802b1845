"""Past the cache: the part of a request that goes straight to the origin.

It ends before the next cached sector.  That sector is wherever an entry says, so a damaged cache
can cut a request at a place that is no multiple of the block size; the rest is then refused.

Describes `writecache_map_remap_origin` and what `writecache_map` does with its result.
"""

from writecache_spec.effects import Remap
from writecache_spec.events import Bio, BioPrivate, Device, Op
from writecache_spec.state import State
from writecache_spec.transcript import Transcript
from writecache_spec.units import Sector


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

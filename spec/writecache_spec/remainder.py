"""The remainder: what device-mapper maps next of a request that was accepted in part.

A target may copy the beginning of a request itself, pass on a part of the rest, and leave what
follows to device-mapper, which maps that as a request of its own.  In SSD mode nothing is copied:
the remainder begins where the accepted part ends.

In persistent-memory mode the beginning may have been copied, and then kernels get it wrong: they
begin the remainder as far behind the beginning of the request as *the part that was passed on* is
long, with the length that is right.  So some sectors are mapped twice, and as many at the end
never: a read leaves that much of its buffer as it was, a write does not write it.

Describes `dm_accept_partial_bio` and the end of `dm_split_and_process_bio` (`bio_trim`).
"""

from writecache_spec.events import Bio
from writecache_spec.profile import Profile
from writecache_spec.repairs import Repair
from writecache_spec.units import Sector


def remainder(profile: Profile, whole: Bio, passed_on: Bio, n_accepted: int) -> Bio | None:
    """What is left of `whole`; None where nothing is.

    Its beginning was copied up to where `passed_on` begins, of which `n_accepted` sectors were
    taken.
    """
    n_copied = passed_on.sector - whole.sector
    n_left = whole.n_sectors - n_copied - n_accepted
    if not n_left:
        return None
    begin = n_copied + n_accepted
    early = profile.environment.remainder_forgets_copied
    if early and not profile.mends(Repair.REMAINDER_IS_THE_END):
        begin = n_accepted
    return whole._replace(sector=Sector(whole.sector + begin), n_sectors=Sector(n_left))

"""Requests: what the block layer and device-mapper make of a client's read, write, flush, discard.

Requests are split by what the target accepts, flushes are sent as often as it asks, misaligned
requests are refused.

**The canonical schedule** (one processor, no preemption): all pieces of a request are mapped first,
then the background runs (`kernel`).  At each gap between two pieces at which something is pending
some or all of it may have run: such a gap is a choice.
"""

from typing import NamedTuple

from writecache_models.actions import Action, HangError, Kind, Outcome
from writecache_models.devices import Devices, FaultError, pattern
from writecache_models.pieces import Pieces
from writecache_spec.events import Bio, Map, Op
from writecache_spec.profile import Profile
from writecache_spec.remainder import remainder
from writecache_spec.units import Sector, bytes_of, sectors_of

BIO_SECTORS = 2048
"""The largest request that reaches the target whole: 256 pages."""

LARGEST_DISCARD = 64
"""The largest discard, in sectors, that the disks of user-mode Linux take: larger ones are split
before they reach the target.  An emulated machine's disk takes any."""

GOES_ON = (Kind.GO_ON, Kind.SETTLE)
"""After these a write goes on."""


class _Write(NamedTuple):
    """A write under way, or the flush that follows it."""

    bio: Bio
    """What is left of the request that is being mapped."""
    bio_end: Sector
    """Where that request ends."""
    end: Sector
    """Where the whole write ends; larger ones are several requests."""
    tag: int
    """Of the vectors' pattern."""
    dsync: bool
    failed: bool = False
    """Whether a device has failed a piece of it."""


class Requests(Pieces):
    """A kernel that does one request at a time."""

    def __init__(self, profile: Profile, devices: Devices) -> None:
        super().__init__(profile, devices)
        self.request: _Write | None = None
        """The write that was begun and is not yet mapped to its end."""
        self.write_errno: str | None = None
        """How the last write has ended."""
        self.waiting_at_gap = False
        """Whether a search has still to say how the request goes on."""
        self._pattern_tag = 0
        """Of the vectors' pattern, in the write that is being mapped."""

    def write(
        self, sector: int, n_sectors: int, tag: int, fua: bool = False, dsync: bool = False
    ) -> Outcome:
        """One direct write of the vectors' pattern.

        With `dsync` RWF_DSYNC: the kernel sends a write with FUA, and then a flush, too, where the
        device does not advertise FUA.
        """
        self.begin_write(sector, n_sectors, tag, fua, dsync)
        return self.end_write()

    def end_write(self) -> Outcome:
        """Let a write that was begun, and all that it set in motion, come to its end."""
        while self.request is not None:
            self.proceed()
            self._pass_gap()
        self.settle()
        return Outcome(self.write_errno)

    def _pass_gap(self) -> None:
        """Let things happen between two pieces of a write until it goes on."""
        while self.request is not None and (options := self.options()):
            chosen = self.choose(options)
            # Work that pauses does not happen: then the next does.
            others = (option for option in options if option != chosen)
            done = next((option for option in (chosen, *others) if self.act(option)), None)
            if done is None:
                raise HangError
            if done.kind in GOES_ON:
                return

    def begin_write(
        self, sector: int, n_sectors: int, tag: int, fua: bool = False, dsync: bool = False
    ) -> None:
        """Begin what `write` does whole: `proceed` while there is a `request`, then `settle`."""
        self.write_errno = self._refuse_misaligned(sector, n_sectors).errno
        if sector >= sectors_of(len(self.devices.origin)):
            self.write_errno = "ENOSPC"
        if self.write_errno is None:
            count = Sector(min(n_sectors, BIO_SECTORS))
            bio = Bio(Op.WRITE, Sector(sector), count, fua or dsync, tag=self._new_tag())
            ends = Sector(sector + count), Sector(sector + n_sectors)
            self.request = _Write(bio, *ends, tag, dsync)

    def options(self) -> list[Action]:
        """What may happen at a gap in a write, or after it, the canonical way first."""
        if not self.pending():
            return []
        if self.request is None or self.request.bio.tag in self._live().sleeping:
            return self.actions()
        # A client that comes back with a flush has let everything run.
        first = [Action(Kind.SETTLE)] if self.request.bio.op is Op.FLUSH else []
        return [*first, Action(Kind.GO_ON), *self.actions()]

    @property
    def flushes_next(self) -> bool:
        """Whether what is left of the write is the flush behind it, and nothing comes before it."""
        flush = self.request is not None and self.request.bio.op is Op.FLUSH
        return flush and not self.waiting_at_gap

    def proceed(self) -> None:
        """Map the next piece of the request that was begun."""
        request = self.request
        assert request is not None
        bio = request.bio
        self.request = None
        if bio.op is Op.FLUSH:
            self.devices.end_writes()
            self.write_errno = self._flush()
            return
        self._pattern_tag = request.tag
        self._step(Map(bio, self.now))
        if bio.tag in self._live().sleeping:
            if not self.pending():
                raise HangError
            assert self._rest is not None
            self.request = request._replace(bio=self._rest)
            return
        rest, failed = self._submit_piece(bio)
        self.write_errno = self._completed.pop(bio.tag, None)
        if self.write_errno:
            return
        if failed:
            # The other pieces are written all the same.
            request = request._replace(failed=True)
        if rest is None and request.bio_end < request.end:
            count = Sector(min(BIO_SECTORS, request.end - request.bio_end))
            rest = bio._replace(sector=request.bio_end, n_sectors=count)
            request = request._replace(bio_end=Sector(rest.sector + count))
        if rest is not None:
            self.request = request._replace(bio=rest)
        elif request.failed:
            self.write_errno = "EIO"
        elif request.dsync:
            self.request = request._replace(bio=Bio(Op.FLUSH))

    def _submit_piece(self, bio: Bio) -> tuple[Bio | None, bool]:
        """Do what a write that was mapped asks; what is left of it, and whether that failed."""
        if not self._remapped:
            # Reported: with an error, or by persistent memory, which has taken it whole.
            return None, False
        remap = self._remapped.pop()
        content = self._data(remap.bio._replace(n_sectors=remap.n_sectors))
        failed = False
        try:
            self.devices.write(remap.device, remap.sector, content, remap.bio.fua)
        except FaultError:
            failed = True
        self._end(remap, failed)
        self._wait_while(lambda: any(other.tag == bio.tag for other in self._live().flush_list))
        return remainder(self.profile, bio, remap.bio, remap.n_sectors), failed

    def _data(self, bio: Bio) -> bytes:
        return pattern(bio.sector, bio.n_sectors, self._pattern_tag)

    def read(self, sector: int, n_sectors: int) -> Outcome:
        """One direct read."""
        if (refusal := self._refuse_misaligned(sector, n_sectors)).errno:
            return refusal
        buffer = bytearray(bytes_of(n_sectors))
        failed = None
        for first in range(sector, sector + n_sectors, BIO_SECTORS):
            count = Sector(min(BIO_SECTORS, sector + n_sectors - first))
            bio: Bio | None = Bio(Op.READ, Sector(first), count, tag=self._new_tag())
            while bio is not None:
                place = bytes_of(bio.sector - sector)
                content, bio, errno = self._read_piece(bio)
                failed = failed or errno
                buffer[place : place + len(content)] = content
        self.settle()
        return Outcome(failed) if failed else Outcome(data=bytes(buffer))

    def flush(self) -> Outcome:
        """One fsync."""
        errno = self._flush()
        self.settle()
        return Outcome(errno)

    def discard(self, sector: int, n_sectors: int) -> Outcome:
        """One BLKDISCARD."""
        misaligned = self._refuse_misaligned(sector, n_sectors).errno
        if misaligned or sector + n_sectors > sectors_of(len(self.devices.origin)):
            return Outcome("EINVAL")
        whole = self.profile.environment.persistent_memory
        longest = n_sectors if whole else LARGEST_DISCARD
        errnos = []
        for first in range(sector, sector + n_sectors, longest):
            count = Sector(min(longest, sector + n_sectors - first))
            bio = Bio(Op.DISCARD, Sector(first), count, tag=self._new_tag())
            errnos.append(self._submit_whole(bio))
        self.settle()
        return Outcome(next(filter(None, errnos), None))

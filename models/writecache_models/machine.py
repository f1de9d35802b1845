"""A machine: operations on one cache, as a client sees them.

Here stands what device-mapper and the block layer do around the target: requests are split by what
the target accepts, flushes are sent as often as it asks, misaligned requests are refused, a reload
constructs before it suspends.  A machine does one operation at a time, then everything that is left
to do, until it is settled.

**The canonical schedule** (one processor, no preemption): all pieces of a request are mapped first,
then the background runs (`kernel`).  At each gap between two pieces at which something is pending
the kernel may also have let all of it run: such a gap is a choice.
"""

from collections.abc import Sequence
from typing import NamedTuple

from writecache_models.devices import Devices, pattern
from writecache_models.kernel import Kernel
from writecache_spec.arguments import BlockDevice, Refusal
from writecache_spec.construct import construct, start_sector_of
from writecache_spec.effects import AwaitWorkQueue, Effect, Remap, WriteMetadata
from writecache_spec.events import (
    Bio,
    BioPrivate,
    EndIo,
    FlushMessageEnd,
    Map,
    Message,
    Op,
    Resume,
    Suspend,
    SuspendEnd,
)
from writecache_spec.profile import Profile
from writecache_spec.state import Waiter
from writecache_spec.status import status_line, table
from writecache_spec.units import ByteCount, Sector, bytes_of, jiffies_of, sectors_of

BIO_SECTORS = 2048
"""The largest request that reaches the target whole: 256 pages."""


class Outcome(NamedTuple):
    """What an operation returned."""

    errno: str | None = None
    message: str | None = None
    """The constructor's, where it refused."""
    data: bytes | None = None


class Machine(Kernel):
    """A kernel that does one operation at a time."""

    def __init__(self, profile: Profile, devices: Devices) -> None:
        super().__init__(profile, devices)
        self.start_sectors: tuple[Sector, ...] = (Sector(0),)
        """Where any table so far said that metadata begins."""
        self._tag = 0

    def fork(self) -> "Machine":
        """An independent copy, from which other choices can be tried."""
        copy = Machine(self.profile, self.devices.fork())
        copy.adopt(self)
        copy.start_sectors, copy._tag = self.start_sectors, self._tag
        return copy

    # Operations

    def open(self, line: str) -> Outcome:
        """Construct and resume; on a device that is open: load, suspend, resume."""
        underlying = {
            name: BlockDevice(ByteCount(len(data)))
            for name, data in (("CACHE", self.devices.cache), ("ORIGIN", self.devices.origin))
        }
        start_sector = start_sector_of(self.profile, line, underlying)
        superblock = None
        if start_sector is not None:
            superblock = self.devices.superblock(start_sector)
            if start_sector not in self.start_sectors:
                self.start_sectors = (*self.start_sectors, start_sector)
        construction = construct(self.profile, line, underlying, superblock)
        self._play_construction(construction.effects, start_sector)
        if isinstance(construction.result, Refusal):
            return Outcome(*construction.result)
        if self.wc is not None and not self.wc.suspended:
            self.suspend()
        self._timers.clear()
        self.wc = construction.result
        return self.resume()

    def _play_construction(self, effects: Sequence[Effect], start_sector: Sector | None) -> None:
        """A format writes with the layout of its own state, which nobody has yet."""
        self.devices.forget_metadata()
        for effect in effects:
            if isinstance(effect, WriteMetadata):
                assert start_sector is not None
                self.devices.write_metadata(start_sector, effect)
        self.devices.forget_metadata()

    def resume(self) -> Outcome:
        """Resume; on a device that runs: nothing."""
        wc = self._live()
        if not wc.suspended:
            return Outcome()
        origin_sectors = sectors_of(len(self.devices.origin))
        metadata = self.devices.metadata(wc.config)
        self._step(Resume(metadata, origin_sectors, self.now))
        return self._return()

    def suspend(self) -> Outcome:
        """Suspend without a flush of filesystems; on a suspended device: nothing."""
        if self._live().suspended:
            return Outcome()
        self.settle()
        self._step(Suspend())
        self._wait_while(self.working)
        self.settle()
        while not self._live().poisoned:
            self._step(SuspendEnd())
            self._wait_while(lambda: Waiter.SUSPEND in self._live().sleeping)
        return self._return()

    def message(self, words: tuple[str, ...]) -> Outcome:
        """Send a message and wait for its end."""
        awaits = self._step(Message(words))
        if any(isinstance(effect, AwaitWorkQueue) for effect in awaits):
            self._wait_while(self.working)
            self._step(FlushMessageEnd())
        return self._return()

    def write(self, sector: int, n_sectors: int, tag: int, fua: bool = False) -> Outcome:
        """One direct write of the vectors' pattern."""
        refusal = self._refuse_misaligned(sector, n_sectors)
        content = pattern(sector, n_sectors, tag)
        for first in range(0, n_sectors, BIO_SECTORS):
            if refusal.errno:
                break
            count = min(BIO_SECTORS, n_sectors - first)
            bio = Bio(Op.WRITE, Sector(sector + first), Sector(count), fua, tag=self._new_tag())
            refusal = self._submit(bio, content[bytes_of(first) : bytes_of(first + count)])
        return refusal

    def write_dsync(self, sector: int, n_sectors: int, tag: int) -> Outcome:
        """A write with RWF_DSYNC on a device that advertises no FUA: a write, then a flush."""
        outcome = self.write(sector, n_sectors, tag)
        return outcome if outcome.errno else self.flush()

    def read(self, sector: int, n_sectors: int) -> Outcome:
        """One direct read."""
        refusal = self._refuse_misaligned(sector, n_sectors)
        if refusal.errno:
            return refusal
        parts: list[bytes] = []
        for first in range(0, n_sectors, BIO_SECTORS):
            count = min(BIO_SECTORS, n_sectors - first)
            bio = Bio(Op.READ, Sector(sector + first), Sector(count), tag=self._new_tag())
            outcome = self._submit(bio, b"")
            if outcome.errno:
                return outcome
            parts.append(outcome.data or b"")
        return Outcome(data=b"".join(parts))

    def flush(self) -> Outcome:
        """One fsync: the flush is sent as often as the target asks."""
        outcome = Outcome()
        for number in range(self.profile.flush_bios):
            bio = Bio(Op.FLUSH, flush_number=number, tag=self._new_tag())
            result = self._submit(bio, b"")
            outcome = outcome if outcome.errno else result
        return outcome

    def discard(self, sector: int, n_sectors: int) -> Outcome:
        """One BLKDISCARD."""
        refusal = self._refuse_misaligned(sector, n_sectors)
        if refusal.errno or sector + n_sectors > sectors_of(len(self.devices.origin)):
            return Outcome("EINVAL")
        bio = Bio(Op.DISCARD, Sector(sector), Sector(n_sectors), tag=self._new_tag())
        return self._submit(bio, b"")

    def sleep(self, milliseconds: int) -> Outcome:
        """Let time pass."""
        self.advance(jiffies_of(milliseconds, self.profile.environment.hz))
        return Outcome()

    def status(self) -> str | None:
        """The status line, None where there is no device."""
        return None if self.wc is None else status_line(self.wc)

    def digests(self) -> tuple[str, str]:
        """Digests of cache and origin, as vectors carry them."""
        return self.devices.digests(self.start_sectors)

    def table(self) -> str:
        """The table line."""
        return table(self._live())

    # Requests

    def _submit(self, bio: Bio, content: bytes) -> Outcome:
        """Send a request through `map` piece by piece, and wait for its end."""
        parts: list[bytes] = []
        done = 0
        rest = bio
        while True:
            self._map(rest)
            if bio.tag in self._completed:
                break
            if not self._remapped:
                break
            remap = self._remapped.pop()
            self._transfer(remap, content, done, parts)
            done += remap.n_sectors
            if done >= bio.n_sectors:
                break
            rest = rest._replace(
                sector=Sector(bio.sector + done), n_sectors=Sector(bio.n_sectors - done)
            )
            self._gap()
        self._wait_while(lambda: any(waiting.tag == bio.tag for waiting in self._live().flush_list))
        while self._remapped:
            self._transfer(self._remapped.pop(), content, 0, parts)
        errno = self._completed.pop(bio.tag, None)
        self.settle()
        return Outcome(errno) if errno else Outcome(data=b"".join(parts))

    def _map(self, bio: Bio) -> None:
        """Map a piece; where it sleeps for a free block, let the machine run and try again."""
        self._step(Map(bio, self.now))
        while bio.tag in self._live().sleeping:
            self._wait_while(lambda: bio.tag in self._live().sleeping)
            self._step(Map(bio, self.now))

    def _transfer(self, remap: Remap, content: bytes, done: int, parts: list[bytes]) -> None:
        """Do what a piece asks of a device, and tell the target that it is done."""
        op, n_sectors = remap.bio.op, remap.n_sectors
        if op is Op.WRITE:
            piece = content[bytes_of(done) : bytes_of(done + n_sectors)]
            self.devices.write(remap.device, remap.sector, piece)
        elif op is Op.READ:
            parts.append(self.devices.read(remap.device, remap.sector, n_sectors))
        elif op is Op.DISCARD:
            self.devices.discard(remap.device, remap.sector, n_sectors)
        if remap.private is not BioPrivate.NONE:
            self._step(EndIo(remap.bio, remap.private, now=self.now))

    def _gap(self) -> None:
        """Between two pieces of a request: nothing happens, or everything that is pending."""
        if not self.pending():
            return
        if self._choose(2):
            self.settle()

    def _refuse_misaligned(self, sector: int, n_sectors: int) -> Outcome:
        """The target's blocks are the device's logical blocks."""
        block_sectors = self._live().config.block_sectors
        misaligned = sector % block_sectors or n_sectors % block_sectors
        return Outcome("EINVAL" if misaligned else None)

    def _return(self) -> Outcome:
        self.settle()
        return Outcome(self._returned.pop())

    def _new_tag(self) -> int:
        self._tag += 1
        return self._tag

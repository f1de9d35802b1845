"""A machine: operations on one cache, as a client sees them.

Here stands what device-mapper does with tables and messages: a reload constructs before it
suspends.  What becomes of reads and writes stands in `requests`.  A machine does one operation at a
time, then everything that is left to do, until it is settled.
"""

from collections.abc import Sequence
from functools import partial

from writecache_models.actions import Outcome, PanicError
from writecache_models.devices import Devices
from writecache_models.digests import Range, named_start_sectors
from writecache_models.several import Several
from writecache_spec.arguments import BlockDevice, Refusal
from writecache_spec.construct import construct, first_block_of
from writecache_spec.effects import (
    AwaitWorkQueue,
    Broken,
    Effect,
    Fence,
    FlushDevice,
    StoreEntry,
    StoreSuperblock,
    WriteMetadata,
)
from writecache_spec.events import FlushMessageEnd, Message, Resume, Suspend, SuspendEnd
from writecache_spec.profile import Profile
from writecache_spec.state import Waiter
from writecache_spec.status import status_line, table
from writecache_spec.units import ByteCount, Sector, jiffies_of, sectors_of


class Machine(Several):
    """A kernel that does one operation at a time, or several requests."""

    def __init__(self, profile: Profile, devices: Devices) -> None:
        super().__init__(profile, devices)
        self.undefined: frozenset[Range] = frozenset()
        """Bytes of the cache device that nobody defines, as far as digests have met them."""
        self.start_sectors = frozenset({Sector(0)})
        """Where any table so far said that metadata begins."""

    def fork(self) -> "Machine":
        """An independent copy, from which other choices can be tried."""
        copy = Machine(self.profile, self.devices.fork())
        copy.adopt(self)
        copy.start_sectors, copy._tag = self.start_sectors, self._tag
        copy.undefined, copy.cache_reads_slowly = self.undefined, self.cache_reads_slowly
        copy.request, copy.write_errno = self.request, self.write_errno
        copy._pattern_tag, copy._rest = self._pattern_tag, self._rest
        return copy

    def open(self, line: str) -> Outcome:
        """Construct and resume; on a device that is open: load, suspend, resume."""
        underlying = {
            "CACHE": BlockDevice(
                ByteCount(len(self.devices.cache)),
                # A piece of it that is cut inside a page is none.
                is_persistent_memory=self.profile.environment.persistent_memory
                and self.devices.has_dax
                and len(self.devices.cache) % self.profile.environment.page_size == 0,
            ),
            "ORIGIN": BlockDevice(ByteCount(len(self.devices.origin))),
        }
        first_block = first_block_of(self.profile, line, underlying)
        start_sector = None
        superblock = None
        self.start_sectors |= named_start_sectors(line)
        if first_block is not None:
            start_sector = Sector(first_block.start)
            superblock = self.devices.superblock(start_sector, len(first_block))
        construct_it = partial(construct, self.profile, line, underlying, superblock)
        construction = construct_it()
        if self.devices.faults and start_sector is not None:
            # Its I/Os are the same whether they fail or not.
            construction = construct_it(self._failing(construction.effects, start_sector))
        self._play_construction(construction.effects, start_sector)
        if isinstance(construction.result, Broken):
            raise PanicError(construction.result.reason)
        if isinstance(construction.result, Refusal):
            errno, message, returned = construction.result
            return Outcome(errno or None, message, returned=returned)
        if self.wc is not None and not self.wc.suspended:
            self.suspend()
        if sectors_of(len(self.devices.origin)) % construction.result.config.block_sectors:
            # device-mapper's own check, when it takes the new table: its end is no multiple of its
            # logical blocks.  The device stays suspended.
            return Outcome("EINVAL")
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
            elif isinstance(effect, StoreSuperblock | StoreEntry):
                assert start_sector is not None
                self.devices.store(start_sector, effect)
            elif isinstance(effect, FlushDevice):
                self.devices.flush(effect.device)
            elif isinstance(effect, Fence):
                self.devices.fence()
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

    def sleep(self, milliseconds: int) -> Outcome:
        """Let time pass."""
        self.advance(jiffies_of(milliseconds, self.profile.environment.hz))
        return Outcome()

    def status(self) -> str | None:
        """The status line, None where there is no device."""
        return None if self.wc is None else status_line(self.wc)

    def digests(self) -> tuple[str, str]:
        """Digests of cache and origin, as vectors carry them."""
        cache, origin, self.undefined = self.devices.digests(self.start_sectors, self.undefined)
        return cache, origin

    def table(self) -> str:
        """The table line."""
        return table(self._live())

    def _return(self) -> Outcome:
        self.settle()
        return Outcome(self._returned.pop())

"""Pieces of requests: mapped by the target, carried out by the devices, and reported back to it."""

from writecache_models.actions import Outcome
from writecache_models.devices import Devices, FaultError
from writecache_models.kernel import Kernel
from writecache_spec.effects import Remap
from writecache_spec.events import Bio, Device, EndIo, Map, Op
from writecache_spec.profile import Profile
from writecache_spec.remainder import remainder
from writecache_spec.state import blocks_at, flush_numbers


class Pieces(Kernel):
    """A kernel that does one piece of a request at a time."""

    def __init__(self, profile: Profile, devices: Devices) -> None:
        super().__init__(profile, devices)
        self._tag = 0

    def _read_piece(self, bio: Bio) -> tuple[bytes, Bio | None, str | None]:
        """Map a read once; what it yields, what is left of it, and its error."""
        self._map(bio)
        rest = None
        failed = False
        if self._remapped:
            remap = self._remapped.pop()
            try:
                self._loaded.append(self.devices.read(remap.device, remap.sector, remap.n_sectors))
            except FaultError:
                failed = True
            self._end(remap, failed)
            rest = remainder(self.profile, bio, remap.bio, remap.n_sectors)
        content = b"".join(self._loaded)
        self._loaded.clear()
        return content, rest, self._completed.pop(bio.tag, "EIO" if failed else None)

    def _flush(self) -> str | None:
        """Send a flush as often as the target asks and wait for all; the first error is the result.

        What goes straight to a device is there before the flush thread has committed.
        """
        numbers = flush_numbers(self._live().config)
        flushes = [Bio(Op.FLUSH, flush_number=number, tag=self._new_tag()) for number in numbers]
        failed = {bio.tag: self._pass_on(bio) for bio in flushes}
        errnos = [self._finish(bio, failed[bio.tag]) for bio in flushes]
        return next(filter(None, errnos), None)

    def _submit_whole(self, bio: Bio) -> str | None:
        """Send a discard and wait for its end."""
        return self._finish(bio, self._pass_on(bio))

    def _pass_on(self, bio: Bio) -> bool:
        """Map a request that is never split, and let the devices do it; whether one failed."""
        self._map(bio)
        return self._do_remapped(bio)

    def _finish(self, bio: Bio, failed: bool) -> str | None:
        """Wait for the end of a request that was passed on; how it ended."""
        self._wait_while(lambda: any(other.tag == bio.tag for other in self._live().flush_list))
        failed |= self._do_remapped(bio)
        return self._completed.pop(bio.tag, "EIO" if failed else None)

    def _do_remapped(self, bio: Bio) -> bool:
        failed = False
        while self._remapped:
            remap = self._remapped.pop()
            if bio.op is not Op.DISCARD:
                failed = self.devices.fails_flush(remap.device)
                if not failed:
                    self.devices.flush(remap.device)
            else:
                try:
                    self.devices.discard(remap.device, remap.sector, remap.n_sectors)
                except FaultError:
                    failed = True
            self._end(remap, failed)
        return failed

    def _map(self, bio: Bio) -> None:
        """Map a piece; where it sleeps for a free block, let the machine run and try again."""
        self._step(Map(bio, self.now))
        while bio.tag in self._live().sleeping:
            self._wait_while(lambda: bio.tag in self._live().sleeping)
            self._step(Map(bio, self.now))

    def _end(self, remap: Remap, failed: bool) -> None:
        """Tell the target that a device has done what a piece asked of it, or failed."""
        blocks = range(0)
        if remap.device is Device.CACHE:
            blocks = blocks_at(self._live().config, remap.sector, remap.n_sectors)
        self._step(EndIo(remap.bio, remap.private, failed, self.now, blocks))

    def _refuse_misaligned(self, sector: int, n_sectors: int) -> Outcome:
        """The target's blocks are the device's logical blocks."""
        block_sectors = self._live().config.block_sectors
        misaligned = sector % block_sectors or n_sectors % block_sectors
        return Outcome("EINVAL" if misaligned else None)

    def _new_tag(self) -> int:
        self._tag += 1
        return self._tag

"""A machine, and its devices, that note everything they do."""

from collections.abc import Sequence
from typing import Any, Final

from writecache_models.contract import Contract
from writecache_models.crashing import Journal, sectors_in
from writecache_models.machine import Machine
from writecache_models.trace_states.moments import DEVICE, EFFECT, END, EVENT, Moment
from writecache_models.trace_states.words import effect_in_words, event_in_words, sectors
from writecache_models.volatile import ZEROS, Volatile
from writecache_spec.effects import Effect, Fence, StoreEntry, StoreSuperblock
from writecache_spec.events import Device, Event
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE
from writecache_spec.profile import Profile
from writecache_spec.state import State
from writecache_spec.units import SECTOR_SIZE, Sector

MOST_MOMENTS: Final = 2000
"""Of one step; later ones are not listed one by one."""


class WatchedDevices(Journal):
    """Devices that say what they do, and know what of it is durable."""

    __slots__ = ("watcher",)

    def __init__(self, disks: tuple[Volatile, ...], sizes: tuple[int, int]) -> None:
        super().__init__(disks, sizes, Contract())
        self.watcher: WatchedMachine | None = None

    def _note(self, device: Device, sector: int, content: bytes, fua: bool) -> None:
        # What a disk never held and what it holds as zeros is one: no crash tells them apart.
        written = [one if any(one) else ZEROS for one in sectors_in(content)]
        disk = self.disks[device is not Device.CACHE]
        self._become(device, disk.write(sector, written, fua))
        n_sectors = len(content) // SECTOR_SIZE
        how = ", FUA" if fua else ""
        self._say(f"{device.value}: {sectors(sector, n_sectors)} written{how}")

    def flush(self, device: Device) -> None:
        """Make durable what was written."""
        super().flush(device)
        self._say(f"{device.value}: everything written so far is durable")

    def store(self, start_sector: Sector, effect: StoreSuperblock | StoreEntry) -> None:
        """Store words in persistent memory; they are one version more of their sector."""
        super().store(start_sector, effect)
        byte = SUPERBLOCK_SIZE + effect.block * ENTRY_SIZE if isinstance(effect, StoreEntry) else 0
        sector = start_sector + byte // SECTOR_SIZE
        content = self.cache.read(sector * SECTOR_SIZE, SECTOR_SIZE)
        self._note(Device.CACHE, sector, content, fua=False)

    def _say(self, text: str) -> None:
        # Nobody asks for these: the watcher keeps its own.
        self.moments.clear()
        if self.watcher is not None:
            self.watcher.device_did(text)


class WatchedMachine(Machine):
    """A machine that notes its critical sections and their effects."""

    def __init__(self, profile: Profile, devices: WatchedDevices) -> None:
        super().__init__(profile, devices)
        self.watched = devices
        self.noted: list[Moment] = []
        self.n_left_out = 0
        self.contract: Contract | None = None
        self.table_line = ""
        self._event: Event | None = None
        self._in_effect = False
        devices.watcher = self

    def note(self, kind: str, text: str) -> None:
        """Something has happened."""
        moment = Moment(kind, text, self.wc, self.watched.disks, self.contract, self.table_line)
        if len(self.noted) >= MOST_MOMENTS and kind != END:
            self.n_left_out += 1
            return
        self.noted.append(moment)

    def device_did(self, text: str) -> None:
        """A device has done something; where an effect asked for it, that says so already."""
        if not self._in_effect:
            self.note(DEVICE, text)

    def _outcome(self, event: Event) -> Any:
        self._event = event
        return super()._outcome(event)

    def _take(self, wc: State, effects: tuple[Effect, ...]) -> None:
        self.wc = wc
        if self._event is not None:
            self.note(EVENT, event_in_words(self._event))
            self._event = None
        for effect in effects:
            self._watch(effect, lambda one: super(WatchedMachine, self)._take(wc, (one,)))

    def _play_construction(self, effects: Sequence[Effect], start_sector: Sector | None) -> None:
        self.note(EVENT, "construct" + (": format" if effects else ""))
        for effect in effects:
            self._watch(
                effect,
                lambda one: super(WatchedMachine, self)._play_construction((one,), start_sector),
            )

    def _watch(self, effect: Effect, play: Any) -> None:
        self._in_effect = True
        try:
            play(effect)
            if isinstance(effect, Fence):
                self.devices.flush(Device.CACHE)
        finally:
            self._in_effect = False
            self.note(EFFECT, effect_in_words(effect))

"""Paths through a world's events, followed with every effect noted."""

from collections.abc import Hashable, Iterable, Iterator
from typing import Any, Final

from writecache_models.candidates import Turn
from writecache_models.finding import Path
from writecache_models.symbolic import Disk
from writecache_models.trace_states.contents import SymbolReader, in_words
from writecache_models.trace_states.moments import DEVICE, EFFECT, END, EVENT, Moment, Step
from writecache_models.trace_states.words import (
    effect_in_words,
    event_in_words,
    sectors,
    turn_in_words,
)
from writecache_models.turns import Playing, wrong_reads
from writecache_models.walking import Bounds, Walker
from writecache_models.world import (
    Client,
    Setting,
    World,
    new_world,
    visible,
)
from writecache_spec.effects import Effect
from writecache_spec.events import Bio, Event
from writecache_spec.profile import Profile
from writecache_spec.status import status_line

LEFT_OUT: Final = "cannot happen here, and is left out"


class Followed(Playing):
    """One event of a world, whose effects are noted."""

    def __init__(self, setting: Setting, world: World) -> None:
        super().__init__(setting, world)
        self.noted: list[Moment] = []
        self._ended: list[str] = []
        """Operations that have ended with the effect that is being played."""
        self.misread: str | None = None
        """What a read returns that it must not."""
        self._event: Event | None = None
        self._within: list[World] | None = None

    def note(self, kind: str, text: str, world: World | None = None) -> None:
        """Something has happened."""
        now = world or self.world
        table = self.setting.table
        self.noted.append(Moment(kind, text, now.wc, now, now.contract, table))

    def _step(self, event: Event, failing: frozenset[int] = frozenset()) -> None:
        self._event = event
        super()._step(event, failing)
        self._say_event()

    def _say_event(self) -> None:
        if self._event is not None:
            event, self._event = self._event, None
            self.note(EVENT, event_in_words(event))

    def _play(self, effect: Effect, failing: frozenset[int] = frozenset()) -> None:
        self._say_event()
        before = self.world
        self._within = []
        try:
            super()._play(effect, failing)
        finally:
            within, self._within = self._within, None
            for world in within[:-1]:
                if world != before:
                    self.note(DEVICE, "while that is under way", world)
            self.note(EFFECT, effect_in_words(effect))
            while self._ended:
                self.note(END, self._ended.pop(0))

    def _moment(self) -> None:
        super()._moment()
        if self._within is not None:
            self._within.append(self.world)

    def _become(self, **changes: Any) -> None:
        before = self.world
        super()._become(**changes)
        if self._within is None:
            for device in ("cache", "origin"):
                if device in changes:
                    self.note(DEVICE, self._change(device, getattr(before, device)))

    def _change(self, device: str, before: Disk) -> str:
        """What a disk has done."""
        after: Disk = getattr(self.world, device)
        changed = [
            place
            for place, pending in enumerate(after.pending)
            if (after.durable[place], pending) != (before.durable[place], before.pending[place])
        ]
        if not changed:
            return f"{device}: nothing has changed"
        if not any(after.pending[place] for place in changed) and any(before.pending):
            return f"{device}: everything written so far is durable"
        if device == "origin":
            return f"{device}: {sectors(changed[0], len(changed))} written"
        start = self.shape.data_start - self.shape.n_metadata
        return f"{device}: {sectors(changed[0] + start, len(changed))} written"

    def _compare(self, bio: Bio, disk: Disk, first: int) -> None:
        found = len(self.violations)
        super()._compare(bio, disk, first)
        if len(self.violations) == found:
            return
        client = self._client(bio.tag)
        for number in range(bio.n_sectors):
            sector, value = bio.sector + number, disk.read(first + number)
            allowed = client.readable[sector - client.op[1]]
            if value not in allowed:
                self.misread = self.in_words(sector, value, allowed)
                return

    def in_words(self, sector: int, value: Hashable, allowed: Iterable[Hashable]) -> str:
        """What is read of a sector, and what should be."""
        reader = SymbolReader(self.setting)

        def words(one: Hashable) -> str:
            return in_words(reader.kind("origin", sector, one), at=sector)

        return f"sector {sector} reads as {words(value)}, not {' or '.join(map(words, allowed))}"

    def _end_client(self, client: Client) -> None:
        super()._end_client(client)
        name = " ".join(map(str, client.op))
        said = f"operation {client.tag} ({name}) has ended: {client.errno or 'success'}"
        if self._within is None:
            self.note(END, said)
        else:
            self._ended.append(said)


def follow(path: Path, profile: Profile) -> Iterator[Step]:
    """Follow a path, one event after the other, as far as it goes."""
    setting = path.setting(profile)
    walker = Walker(setting, Bounds((), 9, 9))
    world = new_world(setting)
    for event in path.events:
        step, world = _follow(walker, world, event)
        yield step
        if any(one.startswith("a panic") for one in step.wrong):
            return


def _follow(walker: Walker, world: World, event: Turn) -> tuple[Step, World]:
    name = " ".join(map(str, event))
    playing = Followed(walker.setting, world)
    after = playing.play(event) if walker.possible(world, event) else None
    if after is None:
        nothing = Moment(END, LEFT_OUT, world.wc, world, world.contract, walker.setting.table)
        return Step(name, [nothing], LEFT_OUT, _status(world)), world
    wrong = after.violations or _wrong_reads(playing, after.world)
    if playing.misread is not None:
        wrong = (f"{wrong[0]}: {playing.misread}",)
    playing.note(END, f"{name}: {'; '.join(wrong) or 'done'}")
    said = turn_in_words(event, world.n_begun)
    return Step(name, playing.noted, said, _status(after.world), wrong), after.world


def _wrong_reads(playing: Followed, world: World) -> tuple[str, ...]:
    """What is wrong with what a read would return now."""
    found = tuple(wrong_reads(playing.setting, world))
    if not found:
        return ()
    for sector, value in visible(playing.setting, world):
        allowed = world.contract.readable(sector)
        if value not in allowed:
            return (f"{found[0]}: {playing.in_words(sector, value, allowed)}",)
    return found


def stuck(path: Path, profile: Profile) -> bool:
    """Whether an operation never ends after this path."""
    wrong = Walker(path.setting(profile), Bounds((), 9, 9)).replay(path.events, crashes=False)
    return wrong is not None and "never ends" in wrong.what


def _status(world: World) -> str | None:
    return None if world.wc is None else status_line(world.wc)

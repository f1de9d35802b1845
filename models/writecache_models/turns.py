"""Turns: what happens in a world, one event after the other.

`turn` lets one happen, of those that may be next (`candidates`), or says that it cannot happen now.
What the contract has to say against it comes with the result, as do all moments between its
effects: at each of them the power may fail.
"""

from functools import partial
from typing import Final, NamedTuple

from writecache_models.candidates import UNREAD, Turn
from writecache_models.clients import Clients, Op
from writecache_models.contract import FlushMessage
from writecache_models.stage import DeathError, Moment, NotNowError
from writecache_models.world import Control, Setting, World, bytes_of_origin, visible
from writecache_spec import events as happens
from writecache_spec.arguments import BlockDevice, Refusal
from writecache_spec.construct import construct
from writecache_spec.effects import Broken, Timer, Work, WriteOrigin
from writecache_spec.state import State
from writecache_spec.units import Jiffies, Sector

LATER: Final = Jiffies(2**40)
"""When writeback runs: whatever pause it makes is over, or it would not run yet."""


class After(NamedTuple):
    """What came of an event."""

    world: World
    moments: tuple[Moment, ...]
    violations: tuple[str, ...]
    """Of the contract.  After a panic the world is as it was."""
    panic: bool = False


def turn(setting: Setting, world: World, event: Turn, reads: bool = True) -> After | None:
    """Let an event happen; None where it cannot happen now.

    With `reads` the result says also what would be wrong with what reads return then.
    """
    after = Playing(setting, world).play(event)
    if after is None or after.violations or not reads:
        return after
    return after._replace(violations=tuple(wrong_reads(setting, after.world)))


def wrong_reads(setting: Setting, world: World) -> list[str]:
    """What is wrong with what a read would return now."""
    wc = world.wc
    if wc is None or wc.poisoned:
        return []
    return [
        "what is read is not the last that was written"
        for sector, value in visible(setting, world)
        if value not in world.contract.readable(sector)
    ][:1]


class Playing(Clients):
    """Any event, once; a subclass may look on."""

    def play(self, event: Turn) -> After | None:
        """Let it happen; None where it cannot happen now."""
        before = self.world
        try:
            self._happen(event)
        except NotNowError:
            return None
        except DeathError as panic:
            return After(before, tuple(self.moments), (f"a panic: {panic}",), panic=True)
        self._note_readable()
        self._moment()
        return After(self.world, tuple(self.moments), tuple(self.violations))

    def _begin(self, op: Op) -> None:
        """An operation begins."""
        self._become(contract=self.world.contract.fork(), n_begun=self.world.n_begun + 1)
        match op:
            case ("message", *words):
                self._begin_control(op, happens.Message(tuple(words)))
            case ("suspend",):
                self._begin_control(op, happens.Suspend())
            case ("resume", *unread):
                self._resume(unread == [UNREAD])
            case ("load",):
                self._become(loaded=self._construct())
            case ("open", *unread):
                self._open(unread == [UNREAD])
            case _:
                self._begin_request(op)

    def _happen(self, event: Turn) -> None:
        name, *which = event
        match name:
            case "open":
                self._open()
            case "begin":
                self._begin(tuple(which))
            case "io":
                self._end_io(*which)
            case "map":
                self._map(which[0])
            case "flush thread":
                self._do(happens.FlushThread, *which)
            case "work":
                self._work(*which)
            case "copy":
                self._end_copy(*which)
            case "endio take":
                self._do(happens.EndioTake, *which)
            case "endio":
                self._do(happens.EndioThread, *which)
            case "timer":
                timer = Timer(which[0])
                self._become(timers=self.world.timers - {timer})
                ends: dict[Timer, happens.Event] = {
                    Timer.AUTOCOMMIT: happens.AutocommitTimer(),
                    Timer.MAX_AGE: happens.MaxAgeTimer(),
                }
                self._step(ends[timer])
            case "go on":
                self._go_on()
            case _:
                raise ValueError(f"no such event: {name}")

    # The background

    def _work(self, io: int | None) -> None:
        """The work queue goes on."""
        if self._wc().writeback is not None:
            self._do(partial(happens.WritebackContinue, LATER), io)
        else:
            work = self.world.queue[0]
            self._become(queue=self.world.queue[1:])
            writeback = partial(happens.WritebackWork, LATER)
            self._do(happens.FlushWork if work is Work.FLUSH else writeback, io)
        control = self.world.control
        if self._wc().writeback is None and control is not None and control.works:
            self._become(control=control._replace(works=control.works - 1))

    def _end_copy(self, number: int, failed: bool) -> None:
        world = self.world
        copy = world.copies[number]
        writes = tuple(enumerate(world.source(copy, self.shape), copy.origin_sector))
        fua = isinstance(copy, WriteOrigin) and copy.fua
        origin = world.origin.fail(writes) if failed else world.origin.write(writes, fua)
        self._become(
            copies=(*world.copies[:number], *world.copies[number + 1 :]),
            origin=origin,
            n_failed=world.n_failed + failed,
        )
        self._step(happens.CopyEnd(copy.job, failed))

    # Messages, suspend, tables

    def _begin_control(self, op: Op, event: happens.Event) -> None:
        message = self.world.contract.flush_message()
        self._step(event)
        if self._awaits:
            working = len(self.world.queue) + (self._wc().writeback is not None)
            self._become(control=Control(op, message, working))
        elif self._returned and not self.world.n_failed and not self._wc().suspended:
            self.violations.append(f"{op[0]} fails though no disk does")
        elif op == ("message", "flush") and not self._returned:
            self._check_origin(message)

    def _go_on(self) -> None:
        control = self.world.control
        assert control is not None
        if control.op[0] == "suspend":
            if self.world.queue or self._wc().writeback is not None:
                raise NotNowError
            self._step(happens.SuspendEnd())
            if not self._has_returned:
                return
        else:
            self._step(happens.FlushMessageEnd())
            if self._returned is None:
                self._check_origin(control.message)
        self._become(control=None)

    def _check_origin(self, message: FlushMessage) -> None:
        """A `flush` message says that the origin has everything."""
        for sector in range(self.setting.origin_sectors):
            held = self.world.origin.read(sector)
            if held not in self.world.contract.in_origin(sector, message):
                self.violations.append("the flush message left the origin out of date")

    def _open(self, unread: bool = False) -> None:
        """A table is loaded on a device that is suspended, or new, and resumed."""
        self._become(loaded=self._construct())
        if self.world.loaded is not None:
            self._resume(unread)

    def _construct(self) -> State | None:
        """The constructor runs, beside what is live."""
        sectors = self.world.cache.latest()
        underlying = {
            "CACHE": BlockDevice(
                self.setting.cache_size, is_persistent_memory=self.setting.pmem_mode
            ),
            "ORIGIN": BlockDevice(bytes_of_origin(self.setting)),
        }
        made = construct(
            self.setting.profile, self.setting.table, underlying, self.shape.superblock(sectors)
        )
        for effect in made.effects:
            self._play(effect)
        if isinstance(made.result, Broken):
            raise DeathError(made.result.reason.name)
        if isinstance(made.result, Refusal):
            self.violations.append(f"activation fails: {made.result.message}")
            return None
        return made.result

    def _resume(self, unread: bool = False) -> None:
        """The device goes on, with the table that was loaded if there is one.

        After an I/O error what was not durable may be lost with the old table.  Where the metadata
        cannot be read the device may refuse to go on: it stays suspended, until it can be.
        """
        world = self.world
        if world.loaded is not None:
            if world.wc is not None and world.wc.error:
                contract = world.contract.fork()
                contract.let_go()
                self._become(contract=contract)
            self._become(wc=world.loaded, loaded=None, timers=frozenset(), queue=())
        sectors = self.world.cache.latest()
        metadata = (self.shape.superblock(sectors), self.shape.entries(sectors))
        found = None if unread else metadata
        self._step(happens.Resume(found, Sector(self.setting.origin_sectors)))
        self._become(n_failed=self.world.n_failed + unread)
        if self._returned and not unread:
            self.violations.append("a resume fails though no disk does")

"""Crashes of the engine: the power fails at any moment of a story, and what is left is recovered.

A story is played on devices that keep every moment (`journal`); its background is done in pieces at
random, or by a thread beside several clients.  Then moments are drawn, and of each what a crash may
leave: every subset of what was pending where they are few.  The engine recovers that, and so does
the reference: no error, the contract's values, and the same in both.  Recovery crashes, too.
"""

import errno
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Final

from writecache_impl.engine import Engine, EngineError
from writecache_impl.engine.background import Background, Stepper, StuckError
from writecache_impl.engine.config import LIKE
from writecache_impl.engine.devices import Device
from writecache_impl.engine.failing import FailingDevice, Failure, Kind
from writecache_impl.engine.threads import Threads
from writecache_impl.mmap_target.journal import WORD_SIZE, Journal, Moment, content_of
from writecache_impl.mmap_target.stories import Story
from writecache_impl.mmap_target.telling import Teller, deal, described, sectors_of
from writecache_models.content import Content
from writecache_models.contract import Contract
from writecache_models.devices import Devices
from writecache_models.machine import Machine
from writecache_models.volatile import Volatile, crashes
from writecache_spec.profile import PROFILES
from writecache_spec.units import SECTOR_SIZE

_PMEM: Final = PROFILES["1.6.0-6.1-amd64"].repaired()
_SSD: Final = PROFILES["1.6.0"].repaired()
_ERRNOS: Final = (errno.EIO, errno.EIO, errno.ENOSPC)
MOST_LATER: Final = 10
"""Moments of a recovery, and of what is done after it, at which the power fails again."""
MOST_STATES: Final = 1200
"""Contents of one story; the next story shows more."""
DEPTH: Final = 2
"""How often the power fails: once in a story, and once more while that is recovered."""


@dataclass(slots=True)
class Crashes:
    """What became of a story."""

    story: Story
    states: int = 0
    """Contents that were recovered."""
    moments: int = 0
    """Among which the power may have failed."""
    violations: list[str] = field(default_factory=list)


class Wanderer(Stepper):
    """A background of which now and then a part is done."""

    def wander(self, random: Random, settles: float) -> None:
        """After an operation: all of it, or some."""
        if random.random() < settles:
            self.settle()
            return
        for _ in range(random.choice((0, 0, 1, 2, 5))):
            if self.wc is None or not self.run_one():
                return
        if random.random() < 0.1:
            self.advance(1)


def judge(story: Story, n_moments: int, n_states: int) -> Crashes:
    """Play a story, and crash it at up to `n_moments` moments, `n_states` contents each."""
    random = Random(f"crash-{story.seed}")
    result = Crashes(story)
    journal = _journal(story, (Volatile({}), Volatile({})), Contract())
    _play(story, journal, random, result)
    moments = journal.moments
    result.moments = len(moments)
    chosen = moments if len(moments) <= n_moments else random.sample(moments, n_moments)
    for moment in chosen:
        if result.violations or result.states > MOST_STATES:
            break
        _fail_at(story, moment, n_states, DEPTH, random, result)
    return result


def _journal(story: Story, disks: tuple[Volatile, Volatile], contract: Contract) -> Journal:
    units = (WORD_SIZE if story.pmem_mode else SECTOR_SIZE, SECTOR_SIZE)
    sizes = story.cache_sectors * SECTOR_SIZE, story.origin_sectors * SECTOR_SIZE
    return Journal(sizes, disks, contract, units)


def _engine(devices: tuple[Device, ...], background: Background) -> Engine:
    cache, origin = devices
    return Engine({"CACHE": cache, "ORIGIN": origin}, background=background)


def _play(story: Story, journal: Journal, random: Random, result: Crashes) -> None:
    """Play the story's operations."""
    fails = [False]

    def plan(kind: Kind, offset: int, size: int) -> Failure | None:
        if not fails[0] or random.random() >= story.fails:
            return None
        n_units = size // SECTOR_SIZE
        written = SECTOR_SIZE * random.randrange(n_units) if kind == "write" and n_units else 0
        return Failure(random.choice(_ERRNOS), written)

    devices: tuple[Device, ...] = journal.devices
    if story.fails:
        devices = tuple(FailingDevice(device, plan) for device in devices)
    threaded = story.clients > 1
    wanderer = Wanderer(1000)
    background: Background = Threads(LIKE.environment.hz) if threaded else wanderer
    engine = _engine(devices, background)

    def origin(sector: int) -> bytes:
        return journal.devices[1].read(sector * SECTOR_SIZE, SECTOR_SIZE)

    tellers = [
        Teller(engine, journal.contract, journal.lock, None if threaded else origin)
        for _ in range(story.clients)
    ]
    tellers[0].play(story.ops[0], story.table)
    fails[0] = True
    for teller in tellers:
        teller.alone, teller.may_fail = not threaded, bool(story.fails)
    try:
        if threaded:
            _play_beside(story, journal, tellers)
        else:
            for op in story.ops[1:]:
                tellers[0].play(op, story.table)
                journal.note(f"the end of {op[0]}")
                wanderer.wander(random, story.settles)
    except StuckError:
        result.violations.append("an operation never ends")
    finally:
        with suppress(EngineError):
            engine.abandon()
    for teller in tellers:
        result.violations += [_located(what, sector) for what, sector in teller.wrong]


def _play_beside(story: Story, journal: Journal, tellers: list[Teller]) -> None:
    """Several clients at once; reloads and suspends are left to one that is alone."""
    ops = [op for op in story.ops[1:] if op[0] not in ("open", "suspend")]

    def client(teller: Teller, hand: list[list[object]]) -> None:
        try:
            for op in hand:
                teller.play(op, story.table)
                with journal.lock:
                    journal.note(f"the end of {op[0]}")
        except Exception as error:
            teller.wrong.append((f"a client died of {error!r}", None))

    threads = [
        threading.Thread(target=client, args=(teller, list(hand)))
        for teller, hand in zip(tellers, deal(ops, len(tellers)), strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        if thread.is_alive():
            raise StuckError("a client never ends")


def _fail_at(
    story: Story, moment: Moment, n_states: int, depth: int, random: Random, result: Crashes
) -> None:
    """Let the power fail there, and recover each content that may be left."""
    contract = moment.contract.fork()
    contract.crash()
    for left in crashes(moment.disks, n_states, random):
        result.states += 1
        cache, origin = left.disks
        journal = _journal(story, (cache, origin), contract.fork())
        where = f"the power failed after {moment.where}"
        found = list(_recovered(story, journal))
        if found:
            result.violations += [f"{where}: {what}" for what in found]
            return
        if depth > 1 and random.random() < 0.2:
            if random.random() < 0.3:
                _go_on(story, journal, random, result)
            later = journal.moments[1:]
            for again in random.sample(later, min(len(later), MOST_LATER)):
                _fail_at(story, again, 4, depth - 1, random, result)


def _go_on(story: Story, journal: Journal, random: Random, result: Crashes) -> None:
    """Use what was recovered, before the power fails again."""
    engine = _engine(journal.devices, wanderer := Wanderer(2000))
    teller = Teller(engine, journal.contract, journal.lock)
    for op in [story.ops[0], *random.sample(story.ops[1:], min(4, len(story.ops) - 1))]:
        if op[0].startswith("write"):
            # Contents that the story has not written yet.
            op = [*op[:3], op[3] + 1000 * (1 + len(journal.moments))]
        teller.play(op, story.table)
        journal.note(f"the end of {op[0]}, after a recovery")
        wanderer.wander(random, story.settles)
    result.violations += [_located(what, sector) for what, sector in teller.wrong]


def _recovered(story: Story, journal: Journal) -> Iterator[str]:
    """Activate what was left, with the engine and the reference; what is wrong with it."""
    cache, origin = journal.disks
    units = journal.units
    contents = [
        content_of(disk, device.size, unit)
        for disk, device, unit in zip((cache, origin), journal.devices, units, strict=True)
    ]
    engine = _engine(journal.devices, Stepper(1000))
    size = story.origin_sectors * SECTOR_SIZE
    try:
        engine.reload(story.table)
        status, data = engine.status(), engine.read(0, size)
    except (EngineError, StuckError) as error:
        yield f"activation fails: {error}"
        return
    if not status.startswith("0"):
        yield f"activation ends with an error: {status}"
    for sector, value in journal.contract.read(0, sectors_of(data)):
        yield _located(described(value), sector)
    devices = Devices(*(Content(len(content), content) for content in contents))
    machine = Machine(_PMEM if story.pmem_mode else _SSD, devices)
    outcome = machine.open(story.table)
    if outcome.errno or machine.read(0, story.origin_sectors).data != data:
        yield f"the reference reads something else ({outcome.errno})"


def _located(what: str, sector: int | None) -> str:
    return what if sector is None else f"sector {sector}: {what}"

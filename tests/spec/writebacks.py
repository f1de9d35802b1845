"""Caches on the verge of writeback, for the tests of writeback."""

from builders import (
    NO_WATERMARK,
    cache,
    drive,
    submitted,
)

from writecache_spec.effects import Broken, Reason
from writecache_spec.events import (
    Message,
    WritebackWork,
)
from writecache_spec.state import State
from writecache_spec.step import step
from writecache_spec.units import Jiffies

CALM = f"pause_writeback 0 {NO_WATERMARK}"
EAGER = "pause_writeback 0 high_watermark 0 low_watermark 0"
FLUSH = Message(("flush",))


def used(*sectors: int, options: str = CALM, n_blocks: int = 8, profile: str = "1.6.0") -> State:
    """A cache in which these sectors are committed in the first blocks."""
    found = [(sector, 0) for sector in sectors]
    return cache(options, found=found, seq_count=1, n_blocks=n_blocks, profile=profile)


def selected(wc: State, now: int = 0) -> State:
    return drive(wc, WritebackWork(Jiffies(now)))


def jobs(wc: State) -> list[tuple[int, int, int]]:
    assert wc.writeback is not None
    return [tuple(job) for job in wc.writeback.jobs]


def broken(wc: State, now: int = 0) -> Reason:
    after = step(wc, WritebackWork(Jiffies(now)))
    assert after.state is wc
    (effect,) = after.effects
    assert isinstance(effect, Broken), effect
    return effect.reason


def under_writeback(wc: State) -> State:
    """Every block is being copied to the origin; nobody asks for more."""
    return submitted(drive(wc, FLUSH))._replace(writeback_all=0, writeback=None)

"""Timers: time alone only ever asks for work; it does none itself.

Describes `writecache_autocommit_timer`, `writecache_max_age_timer` and
`writecache_schedule_autocommit`.
"""

from writecache_spec.effects import QueueWork, StartTimer, Timer, Work
from writecache_spec.state import State
from writecache_spec.transcript import Transcript
from writecache_spec.units import Jiffies
from writecache_spec.writeback import MAX_AGE_DIV


def autocommit_timer(wc: State, transcript: Transcript) -> State:
    """The oldest uncommitted write has waited long enough: ask for a commit."""
    if not wc.error:
        transcript.tell(QueueWork(Work.FLUSH))
    return wc


def max_age_timer(wc: State, transcript: Transcript) -> State:
    """Look for blocks that are too old, and again in a sixteenth of max_age."""
    if not wc.suspended and not wc.error:
        transcript.tell(QueueWork(Work.WRITEBACK))
        transcript.tell(StartTimer(Timer.MAX_AGE, Jiffies(wc.config.max_age // MAX_AGE_DIV)))
    return wc

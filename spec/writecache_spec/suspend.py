"""Suspend: commit, let the work queue run dry, and wait for writeback.

After `flush_on_suspend` (which the message `cleaner` implies) everything is written back on the
way.  Everything committed is durable on the cache device either way; nothing must touch the lists
until the next resume rebuilds them.

Describes `writecache_suspend`, which device-mapper calls when no request is left (`postsuspend`),
and `writecache_poison_lists`.
"""

from writecache_spec.commit import flush
from writecache_spec.effects import (
    AwaitWorkQueue,
    QueueWork,
    Returned,
    Sleep,
    StopTimer,
    Timer,
    Work,
)
from writecache_spec.state import State, Waiter
from writecache_spec.transcript import Transcript, require


def suspend(wc: State, transcript: Transcript) -> State:
    """Commit, and ask for everything to be written back where that is wanted."""
    require(not wc.suspended, "the device is suspended")
    for timer in (Timer.AUTOCOMMIT, Timer.MAX_AGE):
        transcript.tell(StopTimer(timer))
    wc = flush(wc._replace(suspended=True), transcript)
    if wc.flush_on_suspend:
        wc = wc._replace(
            flush_on_suspend=False, suspend_writes_all=True, writeback_all=wc.writeback_all + 1
        )
        transcript.tell(QueueWork(Work.WRITEBACK))
    transcript.tell(AwaitWorkQueue(drain=True))
    return wc


def suspend_end(wc: State, transcript: Transcript) -> State:
    """Wait until nothing is under writeback; then the lists are out of bounds."""
    require(wc.suspended and not wc.poisoned, "no suspend is under way")
    require(Waiter.SUSPEND not in wc.sleeping, "the suspend sleeps")
    if wc.suspend_writes_all:
        wc = wc._replace(suspend_writes_all=False, writeback_all=wc.writeback_all - 1)
    if wc.writeback_size:
        transcript.tell(Sleep(Waiter.SUSPEND))
        return wc._replace(sleeping=wc.sleeping | {Waiter.SUSPEND})
    transcript.tell(Returned(None))
    return wc._replace(poisoned=True)

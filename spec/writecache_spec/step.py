"""The one function of the reference: `step(state, event) -> Step(state, effects)`.

Total and deterministic.  It only dispatches: each operation has its own module.  An event that
cannot happen now, or kills the kernel, leaves the state as it was and has one effect that says so.
"""

from typing import NamedTuple, assert_never

from writecache_spec.commit import flush
from writecache_spec.discard import discard
from writecache_spec.effects import Complete, Effect, Remap
from writecache_spec.endio import free_copied_blocks, take_ended_copies
from writecache_spec.events import (
    NONE_FAIL,
    AutocommitTimer,
    BioPrivate,
    CopyEnd,
    Device,
    EndIo,
    EndioTake,
    EndioThread,
    Event,
    FlushMessageEnd,
    FlushThread,
    FlushWork,
    Map,
    MaxAgeTimer,
    Message,
    Op,
    Resume,
    Suspend,
    SuspendEnd,
    WritebackContinue,
    WritebackWork,
)
from writecache_spec.map import end_io, map_bio
from writecache_spec.messages import flush_message_end, message
from writecache_spec.resume import resume
from writecache_spec.state import Phase, State, Waiter
from writecache_spec.suspend import suspend, suspend_end
from writecache_spec.timers import autocommit_timer, max_age_timer
from writecache_spec.transcript import Abort, Transcript, require
from writecache_spec.units import Sector
from writecache_spec.writeback import begin_writeback, restart_writeback
from writecache_spec.writeback_submit import copy_end, finish, submit, throttle


class Step(NamedTuple):
    """The outcome of an event."""

    state: State
    effects: tuple[Effect, ...]
    """In the order in which they happen."""


def step(wc: State, event: Event) -> Step:
    """Let one event happen."""
    transcript = Transcript(getattr(event, "failing_ios", NONE_FAIL))
    try:
        after = _dispatch(wc, event, transcript)
    except Abort as abort:
        return Step(wc, (abort.effect,))
    return Step(after, tuple(transcript.effects))


def _dispatch(wc: State, event: Event, transcript: Transcript) -> State:
    match event:
        case Map():
            return map_bio(wc, event, transcript)
        case EndIo():
            return end_io(wc, event, transcript)
        case FlushThread():
            return _flush_thread(wc, transcript)
        case FlushWork():
            require(not wc.poisoned, "the device is suspended")
            return flush(wc, transcript)
        case WritebackWork():
            return begin_writeback(wc, event, transcript)
        case WritebackContinue():
            return _continue_writeback(wc, event, transcript)
        case CopyEnd():
            return copy_end(wc, event)
        case EndioTake():
            return take_ended_copies(wc, transcript)
        case EndioThread():
            return free_copied_blocks(wc, transcript)
        case _:
            return _dispatch_control(wc, event, transcript)


def _dispatch_control(
    wc: State,
    event: AutocommitTimer
    | MaxAgeTimer
    | Message
    | FlushMessageEnd
    | Suspend
    | SuspendEnd
    | Resume,
    transcript: Transcript,
) -> State:
    match event:
        case AutocommitTimer():
            return autocommit_timer(wc, transcript)
        case MaxAgeTimer():
            return max_age_timer(wc, transcript)
        case Message():
            return message(wc, event, transcript)
        case FlushMessageEnd():
            return flush_message_end(wc, transcript)
        case Suspend():
            return suspend(wc, transcript)
        case SuspendEnd():
            return suspend_end(wc, transcript)
        case Resume():
            return resume(wc, event, transcript)
        case _:
            assert_never(event)


def _flush_thread(wc: State, transcript: Transcript) -> State:
    """Take one flush or discard off the list and carry it out (`writecache_flush_thread`)."""
    require(wc.flush_list, "the flush list is empty")
    require(not wc.poisoned, "the device is suspended")
    bio = wc.flush_list[0]
    wc = wc._replace(flush_list=wc.flush_list[1:])
    if bio.op is Op.DISCARD:
        wc = discard(wc, transcript, bio.sector, Sector(bio.sector + bio.n_sectors))
        transcript.tell(Remap(bio, Device.ORIGIN, bio.sector, bio.n_sectors, BioPrivate.NONE))
        return wc
    wc = flush(wc, transcript)
    transcript.tell(Complete(bio, "EIO" if wc.error else None))
    return wc


def _continue_writeback(wc: State, event: WritebackContinue, transcript: Transcript) -> State:
    """Go on from where the writeback function stands."""
    require(wc.writeback, "the writeback function is not running")
    require(Waiter.WRITEBACK not in wc.sleeping, "the writeback function sleeps")
    assert wc.writeback is not None
    phase, jobs = wc.writeback
    match phase:
        case Phase.RESTART:
            return restart_writeback(wc, event.now, transcript)
        case Phase.SUBMIT:
            return submit(wc, jobs, transcript)
        case Phase.THROTTLE:
            return throttle(wc, jobs, transcript)
        case Phase.NO_PROGRESS | Phase.DRAIN:
            return finish(wc, transcript)

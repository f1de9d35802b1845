"""How a transition tells its effects, meets I/O errors, and waits.

A transition takes a state and a transcript and returns the next state; what it does to the world it
appends to the transcript, in order.  The transcript also knows which I/Os fail.  An error does not
stop a transition: like the kernel's, it sets the sticky `error` and goes on.

Where the kernel waits for requests in flight *while it holds the lock*, the event cannot happen
before they have completed: `wait_for_reads` and `wait_for_writes` end the transition as not
enabled.

Describes `writecache_error`, `writecache_has_error`, `writecache_wait_for_ios` and the calls of
`dm_io`.
"""

from writecache_spec.effects import (
    Broken,
    Effect,
    FlushDevice,
    LoadBlock,
    Log,
    NotEnabled,
    Reason,
    WriteMetadata,
)
from writecache_spec.events import Device
from writecache_spec.state import State


class Abort(Exception):  # noqa: N818 - an outcome, not an error
    """The transition does not happen: `effect` stands for everything it would have done."""

    def __init__(self, effect: NotEnabled | Broken) -> None:
        super().__init__(effect)
        self.effect = effect


class Transcript:
    """The effects of one transition, in order, and which of its I/Os fail."""

    __slots__ = ("_failed", "_ios", "effects", "has_failed")

    def __init__(self, failed: frozenset[int] = frozenset()) -> None:
        self.effects: list[Effect] = []
        self.has_failed = False
        """Whether an I/O has, so far."""
        self._failed = failed
        self._ios = 0

    def tell(self, effect: Effect) -> None:
        """Append an effect that is no I/O."""
        self.effects.append(effect)

    def do(
        self, wc: State, effect: FlushDevice | WriteMetadata | LoadBlock, complaint: str
    ) -> State:
        """Append an I/O that the transition waits for; where it fails, set the error."""
        self.effects.append(effect)
        number = self._ios
        self._ios += 1
        if number not in self._failed:
            return wc
        self.has_failed = True
        return report_error(wc, self, complaint)


def report_error(wc: State, transcript: Transcript, complaint: str) -> State:
    """Set the sticky error, log the first one, wake all sleepers (`writecache_error`)."""
    if not wc.error:
        transcript.tell(Log(complaint))
    return wc._replace(error=True, sleeping=frozenset())


def disk_flush(wc: State, transcript: Transcript, device: Device) -> State:
    """Flush a device's cache and wait for it (`writecache_disk_flush`)."""
    return transcript.do(wc, FlushDevice(device), "error flushing metadata")


def wait_for_reads(wc: State) -> None:
    """Go on only when the cache device reads nothing on behalf of requests."""
    if wc.reads_in_progress:
        raise Abort(NotEnabled("reads of the cache device are in flight"))


def wait_for_writes(wc: State) -> None:
    """Go on only when the cache device writes nothing on behalf of requests."""
    if wc.writes_in_progress:
        raise Abort(NotEnabled("writes of the cache device are in flight"))


def require(condition: object, why: str) -> None:
    """End the transition as not enabled unless the condition holds."""
    if not condition:
        raise Abort(NotEnabled(why))


def bug_on(condition: object, reason: Reason) -> None:
    """End the transition, and the kernel, if the condition holds."""
    if condition:
        raise Abort(Broken(reason))

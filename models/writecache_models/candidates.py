"""Candidates: the events that may be next in a world."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from writecache_models.clients import Op
from writecache_models.world import Setting, World
from writecache_spec.state import State, Waiter

Turn = tuple[Any, ...]
"""An event of the world: its name, and which of several."""
UNREAD: Final = "unread"
"""The last word of a resume, or of what loads a table and resumes, that cannot read the entries."""
MOST_IOS: Final = 5
"""I/Os of one critical section, that a search lets fail one by one; the cache waits for each."""


def candidates(setting: Setting, world: World, ops: Iterable[Op], failures: int) -> Iterator[Turn]:
    """Events that may be possible; `failures` says how many I/Os may fail in all."""
    wc = world.wc
    may_fail = world.n_failed < failures
    outcomes = (False, True) if may_fail else (False,)
    ios = (None, *range(MOST_IOS)) if may_fail else (None,)
    if wc is None:
        yield ("open",)
        return
    for number in range(len(world.pieces)):
        yield from (("io", number, failed) for failed in outcomes)
    for client in world.clients:
        if client.rest and client.tag not in wc.sleeping:
            yield ("map", client.tag)
    for name in _threads(wc, world):
        yield from ((name, io) for io in ios)
    for number in range(len(world.copies)):
        yield from (("copy", number, failed) for failed in outcomes)
    for timer in sorted(world.timers, key=lambda timer: timer.value):
        yield ("timer", timer.value)
    if world.control is None:
        for op in ops:
            if _may_begin(world, op):
                yield from (("begin", *one) for one in _ways_of(op, may_fail))
    elif not world.control.works:
        yield ("go on",)


def fails(event: Turn) -> bool:
    """Whether an I/O fails in an event."""
    match event:
        case ("io" | "copy", _, failed):
            return bool(failed)
        case ("flush thread" | "work" | "endio take" | "endio", io):
            return io is not None
        case ("begin", *op):
            return UNREAD in op[-1:]
        case _:
            return False


def op_of(event: Turn) -> Op:
    """The operation that begins, whether it fails or not."""
    return event[1:-1] if fails(event) else event[1:]


def _ways_of(op: Op, may_fail: bool) -> Iterator[Op]:
    """An operation as it begins, and with a read that fails where one of its own may."""
    yield op
    if may_fail and op[0] in ("resume", "open"):
        yield (*op, UNREAD)


def _threads(wc: State, world: World) -> Iterator[str]:
    """Who can run its next critical section."""
    if wc.flush_list:
        yield "flush thread"
    if Waiter.WRITEBACK not in wc.sleeping if wc.writeback is not None else world.queue:
        yield "work"
    if wc.endio_taken:
        yield "endio"
    elif wc.endio_list:
        yield "endio take"


def _may_begin(world: World, op: Op) -> bool:
    """Whether device-mapper lets an operation begin now."""
    assert world.wc is not None
    match op[0]:
        case "resume" | "open":
            return world.wc.suspended
        case "load":
            return world.loaded is None
        case "suspend":
            return not world.wc.suspended and not world.clients
        case "message":
            return True
        case _:
            return not world.wc.suspended

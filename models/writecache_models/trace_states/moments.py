"""What a trace is made of when it has been played: steps, and the moments of each."""

from typing import Any, NamedTuple

from writecache_models.contract import Contract
from writecache_spec.state import State

EVENT = "event"
"""A critical section of the kernel's lock."""
EFFECT = "effect"
"""What it does, as the specification has it."""
DEVICE = "device"
"""A device does what it was asked to."""
END = "end"
"""An operation has ended."""


class Moment(NamedTuple):
    """What has just happened, and how things are then."""

    kind: str
    text: str
    wc: State | None
    """Memory after the whole critical section; devices are as after this very effect."""
    disks: Any
    """Of a trace of operations two `Volatile` ones; of a path its `World`."""
    contract: Contract | None
    """Never changed; None: from here on nobody can say what is allowed."""
    table: str
    """The table with which a crash would be recovered from."""


class Step(NamedTuple):
    """One operation of a trace, or one event of a path."""

    op: str
    moments: list[Moment]
    result: str
    """What it returned."""
    status: str | None
    wrong: tuple[str, ...] = ()
    """How it breaks the contract without any crash."""
    seen: str | None = None
    """What a recording says of it: `agrees`, or what differs."""

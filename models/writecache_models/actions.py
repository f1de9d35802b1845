"""What can happen in a kernel's background, how it can end badly, what an operation returns."""

from enum import Enum
from typing import Final, NamedTuple

from writecache_spec.effects import Reason


class PanicError(Exception):
    """The kernel has died."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class ChoiceError(Exception):
    """A schedule chooses what there is not."""


class HangError(Exception):
    """The operation waits for something that nobody will do."""


class Kind(Enum):
    """What may happen next: to a request first, then in the background in the canonical order.

    The last three are made of others.  Before a pass of writeback, before an error, and while one
    waits for any block to be freed, the kernel's other threads run, and how many copies have ended
    by then is a matter of time: a search has it as one choice.
    """

    SETTLE = "everything that is pending runs"
    GO_ON = "the request goes on"
    HABIT = "several clients take turns in a certain way"
    CLIENT = "one of several clients goes on"
    IO = "what a device did for a request ends"
    FLUSH_THREAD = "the flush thread takes a request"
    WORK = "the work queue runs its next critical section"
    COPY = "a copy ends"
    ENDIO = "the endio thread frees what was copied"
    SWEEP = "copies end in the order of their sectors, before one that fails"
    COPIES = "the copies of one pass or several end, and are freed"
    SOME_COPIES = "any number of copies end, and are freed"


ENDS_COPIES: Final = (Kind.COPY, Kind.SWEEP, Kind.COPIES, Kind.SOME_COPIES)


class Action(NamedTuple):
    """Something that may happen, and to which of several it does."""

    kind: Kind
    which: int = 0
    n_blocks: int = 0
    """Of a sweep: how many are home when it ends."""


class Outcome(NamedTuple):
    """What an operation returned."""

    errno: str | None = None
    message: str | None = None
    """The constructor's, where it refused."""
    data: bytes | None = None
    returned: int = 0
    """By a load that returns a number which is no errno: nothing was loaded."""
    parts: "tuple[Outcome, ...]" = ()
    """What each of several operations at once returned."""

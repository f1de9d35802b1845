"""Signals that end a program: a tool cleans up after itself first, as on an interrupt."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Ended(BaseException):
    """By a signal; what is under way is given up."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.code = 128 + number
        """What a shell calls a program that this signal ended."""


ENDING = (signal.SIGHUP, signal.SIGTERM)


@contextmanager
def raised() -> Iterator[None]:
    """Within the block SIGHUP and SIGTERM raise Ended, unless they are ignored."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may ask for signals
        return
    taken = [number for number in ENDING if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, _end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _end(number: int, _frame: FrameType | None) -> None:
    # Once: `timeout` and others send it twice, and the second must not disturb the cleaning up.
    for other in ENDING:
        signal.signal(other, signal.SIG_IGN)
    raise Ended(number)

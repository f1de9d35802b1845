"""Admission: who may come in, and who is about.

A suspended device lets requests wait.  What the origin works on without the lock is counted: a
suspend waits for that.

An exception that is none of the devices' (a signal's, say, or no memory) may have come between two
changes that belong together: nothing is committed after it, so that what is durable stays right,
and the engine is as after an I/O error.
"""

import errno
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from writecache_impl.engine.background import Background
from writecache_impl.engine.errors import ClosedError, EngineError, RequestError
from writecache_impl.engine.state import Cache

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class Admission:
    """A cache that is loaded, or not yet, or not any more."""

    def __init__(self, background: Background) -> None:
        self.background = background
        self.lock = background.lock
        self._wc: Cache | None = None

    def _live(self) -> Cache:
        """The cache, once it runs; with the lock held.  Raises ClosedError."""
        while True:
            wc = self._wc
            if wc is None:
                raise ClosedError(errno.ENODEV, "the engine is closed")
            if not wc.suspended:
                return wc
            self.background.wait_until(lambda: self._wc is None or not self._wc.suspended)

    def _check(self, offset: int, size: int, beyond: int) -> None:
        """Raise what the block layer has for a request that is no blocks of the device.

        In bytes; `beyond` is the errno for what lies behind the end.
        """
        wc = self._wc
        if wc is None:
            raise ClosedError(errno.ENODEV, "the engine is closed")
        if offset < 0 or size < 0 or offset + size > wc.origin.size:
            raise RequestError(beyond, "the request reaches behind the end of the device")
        if (offset | size) & (wc.config.block_size - 1):
            whole = f"the request is no whole blocks of the device, of {wc.config.block_size} bytes"
            raise RequestError(errno.EINVAL, whole)

    def _begin_around(self, wc: Cache) -> None:
        """Something goes to the origin that writes; with the lock held."""
        wc.in_flight += 1
        if wc.config.pause:
            wc.origin_writes_in_flight += 1

    def _end_around(self, wc: Cache, writes: bool = False) -> None:
        """The origin is done with a piece; without the lock."""
        with self.lock:
            wc.in_flight -= 1
            if writes and wc.config.pause:
                wc.origin_writes_in_flight -= 1
                if not wc.origin_writes_in_flight:
                    wc.origin_idle_since = wc.now()
            if not wc.in_flight:
                wc.wake()

    def _guarded(
        self, do: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        """Do something that must not be left half done."""
        try:
            return do(*args, **kwargs)
        except EngineError:
            raise
        except BaseException:
            if self._wc is not None:
                self._wc.error = True
            raise


def failed(what: str) -> RequestError:
    """What a request that failed raises."""
    return RequestError(errno.EIO, f"the {what} has failed")

"""A device that fails as it is told: with an errno, before or in the middle of a write."""

import os
from collections.abc import Callable
from typing import Literal, NamedTuple

from writecache_impl.engine.devices import Device

Kind = Literal["read", "write", "flush", "discard"]


class Failure(NamedTuple):
    """How an I/O fails."""

    errno: int
    written: int = 0
    """Bytes of a write that are written before: a short write, and no more to be had."""


class FailingDevice(Device):
    """Another device; `plan` says of each I/O, by kind, offset and size, whether it fails."""

    def __init__(self, inner: Device, plan: Callable[[Kind, int, int], Failure | None]) -> None:
        self.inner = inner
        self.name, self.size = inner.name, inner.size
        self.plan = plan

    def read(self, offset: int, size: int) -> bytes:
        """Read, or fail."""
        self._meet("read", offset, size)
        return self.inner.read(offset, size)

    def write(self, offset: int, data: bytes | memoryview, fua: bool = False) -> None:
        """Write, or write a part and fail."""
        failure = self.plan("write", offset, len(data))
        if failure is None:
            self.inner.write(offset, data, fua)
            return
        if failure.written:
            self.inner.write(offset, data[: failure.written])
        raise _error(failure)

    def flush(self) -> None:
        """Flush, or fail: then nothing is known of what was pending."""
        self._meet("flush", 0, 0)
        self.inner.flush()

    def discard(self, offset: int, size: int) -> None:
        """Discard, or fail."""
        self._meet("discard", offset, size)
        self.inner.discard(offset, size)

    def close(self) -> None:
        """Let go of it."""
        self.inner.close()

    def _meet(self, kind: Kind, offset: int, size: int) -> None:
        if failure := self.plan(kind, offset, size):
            raise _error(failure)


def _error(failure: Failure) -> OSError:
    return OSError(failure.errno, os.strerror(failure.errno))

"""Many small reads by few system calls: Linux's own asynchronous I/O (`io_submit`), with numpy.

What is to be read is described in arrays, so that a read costs nothing in Python.  Anything that
goes otherwise than well is only told of: whoever asked reads again, one by one, and learns what it
was.  Where a kernel has no such call, there is no reader.
"""

import ctypes
import platform
from array import array
from contextlib import suppress
from typing import Final

import numpy as np
from numpy.typing import NDArray

_DEPTH: Final = 256
_SETUP, _DESTROY, _SUBMIT, _EVENTS = range(4)
_CALLS: Final = {"x86_64": (206, 207, 209, 208), "aarch64": (0, 1, 2, 4)}
_REQUEST: Final = np.dtype(
    [
        ("data", "<u8"),
        ("key", "<u4"),
        ("flags", "<u4"),
        ("opcode", "<u2"),
        ("priority", "<i2"),
        ("fd", "<u4"),
        ("buffer", "<u8"),
        ("length", "<u8"),
        ("offset", "<i8"),
        ("reserved", "<u8"),
        ("more", "<u8"),
    ]
)
"""`struct iocb`; operation 0 is a read."""
_EVENT: Final = np.dtype([("data", "<u8"), ("request", "<u8"), ("result", "<i8"), ("more", "<i8")])
_libc: Final = ctypes.CDLL(None, use_errno=True)


class ManyReads:
    """A context of the kernel's.  Raises OSError where it has none to give."""

    def __init__(self) -> None:
        calls = _CALLS.get(platform.machine())
        if calls is None:
            raise OSError("its numbers are not known here")
        self._calls = calls
        self._context = ctypes.c_ulong(0)
        if self._call(_SETUP, _DEPTH, ctypes.byref(self._context)):
            raise OSError(ctypes.get_errno(), "io_setup")

    def _call(self, call: int, *arguments: object) -> int:
        return int(_libc.syscall(ctypes.c_long(self._calls[call]), *arguments))

    def close(self) -> None:
        """Give the context back."""
        self._call(_DESTROY, self._context)

    def read(
        self, fd: int, offsets: "array[int]", lengths: "array[int]", buffer: bytearray
    ) -> bool:
        """Read pieces of a file, one behind the other, into a buffer; whether all of them came."""
        count = len(offsets)
        requests = np.zeros(count, _REQUEST)
        requests["fd"] = fd
        requests["offset"] = np.frombuffer(offsets, np.uint64)
        requests["length"] = sizes = np.frombuffer(lengths, np.uint64)
        start = np.frombuffer(buffer, np.uint8).ctypes.data
        requests["buffer"] = start + np.cumsum(sizes) - sizes
        if int(sizes.sum()) > len(buffer):
            raise ValueError("the buffer is too small")
        pointers = requests.ctypes.data + np.arange(count, dtype=np.uint64) * _REQUEST.itemsize
        events = np.zeros(_DEPTH, _EVENT)
        requests["data"] = sizes
        return self._submit_all(pointers, events)

    def _submit_all(self, pointers: NDArray[np.uint64], events: NDArray[np.void]) -> bool:
        at, count, good = 0, len(pointers), True
        while at < count and good:
            some = ctypes.c_long(min(_DEPTH, count - at))
            begun = self._call(
                _SUBMIT, self._context, some, ctypes.c_void_p(pointers[at:].ctypes.data)
            )
            if begun <= 0:
                return False
            at += begun
            good = self._wait(begun, events)
        return good

    def _wait(self, begun: int, events: NDArray[np.void]) -> bool:
        """Wait for all that was begun: the buffer is the kernel's until then."""
        good = True
        while begun:
            one, all_of_them = ctypes.c_long(begun), ctypes.c_long(begun)
            ended = self._call(
                _EVENTS, self._context, one, all_of_them,
                ctypes.c_void_p(events.ctypes.data), ctypes.c_void_p(None),
            )  # fmt: skip
            if ended < 0:
                continue  # a signal came
            good = good and bool(
                (events["result"][:ended] == events["data"][:ended].astype(np.int64)).all()
            )
            begun -= ended
        return good


def many_reads() -> ManyReads | None:
    """A reader, if the kernel has one to give."""
    with suppress(OSError):
        return ManyReads()
    return None

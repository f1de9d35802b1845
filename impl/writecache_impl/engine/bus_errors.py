"""Ends a process in a line where a mapped file has no more what is asked of it.

A load or a store behind the end of a file that was cut within it, or a load that the disk fails, is
a signal (SIGBUS) that Python cannot take: its handlers run between instructions, and the
instruction is begun anew for ever.  The handler here is the C library's, runs at once, and does
nothing but say why and end the process.  What was durable stays, as after a crash.
"""

import ctypes
import os
import signal
from typing import Final

_HANDLER: Final = ctypes.CFUNCTYPE(None, ctypes.c_int)
_kept: list[object] = []
"""The handlers that the C library knows: they have to live as long as it."""


def end_in_a_line(line: str, code: int) -> None:
    """From now on a bus error writes a line to standard error, and ends the process with a code."""
    text = f"{line}\n".encode()

    def end(_number: int) -> None:
        os.write(2, text)
        os._exit(code)

    handler = _HANDLER(end)
    _kept.append(handler)
    ctypes.CDLL(None).signal(int(signal.SIGBUS), handler)

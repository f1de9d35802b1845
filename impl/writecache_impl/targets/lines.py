"""A program with which one speaks in lines: a request on its input, a reply on its output.

Whatever the program does (it ends, it hangs, it writes without end) becomes a LostError in time.
"""

import os
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from writecache_models.conformance.target import LostError, UnavailableError

LONGEST_REPLY: Final = 2**24
"""Bytes of a line."""
_CHUNK: Final = 2**16
_LAST_WORDS: Final = 2000
"""Bytes of what it complained of that are kept."""
_GRACE_S: Final = 2.0
"""From the end of its input to a signal."""


class LineProgram:
    """A running program, in a process group of its own."""

    def __init__(self, arguments: Sequence[str], seconds: float) -> None:
        """Start it; `seconds` is how long a reply may take.  Raises UnavailableError."""
        self._seconds = seconds
        try:
            self._process = subprocess.Popen(
                arguments,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UnavailableError(f"{arguments[0]}: {reason}") from None
        self._buffer = bytearray()
        self._last_words = b""
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        assert self._process.stdout is not None
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._process.stdout, selectors.EVENT_READ)

    def ask(self, request: str) -> bytes:
        """Send a line and return the line that answers it; raises LostError."""
        assert self._process.stdin is not None
        if not self._buffer and self._selector.select(0):
            self._read(request)
        if self._buffer:
            raise LostError(f"it says something unasked before {request}: {_cut(self._buffer)}")
        try:
            self._process.stdin.write(request.encode() + b"\n")
        except OSError:
            raise LostError(self._ending(request)) from None
        return self._reply(request)

    def _reply(self, request: str) -> bytes:
        deadline = time.monotonic() + self._seconds
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > LONGEST_REPLY:
                raise LostError(f"its reply to {request} is longer than {LONGEST_REPLY:,} bytes")
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                raise LostError(f"no reply to {request} within {self._seconds:g} s")
            self._read(request)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _read(self, request: str) -> None:
        """Take what has come of its output."""
        assert self._process.stdout is not None
        data = os.read(self._process.stdout.fileno(), _CHUNK)
        if not data:
            raise LostError(self._ending(request))
        self._buffer += data

    def _listen(self) -> None:
        """Keep the end of what it complains of."""
        assert self._process.stderr is not None
        with suppress(OSError, ValueError):
            while data := os.read(self._process.stderr.fileno(), _CHUNK):
                self._last_words = (self._last_words + data)[-_LAST_WORDS:]

    def _ending(self, request: str) -> str:
        """How it ended, in a line."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        code = self._process.returncode
        how = "closes its output"
        if code is not None:
            self._listener.join(_GRACE_S)
            how = f"ends with exit code {code}" if code >= 0 else f"is ended by {_signal(-code)}"
        words = self._last_words.decode(errors="replace").strip().splitlines()
        return f"the program {how} on {request}" + (f": {words[-1][:200]}" if words else "")

    def close(self) -> None:
        """End it: its input ends, then it is killed with all that it started."""
        process = self._process
        self._selector.close()
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with suppress(OSError):
                    stream.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE_S)
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._listener.join(_GRACE_S)
        if process.stderr is not None and not self._listener.is_alive():
            process.stderr.close()


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _cut(data: bytes | bytearray) -> str:
    text = bytes(data[:100]).decode(errors="replace").strip()
    return repr(text) + ("..." if len(data) > 100 else "")

"""Boots a kernel with this package's guest program as its only process.

Everything is private and bounded: directories and disks of our own, every wait with a time-out, a
guard process that ends the kernel with its user. A kernel that panics, dies or hangs is a result
(`KernelDied`, `KernelHung`), not a failure.

The host's ``/`` is the guest's root, read only: the guest runs the host's own Python. The console
carries kernel messages, a line of its own only our requests and answers. `usermode` and `emulator`
say what is run for that.
"""

import json
import os
import select
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from .errors import HarnessError, KernelDied, KernelHung
from .private import HERE, BootOptions, Place, Private
from .suites import KernelImage

GUARD = HERE / "guard.py"
CONSOLE_TAIL_BYTES = 16 * 1024


class Machine(ABC):
    """One running kernel: a line to its guest program, and its two disks as mapped files."""

    request_bytes_max = 512
    """A longer request goes as a file."""

    def __init__(self, image: KernelImage, options: BootOptions | None = None) -> None:
        self.image = image
        self.options = options or BootOptions()
        self._rest = b""
        self._batches = 0
        self._console_read = 0
        with ExitStack() as undo:  # what was begun ends if it is not completed
            self.private = Private(self.options, self._places(self.options))
            undo.callback(self.private.close)
            self.disks = self.private.disks
            self._start(undo)
            undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @classmethod
    @abstractmethod
    def _places(cls, options: BootOptions) -> Mapping[str, Place]:
        """Return where the disks `origin`, `cache` and `barrier` lie."""

    @abstractmethod
    def _command(self, line: int) -> list[str]:
        """Return what is to be run; `line` is the number of the open line to the guest."""

    def _start(self, undo: ExitStack) -> None:
        self.line, serial = socket.socketpair()
        self.control, control = socket.socketpair()
        for end in (self.line, self.control):
            undo.callback(end.close)
        cpus = sorted(os.sched_getaffinity(0))
        with serial, control, (self.private.work / "console").open("w+b") as console:
            command = self._command(serial.fileno())
            self._console = os.dup(console.fileno())
            self.guard = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", str(GUARD)),
                    *(str(control.fileno()), str(serial.fileno())),
                    *(
                        str(cpus[os.getpid() % len(cpus)]),
                        str(self.private.work),
                        str(self.private.fast),
                    ),
                    *("--", *command),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=[control.fileno(), serial.fileno()],
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(self.private.fast)},
            )

    def console(self) -> str:
        """Return the end of what the kernel and its guest wrote to the console."""
        size = os.fstat(self._console).st_size
        at = max(0, size - CONSOLE_TAIL_BYTES)
        return os.pread(self._console, CONSOLE_TAIL_BYTES, at).decode("utf-8", "replace")

    def console_news(self) -> str:
        """Return what came to the console since the last call."""
        data = os.pread(self._console, 1 << 20, self._console_read)
        self._console_read += len(data)
        return data.decode("utf-8", "replace").replace("\r\n", "\n")

    def answered(self, seconds: float) -> bool:
        """Wait for an answer, or the end of the line, without taking it."""
        return b"\n" in self._rest or bool(select.select([self.line], [], [], seconds)[0])

    def send(self, request: object) -> None:
        """Send a request; a long one goes as a file."""
        data = json.dumps(request).encode()
        if len(data) > self.request_bytes_max:
            self._batches += 1
            path = self.private.exchange / f"batch-{self._batches}"
            path.write_bytes(data)
            data = json.dumps(["file", str(path)]).encode()
        with suppress(BrokenPipeError, ConnectionResetError):
            self.line.sendall(data + b"\n")

    def receive(self, seconds: float) -> Any:
        """Return the guest's next answer; KernelDied, KernelHung or HarnessError without one."""
        bound = time.monotonic() + seconds
        while b"\n" not in self._rest:
            self.line.settimeout(max(bound - time.monotonic(), 0.001))
            try:
                got = self.line.recv(1 << 16)
            except TimeoutError:
                console = self.console()
                self.close()
                raise KernelHung(seconds, console) from None
            except ConnectionResetError:
                got = b""
            if not got:
                raise self._ended()
            self._rest += got
        line, _, self._rest = self._rest.partition(b"\n")
        return json.loads(line)

    def _ended(self) -> Exception:
        """Say why the line has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.guard.wait(10)
        console, status = self.console(), self.guard.poll()
        self.close()
        if "Kernel panic" in console:
            return KernelDied("panic", console)
        if "Traceback (most recent call last)" in console:
            return HarnessError(f"the guest's program failed:\n{console}")
        return KernelDied(f"exit {status}", console)

    def close(self) -> None:
        """End the kernel and everything it left; closing twice is closing once."""
        if self.control.fileno() == -1:
            return
        self.control.close()
        self.line.close()
        try:
            self.guard.wait(10)
        except subprocess.TimeoutExpired:
            self.guard.kill()
            self.guard.wait()
        self.private.close()
        os.close(self._console)

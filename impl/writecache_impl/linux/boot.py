"""Boots user-mode Linux with this package's guest program as its only process.

Everything is private and bounded: directories and disks of our own, every wait with a time-out, a
guard process that ends the kernel with its user. A kernel that panics, dies or hangs is a result
(`KernelDied`, `KernelHung`), not a failure.

Kernel facts: the host's ``/`` is the guest's root (hostfs): the guest runs the host's own Python;
the guest's memory is a file in TMPDIR; `seccomp=auto` lets kernels since 6.16 trap system calls
without ptrace, twice as fast, and is ignored by older ones; `con0` carries kernel messages, the
serial line `ssl0` only our own. One processor for all host processes of a kernel makes system calls
in the guest three times as fast.
"""

import json
import os
import select
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Any, Self

from .errors import HarnessError, KernelDied, KernelHung
from .private import HERE, BootOptions, Private
from .suites import KernelImage

GUARD = HERE / "guard.py"
CONSOLE_TAIL_BYTES = 16 * 1024
LINE_BYTES_MAX = 512


class UserModeLinux:
    """One running kernel: a line to its guest program, and its two disks as mapped files."""

    def __init__(self, image: KernelImage, options: BootOptions | None = None) -> None:
        self.image = image
        self.options = options or BootOptions()
        self._rest = b""
        self._batches = 0
        self._console_read = 0
        with ExitStack() as undo:  # what was begun ends if it is not completed
            self.private = Private(self.options)
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

    def _command(self, serial: int) -> list[str]:
        wanted = ("dm-mod", "dm-writecache", "dm-delay", *self.options.extra_modules)
        init = self.private.guest_files(self.image.modules(wanted))
        fast = self.private.fast
        return [
            str(self.image.path),
            f"mem={self.options.memory_mib}M",
            *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"),
            *(f"ubd0={fast}/origin", f"ubd1={fast}/cache", f"ubd2={fast}/barrier"),
            *("con0=null,fd:1", "con=null", f"ssl0=fd:{serial}", "ssl=null"),
            *(f"uml_dir={fast}/", "umid=kernel", "log_buf_len=256K", "quiet"),
            *("seccomp=auto", "random.trust_cpu=on"),
        ]

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
        """Send a request; a long one goes as a file, the serial line being slow inwards."""
        data = json.dumps(request).encode()
        if len(data) > LINE_BYTES_MAX:
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

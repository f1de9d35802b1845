"""Boots user-mode Linux with this package's guest program as its only process.

Everything is private and bounded: directories of our own, disks as sparse files in memory where
there is room, every wait with a time-out, a guard process that ends the kernel with its user. A
kernel that panics, dies or hangs is a result (`KernelDied`, `KernelHung`), not a failure.

Kernel facts: the host's ``/`` is the guest's root (hostfs): the guest runs the host's own Python;
devtmpfs hides the host's ``/dev`` from the guest, so what the guest must see lies elsewhere; the
guest's memory is a file in TMPDIR; `seccomp=auto` lets kernels since 6.16 trap system calls without
ptrace, twice as fast, and is ignored by older ones; `con0` carries kernel messages, the serial line
`ssl0` only our own.
"""

import json
import mmap
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .errors import HarnessError, KernelDied, KernelHung, KernelUnavailable
from .suites import KernelImage

HERE = Path(__file__).resolve().parent
GUARD = HERE / "guard.py"
CONSOLE_TAIL_BYTES = 16 * 1024
LINE_BYTES_MAX = 512
PLAIN_PATH = re.compile(r"[\w./+-]+")
ENTRY = "import sys; sys.path.append({here!r}); from guest.{module} import main; main({config!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootOptions:
    """How a kernel is run."""

    memory_mib: int = 192
    disk_bytes: int = 1 << 30
    boot_s: float = 60.0
    settle_s: float = 5.0
    extra_modules: tuple[str, ...] = ()
    entry: str = "serve"
    """Module of the guest package whose `main` is run."""

    def with_disks_of(self, size: int) -> Self:
        """Return options whose disks hold at least `size` bytes."""
        while self.disk_bytes < size:
            self = replace(self, disk_bytes=2 * self.disk_bytes)
        return self


def _visible_directory() -> Path:
    """Make a private directory that the guest sees and whose name a boot line can carry."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        real = os.path.realpath(parent)
        hidden = real.startswith(("/dev", "/proc", "/sys"))
        if not hidden and PLAIN_PATH.fullmatch(real) and os.access(real, os.W_OK):
            return Path(tempfile.mkdtemp(prefix="writecache-", dir=real))
    raise KernelUnavailable("no temporary directory outside /dev with a plain name; set TMPDIR")


def _memory_directory(needed_bytes: int, otherwise: Path) -> Path:
    """Make a private directory in memory if there is room, else return `otherwise`."""
    with suppress(OSError):
        room = os.statvfs("/dev/shm")
        if room.f_bavail * room.f_frsize > needed_bytes and os.access("/dev/shm", os.X_OK):
            return Path(tempfile.mkdtemp(prefix="writecache-", dir="/dev/shm"))
    return otherwise


class UserModeLinux:
    """One running kernel: a line to its guest program, and its two disks as mapped files."""

    def __init__(self, image: KernelImage, options: BootOptions | None = None) -> None:
        self.image = image
        self.options = options or BootOptions()
        self.work = _visible_directory()
        self.fast = _memory_directory(2 * self.options.memory_mib << 20, self.work)
        self.exchange = self.work / "exchange"
        self.disks: dict[str, mmap.mmap] = {}
        self._rest = b""
        self._batches = 0
        try:
            self._start()
        except BaseException:
            shutil.rmtree(self.work, ignore_errors=True)
            shutil.rmtree(self.fast, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write_guest_files(self) -> Path:
        """Write what the guest finds: its configuration and the init script."""
        nodes = self.work / "nodes"
        nodes.mkdir()
        self.exchange.mkdir()
        config = self.work / "config.json"
        modules = self.image.modules(("dm-mod", "dm-writecache", *self.options.extra_modules))
        config.write_text(
            json.dumps(
                {
                    "nodes": str(nodes),
                    "exchange": str(self.exchange),
                    "modules": [str(path) for path in modules],
                    "settle_s": self.options.settle_s,
                }
            )
        )
        code = ENTRY.format(here=str(HERE), module=self.options.entry, config=str(config))
        init = self.work / "init"
        python = shlex.join([sys.executable, "-I", "-S", "-B", "-c", code])
        init.write_text(f"#!/bin/sh\nexec {python}\n")
        init.chmod(0o700)
        return init

    def _make_disk(self, name: str) -> Path:
        path = self.fast / name
        with path.open("w+b") as file:
            file.truncate(self.options.disk_bytes)
            self.disks[name] = mmap.mmap(file.fileno(), self.options.disk_bytes)
        return path

    def set_disk(self, name: str, image: bytes) -> None:
        """Make a disk hold `image`, then zeros; nothing of the guest may be using it."""
        path = self.fast / name
        # a new length gives the memory back, and reads as zero where it is longer again
        os.truncate(path, 0)
        os.truncate(path, self.options.disk_bytes)
        self.disks[name][: len(image)] = image

    def _command(self, serial: int) -> list[str]:
        init = self._write_guest_files()
        return [
            str(self.image.path),
            f"mem={self.options.memory_mib}M",
            *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"),
            *(f"ubd0={self._make_disk('origin')}", f"ubd1={self._make_disk('cache')}"),
            *("con0=null,fd:1", "con=null", f"ssl0=fd:{serial}", "ssl=null"),
            *(f"uml_dir={self.fast}/", "umid=kernel", "log_buf_len=256K", "quiet"),
            *("seccomp=auto", "random.trust_cpu=on"),
        ]

    def _start(self) -> None:
        self.line, serial = socket.socketpair()
        self.control, control = socket.socketpair()
        cpus = sorted(os.sched_getaffinity(0))
        with serial, control, (self.work / "console").open("w+b") as console:
            command = self._command(serial.fileno())
            self._console = os.dup(console.fileno())
            self.guard = subprocess.Popen(
                [
                    *(sys.executable, "-I", "-S", str(GUARD)),
                    *(str(control.fileno()), str(serial.fileno())),
                    *(str(cpus[os.getpid() % len(cpus)]), str(self.work), str(self.fast)),
                    *("--", *command),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=[control.fileno(), serial.fileno()],
                start_new_session=True,
                env={**os.environ, "TMPDIR": str(self.fast)},
            )

    def console(self) -> str:
        """Return the end of what the kernel and its guest wrote to the console."""
        size = os.fstat(self._console).st_size
        at = max(0, size - CONSOLE_TAIL_BYTES)
        return os.pread(self._console, CONSOLE_TAIL_BYTES, at).decode("utf-8", "replace")

    def send(self, request: object) -> None:
        """Send a request; a long one goes as a file, the serial line being slow inwards."""
        data = json.dumps(request).encode()
        if len(data) > LINE_BYTES_MAX:
            self._batches += 1
            path = self.exchange / f"batch-{self._batches}"
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
        for disk in self.disks.values():
            disk.close()
        os.close(self._console)

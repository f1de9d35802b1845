"""User-mode Linux: a kernel that is an ordinary process, with hostfs and ubd disks.

Kernel facts: the guest's memory is a file in TMPDIR; `seccomp=auto` lets kernels since 6.16 trap
system calls without ptrace, twice as fast, and is ignored by older ones; `con0` carries kernel
messages, the serial line `ssl0` only our own, and is slow inwards: the driver reads one byte per
system call. One processor for all host processes of a kernel makes system calls in the guest three
times as fast.
"""

from collections.abc import Mapping

from .boot import Machine
from .private import BARRIER_BYTES, BootOptions, Place
from .xstate import prefix

MODULES = ("dm-mod", "dm-writecache", "dm-delay", "dm-flakey")
LOG_BYTES = 256 << 20
DISKS = ("origin", "cache", "barrier", "cache-log", "origin-log")
"""By the number of the driver."""


class UserModeLinux(Machine):
    """A kernel built for user mode."""

    @classmethod
    def _places(cls, options: BootOptions) -> Mapping[str, Place]:
        cache_bytes = options.cache_bytes or options.disk_bytes
        sizes = [options.disk_bytes, cache_bytes, BARRIER_BYTES]
        if options.logs:
            sizes += [LOG_BYTES, LOG_BYTES]
        return {use: Place(file=use, size=size) for use, size in zip(DISKS, sizes, strict=False)}

    def _command(self, line: int) -> list[str]:
        logs = ("dm-log-writes",) if self.options.logs else ()
        modules = self.image.modules((*MODULES, *logs, *self.options.extra_modules))
        exchange = str(self.private.exchange)
        devices = {
            "disks": {
                use: f"ubd{letter}" for use, letter in zip(self.disks, "abcde", strict=False)
            },
            "line": "/sys/class/tty/ttyS0/dev",
            "exchange_mount": ["none", "hostfs", exchange],
        }
        init = self.private.guest_files(modules, devices)
        fast = self.private.fast
        return [
            *prefix(self.image),
            str(self.image.path),
            f"mem={self.options.memory_mib}M",
            *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"),
            *(f"ubd{number}={fast}/{use}" for number, use in enumerate(self.disks)),
            *("con0=null,fd:1", "con=null", f"ssl0=fd:{line}", "ssl=null"),
            *(f"uml_dir={fast}/", "umid=kernel", "log_buf_len=256K", "quiet"),
            *("seccomp=auto", "random.trust_cpu=on"),
        ]

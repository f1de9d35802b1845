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

MODULES = ("dm-mod", "dm-writecache", "dm-delay", "dm-flakey")


class UserModeLinux(Machine):
    """A kernel built for user mode."""

    @classmethod
    def _places(cls, options: BootOptions) -> Mapping[str, Place]:
        cache_bytes = options.cache_bytes or options.disk_bytes
        return {
            "origin": Place(file="origin", size=options.disk_bytes),
            "cache": Place(file="cache", size=cache_bytes),
            "barrier": Place(file="barrier", size=BARRIER_BYTES),
        }

    def _command(self, line: int) -> list[str]:
        modules = self.image.modules((*MODULES, *self.options.extra_modules))
        exchange = str(self.private.exchange)
        devices = {
            "disks": {"origin": "ubda", "cache": "ubdb", "barrier": "ubdc"},
            "line": "/sys/class/tty/ttyS0/dev",
            "exchange_mount": ["none", "hostfs", exchange],
        }
        init = self.private.guest_files(modules, devices)
        fast = self.private.fast
        return [
            str(self.image.path),
            f"mem={self.options.memory_mib}M",
            *("root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", f"init={init}"),
            *(f"ubd0={fast}/origin", f"ubd1={fast}/cache", f"ubd2={fast}/barrier"),
            *("con0=null,fd:1", "con=null", f"ssl0=fd:{line}", "ssl=null"),
            *(f"uml_dir={fast}/", "umid=kernel", "log_buf_len=256K", "quiet"),
            *("seccomp=auto", "random.trust_cpu=on"),
        ]

"""System calls that Python does not offer, and the kernel log.

Kernel facts: a constructor's error text goes only to the kernel log; newer kernels append the
errno in parentheses, of a number that is none the hash of a pointer. A library call made through
ctypes costs microseconds, a fork in user mode milliseconds.
"""

import ctypes
import errno
import glob
import os
import re
import time
from collections.abc import Iterable

FINIT_MODULE = {"x86_64": 313, "i686": 350}
IOPRIO_SET = {"x86_64": 251, "i686": 289}
BEST_EFFORT = 2 << 13 | 4
POWER_OFF = 0x4321FEDC
ALIASES = {"EOPNOTSUPP": "ENOTSUP", "EWOULDBLOCK": "EAGAIN", "EDEADLOCK": "EDEADLK"}
LOGGED_ERROR = re.compile(
    r"device-mapper: table: [0-9:]+: writecache: "
    r"(?P<text>.*?)(?: \((?:-E[A-Z0-9]+|-[0-9]+|[0-9a-f]{16})\))?$"
)
DEBIAN_BUILD = re.compile(r" Debian (?P<version>[0-9]+\.[0-9]+\.[0-9]+)-")

libc = ctypes.CDLL(None, use_errno=True)


def errno_name(number: int) -> str:
    """Return an errno's symbolic name, one name where there are aliases.

    >>> errno_name(95), errno_name(22)
    ('ENOTSUP', 'EINVAL')
    """
    name = errno.errorcode.get(number, str(number))
    return ALIASES.get(name, name)


def constructor_text(message: str) -> str | None:
    """Return what the constructor itself said in one log message, None if it said nothing.

    >>> constructor_text("device-mapper: table: 252:2: writecache: Invalid block size (-EINVAL)")
    'Invalid block size'
    >>> constructor_text("device-mapper: ioctl: error adding target to table")
    """
    match = LOGGED_ERROR.search(message)
    return match["text"] if match else None


def _checked(result: int) -> None:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def mount(source: str, target: str, kind: str, data: str | None = None) -> None:
    """mount(2) without flags."""
    text = None if data is None else data.encode()
    _checked(libc.mount(source.encode(), target.encode(), kind.encode(), 0, text))


def load_modules(modules: Iterable[tuple[str, str]]) -> None:
    """Insert modules (path, parameters) in this order; one that is there already is fine."""
    for path, parameters in modules:
        fd = os.open(path, os.O_RDONLY)
        try:
            _checked(libc.syscall(FINIT_MODULE[os.uname().machine], fd, parameters.encode(), 0))
        except OSError as error:
            if error.errno != errno.EEXIST:
                raise
        finally:
            os.close(fd)


def module_code(name: str) -> tuple[int, int]:
    """Return the address and size of a module in memory; zeros where it is built in.

    Kernel facts: a line of ``/proc/modules`` is name, size, users, who uses it, state, address.
    """
    with open("/proc/modules") as modules:
        for line in modules:
            words = line.split()
            if words[0] == name:
                return int(words[5], 16), int(words[1])
    return 0, 0


def symbol_address(name: str) -> int:
    """Return the address of a function of the kernel; 0 where it has none of that name.

    Kernel facts: a line of ``/proc/kallsyms`` is address, type, name, and the module's if it is in
    one.
    """
    with open("/proc/kallsyms") as symbols:
        for line in symbols:
            words = line.split()
            if words[2] == name:
                return int(words[0], 16)
    return 0


def kernel_version(release: str, build: str) -> str:
    """Return a kernel's version and flavour; Debian's ordinary releases do not say the version.

    Their releases carry only that of the kernel's interface. The flavour stays: an ordinary kernel
    and a user-mode one of the same version are not built alike.

    >>> kernel_version("6.1.0-50-amd64", "#1 SMP Debian 6.1.176-1 (2026-07-02)")
    '6.1.176-amd64'
    >>> kernel_version("6.12.101", "#1 Mon Jun 2 2025"), kernel_version("6.1.0-rc1+", "#2 SMP")
    ('6.12.101', '6.1.0-rc1+')
    """
    found = DEBIAN_BUILD.search(build)
    return f"{found['version']}-{release.rpartition('-')[2]}" if found else release


def device_numbers(pattern: str, seconds: float = 10.0) -> tuple[int, int]:
    """Return (major, minor) of the device whose `dev` file in sysfs matches; it may come late."""
    bound = time.monotonic() + seconds
    while not (found := glob.glob(pattern)):
        if time.monotonic() > bound:
            raise FileNotFoundError(errno.ENOENT, "the kernel shows no device", pattern)
        time.sleep(0.001)
    with open(found[0]) as dev:
        major, minor = dev.read().split(":")
    return int(major), int(minor)


def fix_io_priority() -> None:
    """Give all our requests the priority of the kernel's own.

    Otherwise it follows the scheduling policy, and the I/O scheduler holds requests of a lower
    class back while higher ones are queued, and then until a timer tells it to look again.
    """
    _checked(libc.syscall(IOPRIO_SET[os.uname().machine], 1, 0, BEST_EFFORT))


def set_io_scheduler(name: str, *disks: str) -> None:
    """Choose the I/O scheduler of disks ("major:minor")."""
    for dev in disks:
        with open(f"/sys/dev/block/{dev}/queue/scheduler", "w") as scheduler:
            scheduler.write(name)


def power_off() -> None:
    """End the kernel at once."""
    libc.reboot(POWER_OFF)


class KernelLog:
    """Reads what was logged since the last reading."""

    def __init__(self, path: str = "/dev/kmsg") -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.skip()

    def skip(self) -> None:
        """Forget everything logged so far."""
        os.lseek(self.fd, 0, os.SEEK_END)

    def constructor_error(self) -> str | None:
        """Return the last message of a constructor since the last reading, None without one."""
        found: str | None = None
        while True:
            try:
                record = os.read(self.fd, 8192).decode("utf-8", "replace")
            except BlockingIOError:
                return found
            except BrokenPipeError:
                continue  # records were overwritten before they could be read
            text = constructor_text(record.partition(";")[2].partition("\n")[0])
            found = text or found

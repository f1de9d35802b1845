"""The guest's only process: plays operations on a dm-writecache device and tells what it saw.

Runs as PID 1 inside a user-mode Linux, started as ``python -I -S guest.py CONFIG`` by a two-line
init script; it therefore stands alone (standard library, no import of this package) and does by
hand what insmod, mknod and dmsetup would do: forking is the dearest thing one can do in user mode.

Kernel facts it rests on
    * One processor, no preemption: while this process runs, nothing else does. ``sched_yield``
      lets every runnable kernel thread go first.
    * Both disks of the target are dm-linear devices over the ubd disks. They give any size without
      a new boot, and, as every bio of a bio-based device is counted from submission to completion
      (flushes too), their ``stat`` files say exactly whether I/O is in flight or was in flight
      since the last look. Queue limits stack unchanged, so requests are split as on a bare disk.
    * ``/proc/loadavg`` names the number of runnable tasks: 1 is this process alone.
    * The constructor's error text goes only to the kernel log.
    * Page faults are dear in user mode: one page-aligned buffer, touched once, serves all I/O.

Settled means, twice in a row: the same status, the same completion counts on both disks, nothing
in flight on them, no runnable task but this one. Between two such looks no I/O has begun or ended
and no thread is left that could start one, except from a timer: contents need no comparing.
"""

import ctypes
import errno
import fcntl
import gc
import hashlib
import json
import mmap
import os
import re
import struct
import sys
import termios
import time
import tty

HEADER = struct.Struct("=IIIIIIiIIIQ128s129s7x")  # struct dm_ioctl
TARGET_SPEC = struct.Struct("=QQiI16s")  # struct dm_target_spec
DM_CREATE, DM_REMOVE, DM_SUSPEND, DM_LOAD, DM_STATUS, DM_VERSIONS, DM_MESSAGE = 3, 4, 6, 9, 12, 13, 14
SUSPEND_FLAG, STATUS_TABLE_FLAG, SKIP_LOCKFS_FLAG = 1 << 1, 1 << 4, 1 << 10
BLKDISCARD = 0x1277
SYS_FINIT_MODULE = {"x86_64": 313, "i686": 350, "aarch64": 273}
SECTOR = 512
BUFFER_BYTES = 64 * 1024
ALIASES = {"EOPNOTSUPP": "ENOTSUP", "EWOULDBLOCK": "EAGAIN", "EDEADLOCK": "EDEADLK"}
MASK_64 = (1 << 64) - 1
LOG_ERROR = re.compile(r"device-mapper: table: [0-9:]+: writecache: (.*?)(?: \((?:-E?[A-Z0-9]+)\))?$")

libc = ctypes.CDLL(None, use_errno=True)


def errno_name(number):
    """Return the symbolic name that Python's `errno` gives first on every platform."""
    name = errno.errorcode.get(number, str(number))
    return ALIASES.get(name, name)


def checked(result):
    """Raise OSError when a libc call returned -1."""
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def mount(source, target, kind, data=None):
    """mount(2)."""
    checked(libc.mount(source.encode(), target.encode(), kind.encode(), 0, data and data.encode()))


def load_module(path):
    """Insert one module; one that is there already is fine."""
    fd = os.open(path, os.O_RDONLY)
    try:
        checked(libc.syscall(SYS_FINIT_MODULE[os.uname().machine], fd, b"", 0))
    except OSError as error:
        if error.errno != errno.EEXIST:
            raise
    finally:
        os.close(fd)


class DeviceMapper:
    """The ioctls of /dev/mapper/control, on one buffer that is used again and again."""

    def __init__(self, nodes):
        with open("/proc/misc") as misc:
            minor = next(int(line.split()[0]) for line in misc if "device-mapper" in line)
        path = nodes + "/control"
        os.mknod(path, 0o020600, os.makedev(10, minor))
        self.fd = os.open(path, os.O_RDWR)
        self.buffer = bytearray(BUFFER_BYTES)
        self.nodes = nodes

    def call(self, command, name, flags=0, payload=b"", targets=0):
        """Issue one ioctl; return (flags, dev, data) of the answer."""
        HEADER.pack_into(
            self.buffer, 0, 4, 0, 0, BUFFER_BYTES, HEADER.size, targets, 0, flags, 0, 0, 0, name, b""
        )
        end = HEADER.size + len(payload)
        self.buffer[HEADER.size : end + 1] = payload + b"\0"
        fcntl.ioctl(self.fd, 0xC138FD00 | command, self.buffer, True)
        fields = HEADER.unpack_from(self.buffer)
        return fields[7], fields[10], fields[4]

    def create(self, name):
        """Create a device without a table and a node for it; return (path, "major:minor")."""
        dev = self.call(DM_CREATE, name)[1]
        major, minor = os.major(dev), os.minor(dev)
        path = f"{self.nodes}/{name.decode()}"
        if os.path.exists(path):
            os.unlink(path)
        os.mknod(path, 0o060600, os.makedev(major, minor))
        return path, f"{major}:{minor}"

    def load(self, name, sectors, kind, params):
        """Load a table of one target into the inactive slot."""
        text = params.encode() + b"\0"
        size = TARGET_SPEC.size + len(text)
        spec = TARGET_SPEC.pack(0, sectors, 0, size + -size % 8, kind)
        self.call(DM_LOAD, name, 0, spec + text + bytes(8), 1)

    def replace(self, name, sectors, kind, params):
        """Load, suspend without freezing a filesystem, resume."""
        self.load(name, sectors, kind, params)
        self.call(DM_SUSPEND, name, SUSPEND_FLAG | SKIP_LOCKFS_FLAG)
        self.call(DM_SUSPEND, name)

    def text(self, name, flags=0):
        """Return the status line (or the table line) of the device's only target."""
        start = self.call(DM_STATUS, name, flags)[2] + TARGET_SPEC.size
        return self.buffer[start : self.buffer.index(0, start)].decode()

    def target_version(self, wanted):
        """Return the version of a target as text, None when it is not registered."""
        at = self.call(DM_VERSIONS, b"")[2]
        while True:
            step, *version = struct.unpack_from("=4I", self.buffer, at)
            name = self.buffer[at + 16 : self.buffer.index(0, at + 16)]
            if name == wanted:
                return ".".join(map(str, version))
            if not step:
                return None
            at += step


class Disk:
    """One of the target's two disks: a dm-linear device of any size over a ubd disk."""

    def __init__(self, mapper, name, ubd):
        self.mapper, self.name, self.ubd = mapper, name, ubd
        self.dev = mapper.create(name)[1]
        self.stat_fd = os.open(f"/sys/dev/block/{self.dev}/stat", os.O_RDONLY)
        self.resize(8)

    def resize(self, sectors):
        """Make it the first `sectors` sectors of the ubd disk."""
        self.mapper.replace(self.name, sectors, b"linear", f"{self.ubd} 0")

    def counts(self):
        """Return the completion counts that change whenever I/O ended, and the number in flight."""
        fields = os.pread(self.stat_fd, 256, 0).split()
        return (fields[0], fields[2], fields[4], fields[6], *fields[11:14:2]), int(fields[8])


class KernelLog:
    """Reads what was logged since the last reading."""

    def __init__(self):
        self.fd = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
        self.skip()

    def skip(self):
        """Forget everything logged so far."""
        os.lseek(self.fd, 0, os.SEEK_END)

    def constructor_error(self):
        """Return the last message of a constructor since the last reading, None without one."""
        found = None
        while True:
            try:
                record = os.read(self.fd, 8192).decode("utf-8", "replace")
            except BlockingIOError:
                return found
            except BrokenPipeError:
                continue  # records were overwritten before they could be read
            match = LOG_ERROR.search(record.partition(";")[2].partition("\n")[0])
            if match:
                found = match.group(1)

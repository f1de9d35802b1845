"""Device-mapper ioctls without libdevmapper.

Every call uses one buffer again and again: the header (`struct dm_ioctl`, version 4.0.0, which
every kernel since 2.6 accepts), then the payload. The kernel writes its answer over it.
"""

import fcntl
import os
import struct
from collections.abc import Sequence

HEADER = struct.Struct("=IIIIIIiIIIQ128s129s7x")
TARGET_SPEC = struct.Struct("=QQiI16s")
IOCTL_BASE = 0xC0000000 | HEADER.size << 16 | 0xFD << 8
CREATE, REMOVE, SUSPEND, LOAD, CLEAR, STATUS, VERSIONS, MESSAGE = 3, 4, 6, 9, 10, 12, 13, 14
SUSPEND_FLAG = 1 << 1
STATUS_TABLE_FLAG = 1 << 4
SKIP_LOCKFS_FLAG = 1 << 10
BUFFER_BYTES = 64 * 1024


def pack_request(
    buffer: bytearray, name: bytes, flags: int = 0, payload: bytes = b"", targets: int = 0
) -> None:
    """Write one request into the buffer: header, payload, a terminating zero."""
    HEADER.pack_into(
        buffer, 0, 4, 0, 0, len(buffer), HEADER.size, targets, 0, flags, 0, 0, 0, name, b""
    )
    end = HEADER.size + len(payload)
    if end >= len(buffer):
        raise OverflowError("the request does not fit the ioctl buffer")
    buffer[HEADER.size : end + 1] = payload + b"\0"


def pack_target(first: int, sectors: int, kind: bytes, params: str) -> bytes:
    """Return one target of a load's payload."""
    text = params.encode() + b"\0"
    size = TARGET_SPEC.size + len(text)
    padding = -size % 8
    return TARGET_SPEC.pack(first, sectors, 0, size + padding, kind) + text + bytes(padding)


class DeviceMapper:
    """The control node, and device nodes beside it in a directory of our own."""

    def __init__(self, nodes: str) -> None:
        with open("/proc/misc") as misc:
            minor = next(int(line.split()[0]) for line in misc if "device-mapper" in line)
        path = f"{nodes}/control"
        os.mknod(path, 0o020600, os.makedev(10, minor))
        self.fd = os.open(path, os.O_RDWR)
        self.nodes = nodes
        self.buffer = bytearray(BUFFER_BYTES)

    def call(
        self, command: int, name: bytes, flags: int = 0, payload: bytes = b"", targets: int = 0
    ) -> int:
        """Issue one ioctl; the answer is in the buffer.  Its result is 0, or a kernel's mistake."""
        pack_request(self.buffer, name, flags, payload, targets)
        result: int = fcntl.ioctl(self.fd, IOCTL_BASE | command, self.buffer, True)
        return result

    def create(self, name: bytes) -> tuple[str, str]:
        """Create a device without a table, and its node; return (path, "major:minor")."""
        self.call(CREATE, name)
        dev: int = HEADER.unpack_from(self.buffer)[10]
        # dm_ioctl carries the kernel's own encoding, which is also that of st_rdev
        path = f"{self.nodes}/{name.decode()}"
        if os.path.exists(path):
            os.unlink(path)
        os.mknod(path, 0o060600, dev)
        return path, f"{os.major(dev)}:{os.minor(dev)}"

    def remove(self, name: bytes) -> None:
        """Remove a device that nobody holds open."""
        self.call(REMOVE, name)

    def load(self, name: bytes, sectors: int, kind: bytes, params: str) -> int:
        """Construct a table of one target in the inactive slot; see `load_all`."""
        return self.load_all(name, [(sectors, kind, params)])

    def load_all(self, name: bytes, targets: Sequence[tuple[int, bytes, str]]) -> int:
        """Construct a table of several targets, each with its sectors, behind each other.

        A result other than 0 is what a constructor has returned that is no errno: there is no
        table.
        """
        payload, first = b"", 0
        for sectors, kind, params in targets:
            payload += pack_target(first, sectors, kind, params)
            first += sectors
        return self.call(LOAD, name, 0, payload, len(targets))

    def suspend(self, name: bytes) -> None:
        """Suspend without freezing a filesystem; success where it is suspended already."""
        self.call(SUSPEND, name, SUSPEND_FLAG | SKIP_LOCKFS_FLAG)

    def resume(self, name: bytes) -> None:
        """Resume, with the table in the inactive slot if there is one."""
        self.call(SUSPEND, name)

    def clear(self, name: bytes) -> None:
        """Throw the table in the inactive slot away."""
        self.call(CLEAR, name)

    def message(self, name: bytes, text: str) -> None:
        """Send a message to the target at sector 0."""
        self.call(MESSAGE, name, 0, bytes(8) + text.encode())

    def text(self, name: bytes, flags: int = 0) -> str:
        """Return the status line (or with STATUS_TABLE_FLAG the table) of the only target."""
        self.call(STATUS, name, flags)
        start = int.from_bytes(self.buffer[16:20], "little") + TARGET_SPEC.size
        return self.buffer[start : self.buffer.index(0, start)].decode()

    def target_version(self, wanted: bytes) -> str | None:
        """Return a target's version, None when no such target is registered."""
        self.call(VERSIONS, b"")
        at = int.from_bytes(self.buffer[16:20], "little")
        while True:
            step, *version = struct.unpack_from("=4I", self.buffer, at)
            name = bytes(self.buffer[at + 16 : self.buffer.index(0, at + 16)])
            if name == wanted:
                return ".".join(map(str, version))
            if not step:
                return None
            at += step

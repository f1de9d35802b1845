"""The first files of an emulated kernel: as much as it takes to see the host's.

A new-style cpio archive with busybox, the modules of the 9p filesystem, and a script that mounts
the host's ``/`` and goes on there.
"""

from collections.abc import Iterable
from pathlib import Path

MODULES = ("virtio_pci", "9pnet_virtio", "9p")
ROOT_TAG, EXCHANGE_TAG = "root", "exchange"
MOUNT_DATA = "trans=virtio,version=9p2000.L,msize=262144"
INIT_VARIABLE = "guest_init"
"""A word of the boot line that the kernel does not know becomes the first program's environment."""
SCRIPT = f"""#!/bin/busybox sh
for module in /modules/*; do /bin/busybox insmod $module; done
/bin/busybox mount -t 9p -o ro,cache=loose,{MOUNT_DATA} {ROOT_TAG} /root
/bin/busybox mount -t devtmpfs none /root/dev
exec /bin/busybox switch_root /root "${INIT_VARIABLE}"
"""
DIRECTORY, PROGRAM = 0o040755, 0o100755
HEADER_BYTES = 110


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _member(name: str, mode: int, data: bytes = b"", inode: int = 0) -> bytes:
    """Return one file of the archive: header and name, then data, each padded to four bytes."""
    text = name.encode() + b"\0"
    #        ino    mode  uid gid links mtime size     device and special device     name's  check
    fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(text), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    assert len(header) == HEADER_BYTES
    return _padded(header + text) + _padded(data)


def archive(files: Iterable[tuple[str, int, bytes]]) -> bytes:
    """Return a cpio archive of (name, mode, content).

    >>> data = archive([("a", DIRECTORY, b""), ("a/b", PROGRAM, b"hello")])
    >>> data[:6], len(data) % 4, data.count(b"hello")
    (b'070701', 0, 1)
    """
    members = [_member(*file, inode) for inode, file in enumerate(files, 1)]
    return b"".join(members) + _member("TRAILER!!!", 0)


def initramfs(busybox: Path, modules: Iterable[Path]) -> bytes:
    """Return the archive; the modules are inserted in this order."""
    numbered = enumerate(modules)
    return archive(
        [
            *((name, DIRECTORY, b"") for name in ("bin", "dev", "modules", "root")),
            ("bin/busybox", PROGRAM, busybox.read_bytes()),
            ("init", PROGRAM, SCRIPT.encode()),
            *((f"modules/{n:02}-{path.name}", PROGRAM, path.read_bytes()) for n, path in numbered),
        ]
    )

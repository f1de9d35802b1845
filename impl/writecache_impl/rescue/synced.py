"""A finding shown with what Linux itself offers: ext4, fsync, and kill -9.

Files are written to ext4 on a writecache as careful programs do it: written, synced, renamed, the
directory synced.  The kernel is killed soon after the last fsync has come back; a fresh kernel
activates what the disks hold, mounts it, and tells of the files that are there.  The disks had
taken all writes: nothing is lost but what the cache itself forgets.

To know that the files, the kill and the mount are as they should be, all is done once more with a
flush of the device after each fsync: then nothing may be lost.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from writecache_impl.linux import BootOptions, KernelUnavailable, Machine, locate, start
from writecache_impl.rescue import guest

N_FILES = 3
ATTEMPTS = 5
"""Kills: one comes too late where the cache commits by itself first, a second after a write."""
BLOCK_SIZE = 4096
_MODULES = ("crc32c-generic", "ext4")
"""That an ordinary kernel needs for ext4; user-mode kernels have it built in."""
_OPTIONS = BootOptions(
    entry="shell", disk_bytes=64 << 20, cache_bytes=16 << 20, extra_modules=_MODULES
)


class Lost(NamedTuple):
    """What became of the files."""

    release: str
    lost: tuple[str, ...]
    """Files that had been synced and are not there."""
    lines: tuple[str, ...]
    """What was done, and what was seen."""


def show(kernel: str, modules: str | None = None) -> Lost:
    """Kill a kernel after an fsync, up to `ATTEMPTS` times; what the last kill took.

    Raises KernelUnavailable without a kernel or without mke2fs.
    """
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # where a user has none
    mke2fs = shutil.which("mke2fs", path=path)
    if mke2fs is None:
        raise KernelUnavailable("mke2fs is not installed (package e2fsprogs)")
    with tempfile.TemporaryDirectory(prefix="synced-") as name:
        empty = Path(name) / "disk.img"
        with empty.open("wb") as file:
            file.truncate(_OPTIONS.disk_bytes)
        subprocess.run([mke2fs, "-q", "-t", "ext4", "-b", str(BLOCK_SIZE), str(empty)], check=True)
        disk = empty.read_bytes()
    lines: list[str] = []
    release, lost = "", list[str]()
    for _ in range(ATTEMPTS):
        release, lost = _once(kernel, modules, disk, "synced", lines)
        if lost:
            break
    _, other = _once(kernel, modules, disk, "flushed", lines)
    if other:
        lines.append("with a flush nothing should be lost: this is something else than the finding")
        lost = []
    return Lost(release, tuple(lost), tuple(lines))


def _once(
    kernel: str, modules: str | None, disk: bytes, how: str, lines: list[str]
) -> tuple[str, list[str]]:
    image = locate(kernel, modules)
    with start(image, _OPTIONS) as machine:
        machine.disks["origin"][:] = disk
        pid = int(machine.control.recv(64))
        synced: dict[str, str] = {}
        for name, digest in _told(machine, how, str(N_FILES)):
            synced[name] = digest
            if len(synced) == N_FILES:
                break
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.2)
        left = machine.disks["cache"][:], machine.disks["origin"][:]
    after = ", and the device flushed once more" if how == "flushed" else ""
    lines.append(f"{N_FILES} files are written to ext4, each synced{after}: {', '.join(synced)}")
    lines.append("kill -9, at once; a fresh kernel activates and mounts what the disks hold")
    with start(image, _OPTIONS) as machine:
        machine.disks["cache"][:], machine.disks["origin"][:] = left
        int(machine.control.recv(64))
        found = dict(_told(machine, "look"))
    lost = []
    for name, digest in synced.items():
        good = digest == hashlib.sha256(guest.content(name)).hexdigest() == found.get(name)
        lost += [] if good else [name]
        lines.append(f"{name}: {'there' if good else 'LOST, though fsync had returned'}")
    return image.release or "", lost


def _told(machine: Machine, *what: str) -> Iterator[tuple[str, str]]:
    """Start the guest's program, and take the names and digests that it tells of."""
    machine.receive(machine.options.boot_s)
    program = str(Path(guest.__file__).resolve())
    machine.send([sys.executable, "-I", "-S", program, str(BLOCK_SIZE), *what])
    word = "found" if what[0] == "look" else "synced"
    rest = ""
    until = time.monotonic() + machine.options.boot_s
    while time.monotonic() < until:
        ended = machine.answered(0.01)
        *told, rest = (rest + machine.console_news()).split("\n")
        for line in told:
            words = line.split()
            if len(words) == 3 and words[0] == word:
                if words[1] == "all":
                    return
                yield words[1], words[2]
        if ended:
            break
    raise KernelUnavailable(
        "the guest told too little: " + machine.console().strip()[-200:].splitlines()[-1]
    )

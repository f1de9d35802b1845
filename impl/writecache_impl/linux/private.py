"""What one running kernel has for itself: directories, disks, the guest's configuration.

A disk is a file, or a piece of the file that is the guest's memory.

Kernel facts: devtmpfs hides the host's ``/dev`` from the guest, so what the guest must see lies
elsewhere; what only the kernel's process opens (its memory, the disks) lies in memory where there
is room. A boot line is split at blanks, a disk's name at commas.
"""

import json
import mmap
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from .errors import KernelUnavailable

HERE = Path(__file__).resolve().parent
PLAIN_PATH = re.compile(r"[\w./+-]+")
ENTRY = "import sys; sys.path.append({here!r}); from guest.{module} import main; main({config!r})"
BARRIER_BYTES = 64 * 1024
SMALLEST_CACHE_BYTES = 64 << 20
"""What a machine chooses is not smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootOptions:
    """How a kernel is run."""

    memory_mib: int = 192
    disk_bytes: int = 1 << 30
    cache_bytes: int | None = None
    """The cache's size, rounded up where it is persistent memory (None: the machine chooses)."""
    boot_s: float = 120.0
    settle_s: float = 5.0
    exclusive: bool = True
    """An operation runs with real-time priority: more of the same from run to run."""
    scheduler: str | None = None
    """The disks' I/O scheduler (None: the kernel's default)."""
    logs: bool = False
    """There are disks for logs of what is written (`guest.logs`)."""
    poison: bool = False
    """Persistent memory can have memory errors (`machinecheck`)."""
    extra_modules: tuple[str, ...] = ()
    entry: str = "serve"
    """Module of the guest package whose `main` is run."""

    def with_disks_of(self, cache_bytes: int, origin_bytes: int) -> Self:
        """Return options whose disks hold at least so much."""
        while self.disk_bytes < origin_bytes:
            self = replace(self, disk_bytes=2 * self.disk_bytes)
        while (self.cache_bytes or SMALLEST_CACHE_BYTES) < cache_bytes:
            doubled = 2 * (self.cache_bytes or SMALLEST_CACHE_BYTES)
            self = replace(self, cache_bytes=doubled)
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a disk's bytes are: in a file, after `offset` bytes and before `tail` more."""

    file: str
    size: int
    offset: int = 0
    tail: int = 0

    @property
    def file_bytes(self) -> int:
        """The file's whole size."""
        return self.offset + self.size + self.tail


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


class Private:
    """The directories of one boot, and its disks as files mapped into this process."""

    def __init__(self, options: BootOptions, places: Mapping[str, Place]) -> None:
        self.work = _visible_directory()
        self.fast = _memory_directory(2 * options.memory_mib << 20, self.work)
        self.exchange = self.work / "exchange"
        """A directory that the guest may write to."""
        self.options, self.places = options, places
        self.disks: dict[str, mmap.mmap] = {}
        try:
            for name, place in places.items():
                with (self.fast / place.file).open("w+b") as file:
                    file.truncate(place.file_bytes)
                    self.disks[name] = mmap.mmap(file.fileno(), place.size, offset=place.offset)
        except BaseException:
            self.close()
            raise

    def guest_files(
        self,
        modules: Iterable[Path],
        devices: Mapping[str, Any],
        parameters: Mapping[str, str] | None = None,
    ) -> Path:
        """Write what the guest finds, told where its devices are; return the init script.

        `parameters` are those of modules, by the file's name.
        """
        nodes = self.work / "nodes"
        nodes.mkdir()
        self.exchange.mkdir()
        config = self.work / "config.json"
        config.write_text(
            json.dumps(
                {
                    "nodes": str(nodes),
                    "exchange": str(self.exchange),
                    "modules": [
                        (str(path), (parameters or {}).get(path.name, "")) for path in modules
                    ],
                    **devices,
                    "settle_s": self.options.settle_s,
                    "exclusive": self.options.exclusive,
                    "scheduler": self.options.scheduler,
                }
            )
        )
        code = ENTRY.format(here=str(HERE), module=self.options.entry, config=str(config))
        init = self.work / "init"
        python = shlex.join([sys.executable, "-I", "-S", "-B", "-c", code])
        init.write_text(f"#!/bin/sh\nexec {python}\n")
        init.chmod(0o700)
        return init

    def set_disk(self, name: str, image: bytes) -> None:
        """Make a disk hold `image`, then zeros; nothing of the guest may be using it."""
        place = self.places[name]
        if place.offset:  # a hole gives the memory back, and reads as zero
            self.disks[name].madvise(mmap.MADV_REMOVE)
        else:  # so does a new length, on any filesystem
            os.truncate(self.fast / place.file, 0)
            os.truncate(self.fast / place.file, place.size)
        self.disks[name][: len(image)] = image

    def close(self) -> None:
        """Give everything back."""
        for disk in self.disks.values():
            disk.close()
        shutil.rmtree(self.work, ignore_errors=True)
        shutil.rmtree(self.fast, ignore_errors=True)

"""Files whose power fails: of what was written since a file's last sync any sectors may be lost.

What `os.pwrite` writes is played to the real file, so that it can be read; at the crash the file
gets back what it held at its last sync, and of what was written since a drawn set of sectors.
"""

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

SECTOR = 512


class PowerFailure(BaseException):
    """Now."""


class Powerless:
    """Counts writes and syncs, and fails at one of them."""

    def __init__(self, rng: random.Random, fail_at: int | None) -> None:
        self.rng, self.fail_at = rng, fail_at
        self.n_calls = 0
        self.pending: dict[tuple[int, int], list[tuple[int, bytes, bytes]]] = {}
        self._sizes: dict[tuple[int, int], int] = {}
        self._paths: dict[tuple[int, int], str] = {}
        self._pwrite, self._fsync = os.pwrite, os.fsync

    def _count(self) -> None:
        self.n_calls += 1
        if self.n_calls == self.fail_at:
            raise PowerFailure

    def _key(self, fd: int) -> tuple[int, int]:
        found = os.fstat(fd)
        key = found.st_dev, found.st_ino
        self._paths[key] = os.readlink(f"/proc/self/fd/{fd}")
        return key

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        """Write, and remember what was there."""
        self._count()
        old, key = os.pread(fd, len(data), offset), self._key(fd)
        self._sizes.setdefault(key, os.fstat(fd).st_size)
        self.pending.setdefault(key, []).append((offset, old, bytes(data)))
        return self._pwrite(fd, data, offset)

    def pwritev(self, fd: int, parts: list[bytes], offset: int) -> int:
        """The same of several pieces."""
        return self.pwrite(fd, b"".join(parts), offset)

    def fsync(self, fd: int) -> None:
        """What was written is durable."""
        self._count()
        self.pending.pop(self._key(fd), None)
        self._sizes.pop(self._key(fd), None)

    def crash(self) -> None:
        """Lose some of what was not."""
        for key, writes in self.pending.items():
            path = self._paths[key]
            if not os.path.exists(path):
                continue
            with open(path, "r+b") as file:
                for offset, old, _ in reversed(writes):
                    file.seek(offset)
                    file.write(old)
                file.truncate(self._sizes.pop(key))
                for offset, _, new in writes:
                    for at in range(0, len(new), SECTOR):
                        if self.rng.random() < 0.5:
                            file.seek(offset + at)
                            file.write(new[at : at + SECTOR])


@contextmanager
def power_fails(
    monkeypatch: pytest.MonkeyPatch, rng: random.Random, fail_at: int | None
) -> Iterator[Powerless]:
    """Run the block with a power that fails at the so-manieth write or sync."""
    power = Powerless(rng, fail_at)
    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", power.pwrite)
        patched.setattr(os, "pwritev", power.pwritev)
        patched.setattr(os, "fsync", power.fsync)
        with suppress(PowerFailure):
            yield power
    power.crash()

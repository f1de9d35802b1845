"""The engine: a writeback cache over two files or block devices.

    with Engine.open("s ORIGIN CACHE 4096 0", cache="cache.img", origin="disk.img") as engine:
        engine.write(0, data)
        engine.flush()

Offsets and sizes are bytes, and multiples of the block size.  Every method may be called by any
thread at any time.  A request returns when it is done; what it promises then is what a block device
promises: a read returns what was written last, a flush makes durable what had been written before.

What the engine refuses or fails is an `EngineError`, which is an OSError with the errno that Linux
has for it.  After an I/O error reads go on and are right, everything else fails with EIO, and stays
so until `reload`.
"""

import errno
import os
from collections.abc import Mapping
from types import TracebackType
from typing import Self

from writecache_impl.engine import commit
from writecache_impl.engine.background import Background
from writecache_impl.engine.clients import Clients
from writecache_impl.engine.config import LIKE, parse_table
from writecache_impl.engine.construct import FASTEST, construct
from writecache_impl.engine.devices import Device, FileDevice, MappedDevice
from writecache_impl.engine.entries import Entries
from writecache_impl.engine.errors import ClosedError, EngineError, UnusableDeviceError
from writecache_impl.engine.files import same_file
from writecache_impl.engine.messages import send
from writecache_impl.engine.resume import resume
from writecache_impl.engine.state import WRITEBACK, Cache
from writecache_impl.engine.threads import Threads
from writecache_spec.numbers import split_words
from writecache_spec.profile import Profile

Path = str | os.PathLike[str]


class Engine(Clients):
    """Two devices, and what is loaded over them."""

    def __init__(
        self,
        devices: Mapping[str, Device],
        *,
        background: Background | None = None,
        profile: Profile = LIKE,
        entries: type[Entries] = FASTEST,
        strict: bool = True,
    ) -> None:
        """Over devices by the names that tables have for them; nothing is loaded yet.

        `background` does the work behind requests, by default a thread.  `profile` is the kernel
        whose table lines are read.  With `strict` a cache with blocks for behind the origin's end
        is refused, which Linux would drop; and what was loaded goes on, if it can, where another
        table's resume fails, while device-mapper keeps the new one, suspended.
        """
        super().__init__(background or Threads(profile.environment.hz))
        self.devices = dict(devices)
        self.profile = profile
        self._entries = entries
        self._strict = strict

    @classmethod
    def open(
        cls,
        table: str,
        cache: Path,
        origin: Path,
        *,
        mapped: bool = True,
        preallocate: bool = True,
        strict: bool = True,
    ) -> Self:
        """Lock two files or block devices, load a table over them, and resume.

        Whatever names the table has for them are theirs.  Without `mapped` the cache is read and
        written by system calls, which report what a mapping dies of.  `preallocate` gives a cache
        in a regular file all its blocks, as soon as it is not refused.

        Raises UnusableDeviceError, or RefusedError with the constructor's own message.
        """
        if same_file(cache, origin):
            raise UnusableDeviceError(errno.EINVAL, "cache and origin are the same file")
        opened: list[Device] = []
        engine: Self | None = None
        try:
            opened.append(MappedDevice(cache, preallocate) if mapped else FileDevice(cache))
            opened.append(FileDevice(origin))
            names = ["ORIGIN", "CACHE", *split_words(table)[1:3]]
            known = dict(zip(names, reversed(opened * 2), strict=False))
            engine = cls(known, strict=strict)
            engine.reload(table)
        except BaseException:
            if engine is not None:
                engine.abandon()
            for device in opened:
                device.close()
            raise
        return engine

    def reload(self, table: str) -> None:
        """Load a table and resume: the first one, or another one in place of what is loaded.

        The new one is constructed while the old one is live; a refusal leaves that as it is.
        Raises RefusedError; UnusableDeviceError where the metadata cannot be read: what was loaded
        goes on if it can; or, with the device suspended, where the origin is no whole blocks.
        """
        with self.lock:
            new = construct(parse_table(table, self.devices, self.profile), self._entries)
            if self._wc is not None:
                self._suspend(self._wc)
            if not new.origin.size:
                raise UnusableDeviceError(errno.EINVAL, f"{new.origin.name} is empty")
            if new.origin.size % new.config.block_size:
                raise UnusableDeviceError(errno.EINVAL, "the origin is no whole blocks long")
            self.background.attach(new)
            try:
                resume(new, self._strict)
            except BaseException:
                if not self._strict:
                    self._wc = new
                elif self._wc is not None:
                    self.background.attach(self._wc)
                    resume(self._wc, self._strict)
                raise
            self._wc = new
            new.wake()

    def suspend(self) -> None:
        """Commit, let all work end, and let requests wait from now on; nothing if it is so."""
        with self.lock:
            self._suspend(self._loaded())

    def resume(self) -> None:
        """Let requests go on; nothing if they do."""
        with self.lock:
            wc = self._loaded()
            if wc.suspended:
                resume(wc, self._strict)
                wc.wake()

    def message(self, *words: str) -> None:
        """Send a message and wait for its end; raises RequestError."""
        with self.lock:
            send(self._loaded(), self.background, words)

    def status(self) -> str:
        """The status line of 1.6.0: error, blocks, free, under writeback, and ten counters."""
        with self.lock:
            wc = self._loaded()
            entries = wc.entries
            fields = (int(wc.error), wc.config.n_blocks, entries.n_free, wc.writeback_size)
            return " ".join(map(str, (*fields, *wc.stats)))

    def table(self) -> str:
        """The table line, as device-mapper shows it."""
        with self.lock:
            return self._loaded().config.named.line

    @property
    def size(self) -> int:
        """Bytes of the device that clients see: the origin's."""
        return self._loaded().origin.size

    @property
    def block_size(self) -> int:
        """Bytes in a block: requests are whole blocks."""
        return self._loaded().config.block_size

    def close(self, writeback: bool = False) -> None:
        """Commit, let all work end, with `writeback` bring everything home, and let go of it all.

        Raises RequestError where that failed; the devices are let go of all the same.  What was
        durable is; a cache that is not written back can be resumed, here or by Linux.
        """
        try:
            if self._wc is not None:
                with self.lock:
                    self._wc.flush_on_suspend |= writeback
                    self._suspend(self._wc)
                    if self._wc.error:
                        raise EngineError(errno.EIO, self._wc.complaint or "an error was met")
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of everything as a crash would: nothing is committed, nothing written back."""
        with self.lock:
            self._wc = None
        self.background.stop()
        for device in self.devices.values():
            device.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _loaded(self) -> Cache:
        if self._wc is None:
            raise ClosedError(errno.ENODEV, "the engine is closed")
        return self._wc

    def _suspend(self, wc: Cache) -> None:
        """With the lock held."""
        if wc.suspended:
            return
        wc.suspended = True
        self.background.wait_until(lambda: not wc.in_flight)
        wc.autocommit_at = wc.max_age_at = None
        commit.flush(wc)
        writes_all = wc.flush_on_suspend
        if writes_all:
            wc.flush_on_suspend = False
            wc.writeback_all += 1
            wc.enqueue(WRITEBACK)
        wc.kick()
        self.background.wait_for_queue(drain=True)
        wc.writeback_all -= writes_all
        self.background.wait_until(lambda: not wc.writeback_size)

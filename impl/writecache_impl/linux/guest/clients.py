"""Clients of the device: what one asks for, and several that begin at once.

Kernel facts: page faults are dear in user mode, so one page-aligned buffer that was touched once
serves all I/O of a client; direct bios of up to 1 MiB reach the target whole. A thread inherits its
scheduling policy from the one that starts it.
"""

import fcntl
import hashlib
import mmap
import os
import struct
import threading
from collections.abc import Sequence
from typing import Any

from .kernel import errno_name

SECTOR = 512
BLKDISCARD = 0x1277
MASK_64 = (1 << 64) - 1
Step = dict[str, Any]


def fill(buffer: "mmap.mmap | bytearray", sector: int, count: int, tag: int) -> None:
    """Write the content of `count` sectors from `sector` on: each 32 times (tag, sector)."""
    words = struct.Struct("<QQ")
    for index in range(count):
        pair = words.pack(tag & MASK_64, (sector + index) & MASK_64)
        buffer[index * SECTOR : (index + 1) * SECTOR] = pair * 32


class Client:
    """One client and its buffer; a request is prepared, done, and described."""

    def __init__(self, size: int = 1 << 20) -> None:
        self._allocate(size)

    def _allocate(self, size: int) -> None:
        self.buffer = mmap.mmap(-1, size)
        self.buffer.write(bytes(size))
        self.view = memoryview(self.buffer)

    def request(self, fd: int, request: Sequence[Any]) -> Step:
        """Do one request and describe what it returned."""
        self.prepare(request)
        return self.describe(request, self.do(fd, request))

    def prepare(self, request: Sequence[Any]) -> None:
        """Make the buffer ready: what is to be written, or zeros to be read over."""
        kind, *arguments = request
        if kind not in ("write", "write_dsync", "read"):
            return
        size = arguments[1] * SECTOR
        if size > len(self.view):
            self._allocate(size)
        if kind == "read":
            # What a kernel does not fill in must not depend on what was there before.
            self.view[:size] = bytes(size)
        else:
            fill(self.buffer, *arguments)

    def do(self, fd: int, request: Sequence[Any]) -> "int | OSError":
        """Do it: bytes that were read or written, or what went wrong."""
        kind, *arguments = request
        try:
            if kind == "flush":
                os.fsync(fd)
                return 0
            start, size = (number * SECTOR for number in arguments[:2])
            if kind == "discard":
                fcntl.ioctl(fd, BLKDISCARD, struct.pack("=QQ", start, size))
                return 0
            window = [self.view[:size]]
            if kind == "read":
                return os.preadv(fd, window, start)
            return os.pwritev(fd, window, start, os.RWF_DSYNC if kind == "write_dsync" else 0)
        except OSError as error:
            return error

    def describe(self, request: Sequence[Any], result: "int | OSError") -> Step:
        """What a vector says of it."""
        if isinstance(result, OSError):
            return {"errno": errno_name(result.errno or 0)}
        seen: Step = {}
        kind = request[0]
        if kind not in ("flush", "discard") and result != request[2] * SECTOR:
            seen["short"] = result
        if kind == "read":
            seen["read"] = hashlib.sha256(self.view[:result]).hexdigest()[:16]
        return seen


class Crowd:
    """Clients that begin at once; each does one request, or several one after the other."""

    def __init__(self) -> None:
        self.clients: list[Client] = []

    def request(self, fd: int, scripts: Sequence[Sequence[Any]]) -> "list[Step | list[Step]]":
        """Do what each client is to do, and describe what it returned, in their order."""
        while len(self.clients) < len(scripts):
            self.clients.append(Client())
        crowd = list(zip(self.clients, scripts, strict=False))
        results: list[Step | list[Step]] = [{} for _ in scripts]
        begin = threading.Event()

        def live(number: int, client: Client, script: Sequence[Any]) -> None:
            begin.wait()
            if isinstance(script[0], str):
                outcome = client.do(fd, script)
                results[number] = client.describe(script, outcome)
            else:
                results[number] = [client.request(fd, request) for request in script]

        threads = [
            threading.Thread(target=live, args=(number, client, script))
            for number, (client, script) in enumerate(crowd)
        ]
        for client, script in crowd:
            if isinstance(script[0], str):
                client.prepare(script)
        for thread in threads:
            thread.start()
        begin.set()
        for thread in threads:
            thread.join()
        return results

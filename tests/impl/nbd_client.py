"""A small NBD client, written from the protocol and not from the server."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from commands import program_line

from writecache_impl.engine import Engine
from writecache_impl.nbd import Export, Server, listen_unix

BLOCK = 4096
N_BLOCKS = 256
SIZE = N_BLOCKS * BLOCK
TABLE = "s ORIGIN CACHE 4096 0"
READ, WRITE, DISC, FLUSH, TRIM, ZEROES = 0, 1, 2, 3, 4, 6
FUA, NO_HOLE, DF = 1, 2, 4
EINVAL, ENOSPC = 22, 28
LONGEST = 2**25
GREETING = bytes.fromhex("4e42444d41474943 49484156454f5054 0003")


class GoneError(Exception):
    """The server has ended the connection."""


class RefusedError(Exception):
    """A reply with an error: the protocol's number."""


def header(
    command: int,
    offset: int = 0,
    length: int = 0,
    flags: int = 0,
    cookie: int = 1,
    magic: int = 0x25609513,
) -> bytes:
    return struct.pack(">IHHQQI", magic, flags, command, cookie, offset, length)


def option(number: int, data: bytes = b"", magic: int = 0x49484156454F5054) -> bytes:
    return struct.pack(">QII", magic, number, len(data)) + data


def info(name: bytes = b"", *kinds: int) -> bytes:
    """The data of INFO and GO."""
    lengths = struct.pack(">I", len(name)), struct.pack(f">H{len(kinds)}H", len(kinds), *kinds)
    return lengths[0] + name + lengths[1]


class Client:
    """A connection; `go` negotiates, without it the greeting alone is read."""

    def __init__(
        self, address: str | tuple[str, int], *, structured: bool = False, go: bool = True
    ) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(20)
        self.socket.connect(address)
        self.structured = False
        self.size = 0
        try:
            assert self.take(18) == GREETING
            if go:
                self.send(struct.pack(">I", 3))
                if structured:
                    assert self.ask(8) == [(1, b"")]
                    self.structured = True
                self.go()
        except BaseException:
            self.socket.close()
            raise

    def go(self) -> None:
        replies = self.ask(7, info(b"", 3))
        assert [kind for kind, _ in replies] == [3, 3, 1]
        told = {struct.unpack_from(">H", data)[0]: data[2:] for _, data in replies[:-1]}
        self.size, self.flags = struct.unpack(">QH", told[0])
        self.block_sizes = struct.unpack(">III", told[3])

    def ask(self, number: int, data: bytes = b"") -> list[tuple[int, bytes]]:
        """Send an option; the kinds and data of all replies, up to an acknowledgement or error."""
        self.send(option(number, data))
        replies = []
        while True:
            magic, of, kind, length = struct.unpack(">QIII", self.take(20))
            assert (magic, of) == (0x3E889045565A9, number)
            replies.append((kind, self.take(length)))
            if kind == 1 or kind >> 31:
                return replies

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise GoneError from error

    def take(self, size: int) -> bytes:
        parts = []
        while size:
            try:
                part = self.socket.recv(min(size, 2**20))
            except ConnectionResetError as error:
                raise GoneError from error
            if not part:
                raise GoneError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def reply(self, length: int = 0) -> tuple[int, int, bytes]:
        """Cookie, error and data of the next reply; `length`: of the data, if it is a read's."""
        (magic,) = struct.unpack(">I", self.take(4))
        if magic == 0x67446698:
            error, cookie = struct.unpack(">IQ", self.take(12))
            assert not (self.structured and length), "reads have structured replies"
            return cookie, error, b"" if error else self.take(length)
        assert magic == 0x668E33EF
        assert self.structured
        flags, kind, cookie, size = struct.unpack(">HHQI", self.take(16))
        data = self.take(size)
        assert flags == 1
        if kind == 1:
            assert size == 8 + length
            return cookie, 0, data[8:]
        assert kind == 32769
        error, message = struct.unpack_from(">IH", data)
        assert size == 6 + message
        return cookie, error, b""

    def do(self, sent: bytes, length: int = 0) -> bytes:
        self.send(sent)
        _, error, data = self.reply(length)
        if error:
            raise RefusedError(error)
        return data

    def read(self, offset: int, length: int) -> bytes:
        return self.do(header(READ, offset, length), length)

    def write(self, offset: int, data: bytes, flags: int = 0) -> None:
        self.do(header(WRITE, offset, len(data), flags) + data)

    def flush(self) -> None:
        self.do(header(FLUSH))

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


@contextmanager
def folder() -> Iterator[Path]:
    """One with a short name, as sockets need it, an empty cache and an empty origin."""
    path = Path(tempfile.mkdtemp(prefix="nbd"))
    try:
        (path / "cache").write_bytes(bytes(64 * BLOCK))
        (path / "origin").write_bytes(bytes(SIZE))
        yield path
    finally:
        shutil.rmtree(path)


class Running:
    """A server in this process, in a thread."""

    def __init__(
        self, path: Path, negotiation_s: float = 30, grace_s: float = 5, polls: bool = False
    ) -> None:
        self.address = str(path / "socket")
        self.engine = Engine.open(TABLE, path / "cache", path / "origin")
        try:
            listening = [listen_unix(path / "socket")]
        except BaseException:
            self.engine.abandon()
            raise
        self.server = Server(
            Export.of(self.engine),
            listening,
            negotiation_s=negotiation_s,
            grace_s=grace_s,
            polls=polls,
        )
        self._thread = threading.Thread(target=self.server.run)
        self._thread.start()

    def stop(self) -> None:
        self.server.stop()
        self._thread.join()
        self.engine.close()


@contextmanager
def served(negotiation_s: float = 30, grace_s: float = 5, polls: bool = False) -> Iterator[Running]:
    with folder() as path:
        running = Running(path, negotiation_s, grace_s, polls)
        try:
            yield running
        finally:
            running.stop()


class Process:
    """A server in a process of its own."""

    def __init__(self, path: Path, *arguments: object) -> None:
        self.address = str(path / "socket")
        files = ("--origin", path / "origin", "--cache", path / "cache")
        line = program_line("serve", *files, "--socket", self.address, *arguments)
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Its exit code, and what it complained of."""
        if self.process.poll() is None:
            os.kill(self.process.pid, number)
        _, complaint = self.process.communicate(timeout=20)
        return self.process.returncode, complaint


@contextmanager
def process(path: Path, *arguments: object) -> Iterator[Process]:
    """A process that is killed at the latest at the end."""
    one = Process(path, *arguments)
    try:
        yield one
    finally:
        one.end(signal.SIGKILL)


def run_client(name: str, *arguments: object, where: Path | None = None) -> str:
    """Run a program that has to be there, and has to succeed."""
    found = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    assert found, f"{name} is not installed (see .ci/run)"
    done = subprocess.run(
        [found, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        # fio leaves its state where it runs.
        cwd=where,
    )
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"
    return done.stdout


def uri_of(server: Process) -> str:
    return f"nbd+unix:///?socket={server.address}"


def fio_line(server: Process, *arguments: str) -> list[str]:
    """A command line of fio, of one job over an export."""
    found = shutil.which("fio")
    assert found, "fio is not installed (see .ci/run)"
    return [found, "--name=job", "--ioengine=nbd", f"--uri={uri_of(server)}", *arguments]


def fio(server: Process, *arguments: str, where: Path) -> list[dict[str, Any]]:
    """What became of each of fio's jobs, which all have to succeed."""
    line = fio_line(server, *arguments, "--output-format=json")
    # Before the result there may be notes.
    shown = run_client(*line, where=where)
    jobs: list[dict[str, Any]] = json.loads(shown[shown.index("{\n") :])["jobs"]
    return jobs

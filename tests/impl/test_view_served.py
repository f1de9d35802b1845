"""`writecache view --serve`: the merged device for NBD clients, of which nothing can be written."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from caches import FREE, cache, origin, write
from commands import command, program_line
from nbd_client import FLUSH, TRIM, WRITE, ZEROES, Client, RefusedError, folder, header, run_client
from test_tools_view import ENTRIES, SECTORS, merged

EPERM, EIO = 1, 5


@pytest.fixture
def path() -> Iterator[Path]:
    with folder() as path:
        yield path


@contextmanager
def viewed(path: Path, image: bytes, slow: bytes, code: int = 0) -> Iterator[str]:
    """Where a picture of two read-only files is served; its end has this code."""
    paths = write(path / "ssd", image), write(path / "disk", slow)
    for one in paths:
        one.chmod(0o400)
    address = str(path / "socket")
    line = program_line("view", paths[0], "--origin", paths[1], "--serve", "--socket", address)
    server = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert server.stdout is not None
        assert "read-only" in server.stdout.readline()
        yield address
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == code
    finally:
        server.kill()
        server.communicate()
    assert (paths[0].read_bytes(), paths[1].read_bytes()) == (image, slow)
    assert not os.path.exists(address)


def test_what_is_served_is_the_merged_device(path: Path) -> None:
    with viewed(path, cache(ENTRIES), origin(SECTORS)) as address:
        with Client(address) as client:
            for first in range(SECTORS):
                for end in range(first + 1, SECTORS + 1):
                    piece = slice(first * 512, end * 512)
                    assert client.read(first * 512, (end - first) * 512) == merged()[piece]
        copy = path / "copy"
        run_client("qemu-img", "convert", "-f", "raw", "-O", "raw",
                   f"nbd+unix:///?socket={address}", copy)  # fmt: skip
        assert copy.read_bytes() == merged()


def test_nothing_can_be_written(path: Path) -> None:
    entries = [(0, 3), (8, 4), FREE]
    with viewed(path, cache(entries), origin(SECTORS)) as address, Client(address) as client:
        for kind in (WRITE, TRIM, ZEROES):
            data = bytes(512) if kind == WRITE else b""
            with pytest.raises(RefusedError, match=str(EPERM)):
                client.do(header(kind, 0, 512) + data)
        client.do(header(FLUSH))
        before = client.read(0, SECTORS * 512)
        assert any(before)


def test_what_nobody_knows_is_an_error_and_the_rest_is_read(path: Path) -> None:
    twins = cache([(0, 3), (0, 3), (8, 4)])
    with viewed(path, twins, origin(SECTORS), code=1) as address, Client(address) as client:
        for first, count in ((0, 1), (0, 9)):
            with pytest.raises(RefusedError, match=str(EIO)):
                client.read(first * 512, count * 512)
        assert client.read(4096, 512)


def test_clients_read_at_the_same_time(path: Path) -> None:
    wrong: list[int] = []

    def read(address: str) -> None:
        with Client(address) as client:
            for _ in range(200):
                if client.read(0, SECTORS * 512) != merged():
                    wrong.append(1)

    with viewed(path, cache(ENTRIES), origin(SECTORS)) as address:
        readers = [threading.Thread(target=read, args=(address,)) for _ in range(4)]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join()
    assert not wrong


@pytest.mark.parametrize(
    "more",
    [["--serve", "-o", "x"], ["--serve", "--range", "0+1s"], ["-o", "x", "--socket", "s"], []],
)
def test_one_thing_at_a_time(path: Path, more: list[str]) -> None:
    paths = write(path / "ssd", cache(ENTRIES)), write(path / "disk", origin(SECTORS))
    assert command("view", paths[0], "--origin", paths[1], *more).is_refusal()

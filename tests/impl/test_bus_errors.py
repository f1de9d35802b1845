"""A mapped file that is cut: what the engine, and what a server says; nothing flushed is lost."""

import errno
import mmap
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbd_client import BLOCK, TABLE, Client, RefusedError, folder, process

from writecache_impl.engine import Engine
from writecache_impl.engine.devices import MappedDevice

EIO = 5


@pytest.fixture
def path() -> Iterator[Path]:
    with folder() as path:
        yield path


def test_a_load_and_a_store_behind_the_cut_are_errors(tmp_path: Path) -> None:
    file = tmp_path / "cache"
    file.write_bytes(bytes(16 * BLOCK))
    device = MappedDevice(file)
    os.truncate(file, 8 * BLOCK)
    for ask in (lambda: device.read(12 * BLOCK, 512), lambda: device.write(12 * BLOCK, b"x" * 512)):
        with pytest.raises(OSError, match="has been truncated") as failure:
            ask()
        assert failure.value.errno == errno.EIO
    with pytest.raises(OSError, match="has been truncated"):
        device.prepare()
    assert file.stat().st_size == 8 * BLOCK
    device.close()


RACE = """
import mmap, os, sys
from writecache_impl.engine import bus_errors
from writecache_impl.engine.devices import MappedDevice
if sys.argv[2] == "said":
    bus_errors.end_in_a_line("it was cut", 1)
device = MappedDevice(sys.argv[1])
device.prepare()
device.check_size = lambda: None
os.truncate(sys.argv[1], mmap.PAGESIZE)
if sys.argv[3] == "load":
    device.read(8 * mmap.PAGESIZE, 512)
else:
    device.write(8 * mmap.PAGESIZE, bytes(512))
print("not reached")
"""


@pytest.mark.parametrize("how", ["load", "store"])
def test_a_cut_within_an_access_ends_in_a_line(tmp_path: Path, how: str) -> None:
    for said, code, err in (("said", 1, "it was cut\n"), ("", -signal.SIGBUS, "")):
        file = tmp_path / "cache"
        file.write_bytes(bytes(16 * mmap.PAGESIZE))
        done = subprocess.run(
            [sys.executable, "-c", RACE, file, said, how],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout, done.stderr) == (code, "", err)


def test_a_server_whose_cache_is_cut_says_so_and_loses_nothing_flushed(path: Path) -> None:
    with process(path) as server, Client(server.address) as client:
        client.write(0, b"a" * BLOCK)
        client.flush()
        image = (path / "cache").read_bytes()
        os.truncate(path / "cache", len(image) // 2)
        with pytest.raises(RefusedError, match=str(EIO)):
            client.write(0, b"c" * BLOCK)
        code, complaint = server.end(signal.SIGTERM)
    assert code == 1
    assert complaint.count("\n") == 1
    assert "has been truncated" in complaint or "error" in complaint
    (path / "cache").write_bytes(image)
    with Engine.open(TABLE, path / "cache", path / "origin") as engine:
        assert engine.read(0, BLOCK) == b"a" * BLOCK

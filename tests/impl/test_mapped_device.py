"""The mapped device: what goes by system call and what is stored are the same bytes."""

import errno
import mmap
import os
import resource
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from writecache_impl.engine import long_writes
from writecache_impl.engine.devices import MappedDevice

MIB = 2**20


def opened(path: Path, size: int, *, preallocate: bool = True) -> MappedDevice:
    with path.open("wb") as file:
        file.truncate(size)
    return MappedDevice(path, preallocate)


def test_writes_of_any_length_anywhere_are_read_as_they_were_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    write = os.pwrite

    def noted(fd: int, data: bytes, offset: int) -> int:
        calls.append(len(data))
        return write(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", noted)
    size = 5 * MIB + 512
    device = opened(tmp_path / "cache", size)
    random, expected = Random(5), bytearray(size)
    for _ in range(150):
        length = 512 * random.choice((1, 8, 100, 128, 1000, 2048, 4000))
        offset = 512 * random.randrange((size - length) // 512 + 1)
        data = random.randbytes(length)
        device.write(offset, data, fua=random.random() < 0.1)
        expected[offset : offset + length] = data
        assert device.read(offset, length) == data
    device.flush()
    assert device.read(0, size) == expected
    device.close()
    assert (tmp_path / "cache").read_bytes() == expected
    assert calls
    assert min(calls) >= long_writes.LONG  # short ones are stored


def test_long_writes_do_not_wait_for_each_page_after_a_flush(tmp_path: Path) -> None:
    # Stored, a MiB of pages that a flush has cleaned costs 256 page faults.
    device = opened(tmp_path / "cache", 4 * MIB)
    data = bytes(MIB)

    def faults(write: Callable[[], None]) -> int:
        device.flush()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        write()
        return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

    for _ in range(2):
        device.write(0, data)
    learns = faults(lambda: device.write(0, data))
    knows = faults(lambda: device.write(0, data))
    stored = faults(lambda: device.map.__setitem__(slice(MIB), data))
    device.close()
    # Memory's file system has nothing to clean.
    assert knows < 64, (learns, knows, stored)
    assert (learns >= 64) == (stored >= 64), (learns, knows, stored)


def test_where_nothing_is_cleaned_long_writes_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = opened(tmp_path / "cache", 4 * MIB)
    for byte in b"ab":
        device.write(0, bytes([byte]) * MIB)
    device.flush()

    def refuse(*_: object) -> int:
        raise AssertionError("not by system call")

    # As if no page had faulted.
    monkeypatch.setattr(long_writes, "getrusage", lambda _: resource.struct_rusage(range(16)))
    monkeypatch.setattr(os, "pwrite", refuse)
    for byte in b"cd":
        device.write(0, bytes([byte]) * MIB)
        device.flush()
    device.write(3 * MIB, b"e" * 4096)
    with pytest.raises(AssertionError):
        device.write(3 * MIB, b"f" * MIB)  # where no long write has been
    assert device.read(0, MIB) == b"d" * MIB
    device.close()


def test_what_is_written_either_way_is_one_content(tmp_path: Path) -> None:
    device = opened(tmp_path / "cache", 4 * MIB)
    for byte, length in ((b"a", MIB), (b"b", 4096), (b"c", MIB), (b"d", 512)):
        device.write(MIB, byte * length)
        assert device.read(MIB, length) == byte * length
        assert os.pread(device.fd, length, MIB) == byte * length
    assert device.read(MIB + 512, MIB - 512) == b"c" * (MIB - 512)
    device.close()


def test_a_disk_that_takes_no_more_is_an_error_and_no_signal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = opened(tmp_path / "cache", 4 * MIB, preallocate=False)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "no space left")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(OSError, match="no space left"):
        device.write(0, b"a" * MIB)
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: 0)
    with pytest.raises(OSError, match="takes no more at byte 2097152"):
        device.write(2 * MIB, b"a" * MIB)
    device.close()


def test_what_a_short_write_has_left_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = opened(tmp_path / "cache", 4 * MIB)
    write = os.pwrite
    monkeypatch.setattr(
        os, "pwrite", lambda fd, data, offset: write(fd, data[: 5 * mmap.PAGESIZE], offset)
    )
    data = Random(2).randbytes(MIB)
    device.write(MIB, data)
    assert device.read(MIB, MIB) == data
    device.close()

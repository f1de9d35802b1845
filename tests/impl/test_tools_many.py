"""Reading many pieces at once gives what reading them one by one gives, or says it does not."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from bringing_home import Devices
from caches import write

from writecache_impl.tools import fetching
from writecache_impl.tools.arithmetic import many_reads
from writecache_impl.tools.many import ManyReads
from writecache_impl.tools.numbers import numbers


@pytest.fixture
def reads() -> Iterator[ManyReads]:
    found = ManyReads()
    yield found
    found.close()


@pytest.mark.parametrize("seed", range(6))
def test_pieces_come_as_they_are_in_the_file(tmp_path: Path, reads: ManyReads, seed: int) -> None:
    rng = random.Random(seed)
    data = rng.randbytes(200_000)
    path = write(tmp_path / "f", data)
    offsets = [rng.randrange(100_000) for _ in range(rng.choice((1, 256, 257, 3000)))]
    lengths = [rng.randrange(1, 1000) for _ in offsets]
    buffer = bytearray(sum(lengths))
    with path.open("rb") as file:
        assert reads.read(file.fileno(), numbers(offsets), numbers(lengths), buffer)
    pieces = (data[at : at + size] for at, size in zip(offsets, lengths, strict=True))
    assert buffer == b"".join(pieces)


def test_what_does_not_come_whole_is_told_of(tmp_path: Path, reads: ManyReads) -> None:
    path = write(tmp_path / "f", bytes(1000))
    offsets, lengths = numbers(range(600)), numbers([500] * 600)
    with path.open("rb") as file:
        assert not reads.read(file.fileno(), offsets, lengths, bytearray(300_000))
        good = offsets[:501], lengths[:501]
        assert reads.read(file.fileno(), *good, bytearray(300_000))
        with pytest.raises(ValueError, match="too small"):
            reads.read(file.fileno(), *good, bytearray(10))
    write_only = os.open(path, os.O_WRONLY)
    assert not reads.read(write_only, *good, bytearray(300_000))
    os.close(write_only)
    assert not reads.read(write_only, *good, bytearray(300_000))


@pytest.mark.parametrize("plain", [True, False])
def test_many_scattered_blocks_come_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plain: bool
) -> None:
    if plain:
        monkeypatch.setenv("WRITECACHE_PLAIN", "1")
    assert (many_reads() is None) is plain
    monkeypatch.setattr(fetching, "FEW", 2)
    rng = random.Random(1)
    entries = [(sector, rng.randrange(12)) for sector in rng.sample(range(32), 32)]
    devices = Devices(tmp_path, entries)
    assert devices.writeback() == 0
    assert devices.now() == devices.done


def test_a_reader_that_fails_is_done_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "FEW", 0)
    monkeypatch.setattr(ManyReads, "read", lambda *_: False)
    devices = Devices(tmp_path)
    assert devices.writeback() == 0
    assert devices.now() == devices.done


def test_a_reader_that_lies_would_be_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "FEW", 0)
    monkeypatch.setattr(ManyReads, "read", lambda *_: True)
    devices = Devices(tmp_path)
    assert devices.writeback() == 0
    assert devices.now() != devices.done


@pytest.mark.parametrize("plain", [True, False])
def test_a_slow_file_is_asked_for_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: ManyReads, plain: bool
) -> None:
    monkeypatch.setattr(fetching, "COLD_SECONDS", -1.0)
    path = write(tmp_path / "f", bytes(range(256)) * 16)
    asked: list[int] = []
    monkeypatch.setattr(os, "posix_fadvise", lambda _fd, offset, *_: asked.append(offset))
    with path.open("rb") as file:
        fetch = fetching.Fetching(file.fileno(), None if plain else reads)
        buffer = bytearray(100)
        for _ in range(2):
            assert fetch.read(numbers(range(100)), numbers([1] * 100), buffer)
    assert buffer == bytes(range(100))
    assert asked == list(range(100))

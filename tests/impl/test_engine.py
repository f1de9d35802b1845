"""The engine over real files: what it promises, and what it refuses."""

import errno
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from writecache_impl.engine import (
    ClosedError,
    Engine,
    EngineError,
    RefusedError,
    RequestError,
    UnusableDeviceError,
    writeback,
)
from writecache_impl.engine.devices import FileDevice, MappedDevice
from writecache_impl.engine.failing import FailingDevice, Failure
from writecache_impl.engine.memory import MemoryDevice

BLOCK = 4096
TABLE = "s ORIGIN CACHE 4096 0"
QUIET = "s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0"


class Files:
    """A cache of 63 blocks and an origin of 100."""

    def __init__(self, folder: Path) -> None:
        self.cache, self.origin = folder / "cache", folder / "origin"
        self.cache.write_bytes(bytes(64 * BLOCK))
        self.origin.write_bytes(bytes(100 * BLOCK))

    def open(self, table: str = TABLE, mapped: bool = True, strict: bool = True) -> Engine:
        return Engine.open(table, self.cache, self.origin, mapped=mapped, strict=strict)

    def patch(self, path: Path, offset: int, data: bytes) -> None:
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends, "it does not come"
        time.sleep(0.01)


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("mode", ["s", "p"])
def test_what_is_flushed_is_there_after_the_engine_was_abandoned(
    files: Files, mode: str, mapped: bool
) -> None:
    data = os.urandom(20 * BLOCK)
    engine = files.open(f"{mode} ORIGIN CACHE 4096 2 autocommit_time 3600000", mapped)
    engine.write(BLOCK, data)
    assert engine.read(BLOCK, len(data)) == data
    engine.flush()
    engine.write(BLOCK, b"z" * BLOCK, fua=True)
    engine.write(0, b"x" * BLOCK)
    engine.abandon()
    with files.open(f"{mode} ORIGIN CACHE 4096 0", mapped) as engine:
        assert engine.read(BLOCK, len(data)) == b"z" * BLOCK + data[BLOCK:]
        assert engine.read(0, BLOCK) == bytes(BLOCK)
        assert engine.status().startswith("0 63 43 0 ")
        assert engine.table() == f"{mode} ORIGIN CACHE 4096 0"


def test_a_close_commits_and_one_with_writeback_brings_everything_home(files: Files) -> None:
    with files.open(QUIET) as engine:
        engine.write(0, b"a" * BLOCK)
    with files.open(QUIET) as engine:
        assert engine.read(0, BLOCK) == b"a" * BLOCK
        engine.close(writeback=True)
    assert files.origin.read_bytes()[:BLOCK] == b"a" * BLOCK
    with files.open(QUIET) as engine:
        assert engine.status().startswith("0 63 63 0 ")


def test_the_flush_message_brings_everything_home(files: Files) -> None:
    with files.open(QUIET) as engine:
        engine.write(8 * BLOCK, b"h" * 30 * BLOCK)
        engine.message("flush")
        assert files.origin.read_bytes()[8 * BLOCK : 38 * BLOCK] == b"h" * 30 * BLOCK
        assert engine.status().split()[2] == "63"


def test_time_commits_and_age_brings_home(files: Files) -> None:
    table = "s ORIGIN CACHE 4096 6 autocommit_time 30 max_age 100 pause_writeback 0"
    with files.open(table) as engine:
        engine.write(0, b"t" * BLOCK)
        wait_until(lambda: engine.status().split()[2] == "63")
        assert files.origin.read_bytes()[:BLOCK] == b"t" * BLOCK


def test_a_cache_that_fills_is_written_back_and_all_is_read(files: Files) -> None:
    random = Random(1)
    with files.open("s ORIGIN CACHE 4096 2 pause_writeback 0") as engine:
        held = bytearray(100 * BLOCK)
        for _ in range(400):
            place = random.randrange(100)
            length = min(random.choice((1, 1, 4, 30)), 100 - place)
            data = random.randbytes(length * BLOCK)
            engine.write(place * BLOCK, data)
            held[place * BLOCK : (place + length) * BLOCK] = data
        assert engine.read(0, len(held)) == held
    with files.open() as engine:
        assert engine.read(0, len(held)) == held


def test_many_clients_read_what_each_has_written(files: Files) -> None:
    wrong: list[str] = []

    def client(number: int) -> None:
        random = Random(number)
        mine = range(number * 12, number * 12 + 12)
        held = {}
        try:
            for turn in range(200):
                place = random.choice(mine)
                held[place] = random.randbytes(BLOCK)
                engine.write(place * BLOCK, held[place], fua=turn % 20 == 0)
                other = random.choice(list(held))
                if engine.read(other * BLOCK, BLOCK) != held[other]:
                    wrong.append(f"block {other} of client {number}")
                if turn % 50 == 49:
                    engine.flush()
        except EngineError as error:
            wrong.append(str(error))

    table = "s ORIGIN CACHE 4096 6 pause_writeback 0 autocommit_time 10 writeback_jobs 3"
    with files.open(table) as engine:
        threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for _ in range(3):
            engine.suspend()
            engine.resume()
            engine.message("flush")
        for thread in threads:
            thread.join()
    assert wrong == []


def test_a_suspended_device_lets_requests_wait(files: Files) -> None:
    with files.open() as engine:
        engine.write(0, b"s" * BLOCK)
        engine.suspend()
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.append(engine.read(0, BLOCK)))
        thread.start()
        time.sleep(0.05)
        assert read == []
        engine.resume()
        thread.join()
        assert read == [b"s" * BLOCK]


def test_only_a_block_that_is_in_the_cache_is_had_without_waiting(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    with files.open() as engine:
        engine.write(0, b"p" * 2 * BLOCK)
        assert engine.peek(BLOCK, BLOCK) == b"p" * BLOCK
        for offset, size in ((0, 2 * BLOCK), (3 * BLOCK, BLOCK), (1, BLOCK), (2**40, BLOCK)):
            assert engine.peek(offset, size) is None
        engine.suspend()
        assert engine.peek(0, BLOCK) is None
        engine.resume()

        def fail(*_: object) -> bytes:
            raise OSError(errno.EIO, "no")

        monkeypatch.setattr(MappedDevice, "read", fail)
        with pytest.raises(EngineError):
            engine.peek(0, BLOCK)
        monkeypatch.undo()
    assert engine.peek(0, BLOCK) is None


def test_what_is_no_blocks_of_the_device_is_refused(files: Files) -> None:
    with files.open() as engine:
        for offset, size, number in (
            (1, BLOCK, errno.EINVAL),
            (0, 512, errno.EINVAL),
            (100 * BLOCK, BLOCK, errno.ENOSPC),
            (-BLOCK, BLOCK, errno.ENOSPC),
        ):
            with pytest.raises(RequestError) as refused:
                engine.write(offset, bytes(size))
            assert refused.value.errno == number
        with pytest.raises(RequestError):
            engine.read(99 * BLOCK, 2 * BLOCK)
        for words in (("flush", "now"), ("nonsense",), ()):
            with pytest.raises(RequestError):
                engine.message(*words)
        assert engine.read(0, 0) == b""


def test_devices_in_use_are_refused_and_free_after_a_close(files: Files, tmp_path: Path) -> None:
    with files.open():
        for attempt in (files.open, lambda: MappedDevice(files.cache)):
            with pytest.raises(UnusableDeviceError, match="is in use"):
                attempt()
        with pytest.raises(UnusableDeviceError, match="is in use"):
            FileDevice(files.origin)
    files.open().close()
    with pytest.raises(UnusableDeviceError, match="same file"):
        Engine.open(TABLE, files.cache, files.cache)
    with pytest.raises(UnusableDeviceError, match="No such file"):
        Engine.open(TABLE, tmp_path / "nowhere", files.origin)
    with pytest.raises(UnusableDeviceError, match="no file and no block device"):
        Engine.open(TABLE, Path("/dev/null"), files.origin)


def test_what_cannot_work_is_refused_in_the_kernels_words(files: Files) -> None:
    with files.open() as engine:
        engine.write(99 * BLOCK, bytes(BLOCK), fua=True)
    good = files.cache.read_bytes()
    for offset, data, message in (
        (0, b"XXXX", "Invalid magic in the superblock"),
        (4, b"\2", "Invalid version in the superblock"),
        (8, b"\0\2\0\0", "Block size does not match superblock"),
        (16, b"\xff\xff", "Memory area is too small"),
    ):
        files.patch(files.cache, offset, data)
        with pytest.raises(RefusedError) as refused:
            files.open()
        assert (refused.value.message, refused.value.errno) == (message, errno.EINVAL)
        files.cache.write_bytes(good)
    with pytest.raises(RefusedError, match="Block size does not match"):
        files.open("s ORIGIN CACHE 512 0")
    with pytest.raises(RefusedError, match="Bad arguments"):
        files.open("x ORIGIN CACHE 4096 0")
    os.truncate(files.cache, 30 * BLOCK)
    with pytest.raises(RefusedError, match="Memory area is too small"):
        files.open()
    os.truncate(files.cache, BLOCK)
    with pytest.raises(RefusedError, match="Invalid device size"):
        files.open()
    os.truncate(files.cache, 0)
    with pytest.raises(UnusableDeviceError, match="is empty"):
        files.open()
    files.cache.write_bytes(good)
    os.truncate(files.origin, 90 * BLOCK)
    with pytest.raises(UnusableDeviceError, match="1 dirty blocks lie behind its end"):
        files.open()
    files.open(strict=False).close()


@pytest.mark.parametrize("mapped", [False, True])
def test_a_file_that_is_cut_under_the_engine_is_an_error(files: Files, mapped: bool) -> None:
    engine = files.open(QUIET, mapped=mapped)
    engine.write(0, b"a" * BLOCK)
    os.truncate(files.cache, 30 * BLOCK)
    with pytest.raises(RequestError) as failure:
        engine.flush()
    assert failure.value.errno == errno.EIO
    assert engine.status().startswith("1 ")
    with pytest.raises(EngineError, match=r"error (flushing|writing) metadata"):
        engine.close()


def test_short_writes_go_on_and_a_write_of_nothing_is_an_error(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: whole(fd, data[:1000], at))
    device = FileDevice(files.origin)
    device.write(0, b"s" * BLOCK)
    assert device.read(0, BLOCK) == b"s" * BLOCK
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: 0)
    with pytest.raises(OSError, match="takes no more"):
        device.write(0, b"s" * BLOCK)
    device.close()


def test_a_flush_that_failed_is_not_forgotten(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(fd: int) -> None:
        raise OSError(errno.EIO, "no")

    device = FileDevice(files.origin)
    monkeypatch.setattr(os, "fdatasync", fail)
    with pytest.raises(OSError, match="no"):
        device.flush()
    monkeypatch.undo()
    with pytest.raises(OSError, match="failed a flush before"):
        device.flush()
    device.close()


def test_after_an_error_reads_are_right_and_a_reload_goes_on() -> None:
    failing = False
    cache = FailingDevice(
        MemoryDevice(64 * BLOCK),
        lambda kind, offset, size: Failure(errno.ENOSPC) if failing and kind == "flush" else None,
    )
    engine = Engine({"CACHE": cache, "ORIGIN": MemoryDevice(100 * BLOCK)})
    engine.reload(QUIET)
    engine.write(0, b"1" * BLOCK)
    engine.flush()
    engine.write(0, b"2" * BLOCK)
    failing = True
    for operation in (engine.flush, lambda: engine.write(0, bytes(BLOCK))):
        with pytest.raises(RequestError):
            operation()
    engine.suspend()
    engine.resume()
    assert engine.read(0, BLOCK) == b"2" * BLOCK
    failing = False
    engine.reload(QUIET)
    assert engine.status().startswith("0 ")
    engine.write(0, b"3" * BLOCK)
    engine.close()
    for operation in (engine.flush, engine.status, lambda: engine.read(0, BLOCK)):
        with pytest.raises(ClosedError):
            operation()


def test_what_interrupts_an_operation_keeps_it_from_being_committed(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    engine = files.open(QUIET)
    engine.write(0, b"1" * BLOCK, fua=True)
    monkeypatch.setattr(MappedDevice, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.write(BLOCK, b"2" * BLOCK)
    monkeypatch.undo()
    with pytest.raises(EngineError):
        engine.close()
    with files.open() as engine:
        assert engine.read(0, 2 * BLOCK) == b"1" * BLOCK + bytes(BLOCK)


def test_a_refused_reload_leaves_what_is_loaded(files: Files) -> None:
    with files.open(QUIET) as engine:
        engine.write(0, b"r" * BLOCK)
        for wrong in ("s ORIGIN CACHE 512 0", "s ORIGIN NOWHERE 4096 0"):
            with pytest.raises(RefusedError):
                engine.reload(wrong)
        assert engine.read(0, BLOCK) == b"r" * BLOCK
        engine.reload(TABLE)
        assert engine.table() == TABLE
        assert engine.read(0, BLOCK) == b"r" * BLOCK


def test_an_open_that_is_refused_leaves_no_thread_and_no_lock(files: Files) -> None:
    with files.open() as engine:
        engine.write(99 * BLOCK, bytes(BLOCK))
    os.truncate(files.origin, 90 * BLOCK)
    n_threads = threading.active_count()
    with pytest.raises(UnusableDeviceError):
        files.open()
    assert threading.active_count() == n_threads
    FileDevice(files.origin).close()


def test_everything_is_written_back_a_part_at_a_time(
    files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writeback, "MOST_SELECTED", 4)
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            engine.write(Random(1).randrange(60, 100) * BLOCK, b"d" * BLOCK)

    with files.open("s ORIGIN CACHE 4096 4 high_watermark 100 low_watermark 100") as engine:
        places = Random(2).sample(range(60), 50)
        for place in places:
            engine.write(place * BLOCK, bytes([place + 1]) * BLOCK)
        thread = threading.Thread(target=disturb)
        thread.start()
        engine.message("flush")
        stop.set()
        thread.join()
        origin = files.origin.read_bytes()
    for place in places:
        assert origin[place * BLOCK : (place + 1) * BLOCK] == bytes([place + 1]) * BLOCK


def test_metadata_that_cannot_be_read_is_refused_and_what_was_loaded_goes_on() -> None:
    n_reads = 0

    def plan(kind: str, offset: int, size: int) -> Failure | None:
        nonlocal n_reads
        n_reads += kind == "read"
        # The first read of a reload is the constructor's, the second the resume's.
        return Failure(errno.EIO) if kind == "read" and n_reads == 4 else None

    cache = FailingDevice(MemoryDevice(64 * BLOCK), plan)
    engine = Engine({"CACHE": cache, "ORIGIN": MemoryDevice(100 * BLOCK)})
    engine.reload(QUIET)
    engine.write(0, b"m" * BLOCK)
    with pytest.raises(UnusableDeviceError, match="cannot be read"):
        engine.reload(TABLE)
    assert engine.table() == QUIET
    assert engine.read(0, BLOCK) == b"m" * BLOCK
    engine.write(0, b"n" * BLOCK, fua=True)
    engine.close()

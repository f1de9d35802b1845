"""What an attack on the server and on the command line has found, each once."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbd_client as nbd
import pytest
from commands import command, program
from nbd_client import BLOCK, SIZE, Client, RefusedError, folder, header, process, served

from writecache_impl.engine import Engine
from writecache_impl.engine.devices import FileDevice, MappedDevice
from writecache_impl.engine.errors import UnusableDeviceError
from writecache_impl.engine.state import READ_HITS, READS
from writecache_impl.nbd import connection, incoming
from writecache_impl.nbd.incoming import Incoming


@pytest.fixture
def path() -> Iterator[Path]:
    with folder() as path:
        yield path


@pytest.mark.parametrize("polls", [False, True])
def test_replies_do_not_wait_for_a_write_that_waits(
    polls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes past the cache, to an origin that takes its time."""
    write = FileDevice.write

    def slowly(self: FileDevice, offset: int, data: bytes, fua: bool = False) -> None:
        time.sleep(2)
        write(self, offset, data, fua)

    with served(polls=polls) as server, Client(server.address) as client:
        client.write(0, b"c" * BLOCK)
        with server.engine.lock:
            assert server.engine._wc is not None
            server.engine._wc.cleaner = True
        monkeypatch.setattr(FileDevice, "write", slowly)
        reads = [header(nbd.READ, 0, BLOCK, cookie=n) for n in range(20)]
        around = header(nbd.WRITE, 9 * BLOCK, BLOCK, cookie=99) + bytes(BLOCK)
        began = time.monotonic()
        client.send(b"".join(reads) + around)
        assert [client.reply(BLOCK)[0] for _ in reads] == list(range(20))
        assert time.monotonic() - began < 1
        assert client.reply()[0] == 99


def test_whether_there_is_room(path: Path) -> None:
    with Engine.open("s O C 4096 0", path / "cache", path / "origin") as engine:
        n_free = int(engine.status().split()[2])
        assert engine.has_room(n_free * BLOCK)
        assert not engine.has_room((n_free + 1) * BLOCK)
        engine.suspend()
        assert not engine.has_room(BLOCK)
        engine.resume()
        engine.message("cleaner")
        assert not engine.has_room(BLOCK)
    assert not engine.has_room(BLOCK)


def test_a_cached_read_that_fails_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(5, "no")

    with served() as server:
        for structured in (False, True):
            with Client(server.address, structured=structured) as client:
                client.write(0, b"c" * BLOCK)
                assert server.engine._wc is not None
                stats = server.engine._wc.stats
                before = stats[READS], stats[READ_HITS]
                with monkeypatch.context() as patch:
                    patch.setattr(MappedDevice, "read", fail)
                    with pytest.raises(RefusedError, match="5"):
                        client.read(0, BLOCK)
                assert (stats[READS], stats[READ_HITS]) == (before[0] + 1, before[1] + 1)
                assert client.read(0, BLOCK) == b"c" * BLOCK


def test_a_connection_that_has_ended_holds_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Incoming] = []

    def known(*arguments: Any) -> Incoming:
        made.append(Incoming(*arguments))
        return made[-1]

    monkeypatch.setattr(connection, "Incoming", known)
    monkeypatch.setattr(incoming, "_KEPT", SIZE - 1)
    with served() as server:
        with Client(server.address) as client:
            client.write(0, bytes(SIZE))
            client.write(0, bytes(BLOCK))
            (one,) = made
            assert not one._long
        ends = time.monotonic() + 10
        while server.server.n_connections and time.monotonic() < ends:
            time.sleep(0.01)
        assert not one._buffer


def test_a_second_signal_changes_nothing(path: Path) -> None:
    for pause in (0, 0.01, 0.03, 0.06):
        with process(path) as server:
            with Client(server.address) as client:
                client.write(0, b"s" * BLOCK)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(pause)
            assert server.end(signal.SIGTERM) == (0, "")


@pytest.mark.parametrize(
    "arguments", [("--control", "nowhere/control"), ("--name", "\udcff"), ("--name", "n" * 5000)]
)
def test_what_is_refused_has_changed_no_cache(
    path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(path)
    Path("cache").write_bytes(b"")
    os.truncate("cache", 64 * BLOCK)
    done = command("serve", "--origin", "origin", "--cache", "cache", "--socket", "s", *arguments)
    assert done.is_refusal()
    assert (os.stat("cache").st_blocks, sorted(os.listdir())) == (0, ["cache", "origin"])


def test_an_empty_origin_is_refused(path: Path) -> None:
    os.truncate(path / "origin", 0)
    with pytest.raises(UnusableDeviceError, match="origin is empty"):
        Engine.open("s O C 4096 0", path / "cache", path / "origin")


def test_an_address_that_is_not_known_is_named(path: Path) -> None:
    files = ("--origin", path / "origin", "--cache", path / "cache")
    done = command("serve", *files, "--tcp", "nohost.invalid:1")
    assert done.is_refusal()
    assert "nohost.invalid" in done.err


def test_a_socket_that_answers_no_questions_is_named(path: Path) -> None:
    with process(path) as server:
        done = command("serve", "--status", server.address)
        assert done.is_refusal()
        assert f"{server.address}: what listens there is no control socket" in done.err


def test_what_a_message_says_is_no_command_for_a_terminal(path: Path) -> None:
    control = path / "control"
    with process(path, "--control", control):
        done = command("serve", "--message", control, "fl\x1bush")
    assert done.code == 1
    assert "\x1b" not in done.err


def test_a_load_before_there_are_all_blocks_takes_none(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a file system in memory a load through a mapping takes a page, which may be the last."""
    os.truncate(path / "cache", 0)
    os.truncate(path / "cache", 64 * BLOCK)
    device = MappedDevice(path / "cache")
    reads: list[int] = []
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda *asked: reads.append(asked[1]) or pread(*asked))
    assert device.read(BLOCK, BLOCK) == bytes(BLOCK)
    assert reads == [BLOCK]
    device.prepare()
    assert device.read(BLOCK, BLOCK) == bytes(BLOCK)
    assert reads == [BLOCK]
    device.close()


def test_an_empty_wish_for_completion_is_none() -> None:
    done = program("check", "/nonexistent", environment={"_WRITECACHE_COMPLETE": ""})
    assert done.is_refusal()


def test_completion_without_a_shell_is_a_line() -> None:
    done = program(environment={"_WRITECACHE_COMPLETE": "bash_complete"})
    assert done.is_refusal()
    assert "COMP_WORDS is not set" in done.err
    done = program(environment={"_WRITECACHE_COMPLETE": "bash_source"})
    assert (done.code, done.err) == (0, "")
    assert "complete" in done.out

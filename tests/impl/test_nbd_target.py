"""Network block devices judged: the engine's server, nbdkit's, some with bugs, and no servers."""

import re
import shlex
import shutil
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commands import Done, command
from nbd_client import GREETING, SIZE, folder, served

from writecache_impl.engine import Engine
from writecache_impl.nbd import requests
from writecache_impl.nbd.protocol import (
    CMD_FLUSH,
    CMD_READ,
    CMD_TRIM,
    CMD_WRITE,
    CMD_WRITE_ZEROES,
    FLAG_FUA,
    Request,
)

Ask = Callable[[Engine, Request, bytes], bytes]
HONEST: Ask = requests._ask


def conform(address: str, *options: object) -> Done:
    uri = f"nbd+unix:///?socket={address}"
    return command("conform", "--target", uri, "--seed", "7", "-o", Path(address).parent, *options)


def test_the_engines_server_keeps_the_contract_and_what_was_there_is_put_back() -> None:
    with served() as running:
        before = bytes(range(256)) * (SIZE // 256)
        running.engine.write(0, before)
        done = conform(running.address, "--seconds", 120, "--steps", 600, "--json")
        assert done.code == 0, done.err
        judged = done.json
        assert judged["level"] == 1
        assert judged["steps"] > 500
        assert judged["sectors"] > 10_000
        assert {"fua", "discard", "zeroes", "together"} == set(judged["can"])
        own = [judged["own_ms_a_step"]]
        while own[-1] >= 1 and len(own) < 4:
            # Of a processor; but what else runs on it takes its caches.
            done = conform(running.address, "--seconds", 120, "--steps", 600, "--json")
            own.append(done.json["own_ms_a_step"])
        assert own[-1] < 1, own
        assert running.engine.read(0, SIZE) == before


def test_the_summary_says_that_no_power_failed() -> None:
    with served() as running:
        done = conform(running.address, "--steps", 100)
    assert done.code == 0
    assert "its power has not failed: what is durable has not been judged" in done.out


def test_what_kernels_were_asked_at_once_is_asked_of_the_engines_server() -> None:
    with served() as running:
        uri = f"nbd+unix:///?socket={running.address}"
        vectors = Path(__file__).parents[1] / "vectors" / "sid-crowds.jsonl.xz"
        done = command("vectors", "check", "--target", uri, vectors, "--json")
    assert done.code == 0, done.err
    assert done.json["steps"] > 100


def test_nbdkit_is_judged() -> None:
    assert shutil.which("nbdkit"), "needs the package nbdkit"
    with folder() as path:
        line = ["nbdkit", "-f", "-U", str(path / "kit"), "memory", "1M"]
        process = subprocess.Popen(line, stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                if (path / "kit").exists():
                    break
                threading.Event().wait(0.1)
            done = conform(str(path / "kit"), "--seconds", 60, "--steps", 300, "--json")
        finally:
            process.terminate()
            process.wait()
    assert done.code == 0, done.err
    assert done.json["steps"] > 200


def loses_the_end_of_long_writes(engine: Engine, request: Request, payload: bytes) -> bytes:
    if request.command == CMD_WRITE and request.length > 3 * engine.block_size:
        payload = payload[: -engine.block_size]
    return HONEST(engine, request, payload)


def trims_too_much(engine: Engine, request: Request, payload: bytes) -> bytes:
    length = min(request.length + engine.block_size, engine.size - request.offset)
    if request.command == CMD_TRIM:
        request = request._replace(length=length, command=CMD_WRITE_ZEROES)
    return HONEST(engine, request, payload)


def leaves_zeroes_out(engine: Engine, request: Request, payload: bytes) -> bytes:
    return b"" if request.command == CMD_WRITE_ZEROES else HONEST(engine, request, payload)


def forgets_fua(engine: Engine, request: Request, payload: bytes) -> bytes:
    is_lost = request.command == CMD_WRITE and request.flags & FLAG_FUA
    return b"" if is_lost else HONEST(engine, request, payload)


def fails_flushes(engine: Engine, request: Request, payload: bytes) -> bytes:
    if request.command == CMD_FLUSH:
        raise OSError(5, "a planted bug")
    return HONEST(engine, request, payload)


def replies_short(engine: Engine, request: Request, payload: bytes) -> bytes:
    data = HONEST(engine, request, payload)
    return data[:-1] if request.command == CMD_READ else data


BUGS = (
    loses_the_end_of_long_writes,
    trims_too_much,
    leaves_zeroes_out,
    forgets_fua,
    fails_flushes,
    replies_short,
)


@pytest.mark.parametrize("bug", BUGS)
def test_a_server_with_a_bug_is_found_out(bug: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_ask", bug)
    with served(grace_s=0.5) as running:
        done = conform(running.address, "--seconds", 60, "--op-seconds", 1)
        assert done.code == 1, done.out
        assert "shrunk:\n" in done.err
        assert "Traceback" not in done.err
        (kept,) = Path(running.address).parent.glob("violation-*.jsonl")
        assert len(kept.read_text().splitlines()) < 15


def test_what_goes_wrong_at_the_opening_is_said_kept_and_played_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "_ask", replies_short)
    with served(grace_s=0.5) as running:
        done = conform(running.address, "--seconds", 60, "--op-seconds", 1)
        says = (
            r"story-7-0: at the opening, before step 0: what it holds cannot be read, \d+ sectors"
        )
        assert len(re.findall(says, done.err)) == 2
        assert re.search(r"[\d,]+ of [\d,]+ bytes of a reply: it takes too long", done.err)
        line = done.err.splitlines()[-1]
        assert command(*shlex.split(line)[1:]).code == 1
        monkeypatch.setattr(requests, "_ask", HONEST)
        assert command(*shlex.split(line)[1:]).code == 0


@contextmanager
def listening(*said: bytes) -> Iterator[str]:
    """A server that says this to each client, a part for each thing it hears, and nothing more."""
    with folder() as path, socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path / "s"))
        server.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    try:
                        for part in said:
                            client.sendall(part)
                            if not client.recv(2**16):
                                break
                    except OSError:
                        pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield str(path / "s")
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def reply(kind: int, data: bytes = b"", magic: int = 0x3E889045565A9) -> bytes:
    return struct.pack(">QIII", magic, 7, kind, len(data)) + data


def export(size: int, flags: int = 1) -> bytes:
    return reply(3, struct.pack(">HQH", 0, size, flags)) + reply(1)


UNFIT = [
    ([b""], "takes too long"),
    ([bytes(18)], "no server of network block devices"),
    ([GREETING[:16] + bytes(2)], "the fixed newstyle"),
    ([GREETING, b"x" * 20], "is no reply to an option"),
    ([GREETING, reply(3, bytes(2**17))], "is no reply to an option"),
    ([GREETING, reply(2**31 + 6, b"gone")], "refuses the export '': gone"),
    ([GREETING, reply(1)], "tells no size"),
    ([GREETING, export(0)], "tells no size"),
    ([GREETING, export(100)], "less than a block"),
    ([GREETING, export(2**20, 3)], "read-only"),
]


@pytest.mark.parametrize(("said", "says"), UNFIT, ids=[str(n) for n in range(len(UNFIT))])
def test_what_is_no_server_is_not_judged(said: list[bytes], says: str) -> None:
    with listening(*said) as address:
        done = conform(address, "--op-seconds", 0.5)
    assert done.code == 3
    assert says in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ([b"x" * 16], "a reply begins with"),
        ([struct.pack(">IIQ", 0x67446698, 0, 99)], "which nobody waits for"),
        ([struct.pack(">IIQ", 0x67446698, 5, 1)], "NBD's error 5"),
        ([b""], "it takes too long"),
        ([], "the server has ended the connection"),
    ],
)
def test_a_server_that_answers_no_request_is_a_violation(said: list[bytes], says: str) -> None:
    with listening(GREETING, export(2**20), *said) as address:
        done = conform(address, "--op-seconds", 1)
    assert done.code == 1
    assert says in done.err, done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    "uri",
    ["nbd+unix:///?socket=/nosuch/socket", "nbd://localhost:1/"],
)
def test_an_address_where_nobody_listens(uri: str) -> None:
    done = command("conform", "--target", uri)
    assert done.code == 3
    assert done.err.splitlines()[-1].startswith("writecache: ")


@pytest.mark.parametrize("uri", ["nbd:", "nbd:host:10809", "nbd+unix:///x", "nbd://h:x"])
def test_what_is_no_address_is_a_faulty_input(uri: str) -> None:
    done = command("conform", "--target", uri)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith(f"writecache: {uri} is neither nbd://HOST:PORT/")

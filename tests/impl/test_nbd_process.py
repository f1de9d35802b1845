"""`writecache serve` as a process: killed, ended, refused; and real clients."""

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import product
from pathlib import Path
from random import Random
from typing import Final

import nbd_client as nbd
import pytest
from commands import command, program_line
from nbd_client import (
    BLOCK,
    N_BLOCKS,
    SIZE,
    TABLE,
    Client,
    GoneError,
    folder,
    process,
    run_client,
    uri_of,
)

from writecache_impl.engine import Engine
from writecache_impl.nbd import nbdkit_plugin

N_KILLS = int(os.environ.get("NBD_KILLS", "3"))
N_CLIENTS = 4


@pytest.fixture
def path() -> Iterator[Path]:
    with folder() as path:
        yield path


class Writer(threading.Thread):
    """A client with blocks of its own that knows what must be there when the server is killed."""

    def __init__(self, address: str, number: int, seed: int) -> None:
        super().__init__()
        self.address, self.random = address, Random(f"{seed}-{number}")
        n_mine = N_BLOCKS // N_CLIENTS
        self.mine = range(number * n_mine, (number + 1) * n_mine)
        self.allowed: dict[int, set[bytes]] = {}
        """What a block may hold: what is durable, and whatever was written after it."""
        self.n_durable = 0
        self.is_busy = threading.Event()

    def run(self) -> None:
        with suppress(GoneError, OSError), Client(self.address) as client:
            newest: dict[int, bytes] = {}
            for turn in range(10**9):
                if turn == 60:
                    self.is_busy.set()
                place = self.random.choice(self.mine)
                data = self.random.randbytes(BLOCK)
                fua = self.random.random() < 0.2
                self.allowed.setdefault(place, {bytes(BLOCK)}).add(data)
                client.write(place * BLOCK, data, nbd.FUA if fua else 0)
                newest[place] = data
                if fua:
                    self.allowed[place] = {data}
                    self.n_durable += 1
                elif self.random.random() < 0.1:
                    client.flush()
                    for one, last in newest.items():
                        self.allowed[one] = {last}
                    self.n_durable += len(newest)


def start_over(path: Path, content: dict[int, set[bytes]], seed: int) -> int:
    """Write, kill, serve again, and look; how many durable writes there were."""
    with process(path) as server:
        writers = [Writer(server.address, number, seed) for number in range(N_CLIENTS)]
        for writer in writers:
            writer.allowed = {place: set(content[place]) for place in writer.mine}
            writer.start()
        assert all(writer.is_busy.wait(20) for writer in writers)
        assert server.end(signal.SIGKILL)[0] == -signal.SIGKILL
    for writer in writers:
        writer.join()
        content.update(writer.allowed)
    with process(path) as server, Client(server.address) as client:
        data = client.read(0, SIZE)
    for place in range(N_BLOCKS):
        found = data[place * BLOCK : (place + 1) * BLOCK]
        assert found in content[place], f"block {place} has lost a durable write (seed {seed})"
        # What was seen after a recovery may still be what only a mapping holds, and stays.
        content[place] = {found}
    return sum(writer.n_durable for writer in writers)


def test_what_was_flushed_is_there_after_a_kill(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {place: {bytes(BLOCK)} for place in range(N_BLOCKS)}
    n_durable = sum(start_over(path, content, seed) for seed in range(N_KILLS))
    with capsys.disabled():
        print(f"\nnbd: {N_KILLS} kills, {n_durable:,} durable writes, all there")
    assert n_durable > 30 * N_KILLS


@pytest.mark.parametrize(
    ("number", "on_exit"), [(signal.SIGTERM, "keep"), (signal.SIGINT, "drain")]
)
def test_a_signal_ends_it_and_leaves_what_was_asked(
    path: Path, number: signal.Signals, on_exit: str
) -> None:
    with process(path, "--on-exit", on_exit) as server:
        assert f"{SIZE:,} bytes in blocks of {BLOCK}" in server.said
        with Client(server.address) as client:
            client.write(0, b"e" * BLOCK)
            assert server.end(number) == (0, "")
            with pytest.raises(GoneError):
                client.take(1)
        assert not os.path.exists(server.address)
    is_home = (path / "origin").read_bytes()[:BLOCK] == b"e" * BLOCK
    assert is_home == (on_exit == "drain")
    with Engine.open(TABLE, path / "cache", path / "origin") as engine:
        assert engine.read(0, BLOCK) == b"e" * BLOCK
        free, blocks = int(engine.status().split()[2]), int(engine.status().split()[1])
        assert free == blocks - (on_exit == "keep")


def test_tcp_is_loopback_and_json_says_where(path: Path) -> None:
    files = ("--origin", path / "origin", "--cache", path / "cache")
    line = program_line(
        "serve", *files, "--tcp", "0", "--json", "--name", "a b", "--option", "high_watermark 60"
    )
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        said = "".join(iter(server.stdout.readline, "}\n")) + "}"
        told = json.loads(said)
        (uri,) = told["uris"]
        assert uri.startswith("nbd://127.0.0.1:")
        assert uri.endswith("/a%20b")
        assert (told["size"], told["block_size"]) == (SIZE, BLOCK)
        assert told["table"].split()[4:] == ["2", "high_watermark", "60"]
        run_client("nbdinfo", uri)
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0


def test_what_cannot_be_served_is_refused_in_a_line(path: Path) -> None:
    files = ("--origin", path / "origin", "--cache", path / "cache")
    assert command("serve", "--origin", path / "origin").is_refusal()
    assert command("serve", *files, "--tcp", "host").is_refusal()
    assert command("serve", *files, "--tcp", "1:99999").is_refusal()
    assert command("serve", *files, "--block-size", "3000", "--socket", path / "s").is_refusal()
    assert command("serve", *files, "--table", "what", "--socket", path / "s").is_refusal()
    assert command("serve", *files, "--socket", path / "no" / "s").is_refusal()
    assert command("serve", *files, "--socket", path / ("s" * 120)).is_refusal()
    assert command("serve", *files, "--socket", path / "origin").is_refusal()
    assert command("serve", "--origin", path / "no", *files[2:], "--socket", "s").is_refusal()
    with process(path) as server:
        assert command("serve", *files, "--socket", path / "s").is_refusal()
        with folder() as other:
            more = ("--origin", other / "origin", "--cache", other / "cache")
            assert command("serve", *more, "--socket", server.address).is_refusal()


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("foo", "Bad arguments: foo is no mode (s, p)"),
        ("", "Bad arguments: there is no mode"),
        ("S", "Bad arguments: there is no origin"),
        ("s o c", "Bad arguments: there is no block size"),
        ("s o c 7", "Invalid block size: 7 is no power of two from 512 to 4096"),
        ("s o c 4096", "Invalid number of feature args: there is no number of option words"),
        (
            "s o c 4096 2 cleaner",
            "Invalid number of feature args: 2 is no number of option words up to 1",
        ),
        ("s o c 4096 1 what", "Invalid optional argument: what is no option in mode s"),
        ("s o c 4096 2 cleaner fua", "Invalid optional argument: fua is no option in mode s"),
        ("s o c 4096 1 max_age", "Invalid optional argument: max_age has no value"),
        (
            "s o c 4096 7 low_watermark 90 cleaner start_sector 99999 max_age 1",
            "Invalid optional argument: 99999 is no value of start_sector",
        ),
        (
            "s o c 4096 4 high_watermark 30 low_watermark 40",
            "High watermark must be greater than or equal to low watermark",
        ),
    ],
)
def test_the_word_of_a_table_that_is_wrong_is_named(path: Path, table: str, words: str) -> None:
    files = ("--origin", path / "origin", "--cache", path / "cache", "--socket", path / "s")
    done = command("serve", *files, "--table", table)
    assert done.is_refusal()
    assert done.err == f"writecache: {words}\n"


def test_the_option_that_is_wrong_is_named(path: Path) -> None:
    files = ("--origin", path / "origin", "--cache", path / "cache", "--socket", path / "s")
    for options, words in (
        (["high_watermark"], "high_watermark has no value"),
        (["cleaner", "high_watermark 101"], "101 is no value of high_watermark"),
        (["high_watermark", "cleaner"], "cleaner is no value of high_watermark"),
    ):
        given = [word for option in options for word in ("--option", option)]
        done = command("serve", *files, *given)
        assert done.is_refusal()
        assert done.err == f"writecache: Invalid optional argument: {words}\n"


def _with_block_at_the_end(path: Path) -> None:
    with Engine.open(TABLE, path / "cache", path / "origin") as engine:
        engine.write(SIZE - BLOCK, b"x" * BLOCK, fua=True)


def _damaged(path: Path) -> None:
    _with_block_at_the_end(path)
    with open(path / "cache", "r+b") as file:
        file.write(b"X")


def _cut_origin(path: Path) -> None:
    _with_block_at_the_end(path)
    os.truncate(path / "origin", SIZE - BLOCK)


def _sparse(path: Path) -> None:
    os.truncate(path / "cache", 0)
    os.truncate(path / "cache", 64 * BLOCK)


_GOOD: Final = ("--socket", "socket")
_BAD: Final = (
    ("--socket", "no/socket"),
    (*_GOOD, "--block-size", "7"),
    (*_GOOD, "--option", "high_watermark"),
)


@pytest.mark.parametrize(
    ("prepare", "arguments"),
    [
        *product((_damaged, _cut_origin), (*_BAD, _GOOD)),
        *product((_with_block_at_the_end, _sparse), _BAD),
    ],
)
def test_a_refused_server_leaves_the_cache_as_it_was(
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    prepare: Callable[[Path], None],
    arguments: tuple[str, ...],
) -> None:
    prepare(path)
    monkeypatch.chdir(path)
    os.utime("cache", (1_577_836_800, 1_577_836_800))
    before, content = os.stat("cache"), Path("cache").read_bytes()
    assert command("serve", "--origin", "origin", "--cache", "cache", *arguments).is_refusal()
    after = os.stat("cache")
    assert (after.st_mtime_ns, after.st_blocks) == (before.st_mtime_ns, before.st_blocks)
    assert Path("cache").read_bytes() == content
    assert sorted(os.listdir()) == ["cache", "origin"]


@pytest.mark.parametrize("formatted", [False, True])
def test_what_is_served_has_all_its_blocks(path: Path, formatted: bool) -> None:
    _sparse(path)
    if formatted:
        Engine.open(TABLE, path / "cache", path / "origin", preallocate=False).close()
    assert os.stat(path / "cache").st_blocks * 512 < 64 * BLOCK
    Engine.open(TABLE, path / "cache", path / "origin").close()
    assert os.stat(path / "cache").st_blocks * 512 >= 64 * BLOCK


@pytest.mark.parametrize("prepare", [_sparse, _with_block_at_the_end])
def test_a_cache_that_finds_no_room_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Path], None]
) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    prepare(path)
    content = (path / "cache").read_bytes()
    monkeypatch.setattr(os, "posix_fallocate", full)
    files = ("--origin", path / "origin", "--cache", path / "cache", "--socket", path / "s")
    done = command("serve", *files)
    assert done.is_refusal()
    assert f"{path / 'cache'}: No space left on device" in done.err
    assert (path / "cache").read_bytes() == content


def test_status_table_and_messages_by_the_control_socket(path: Path) -> None:
    control = path / "control"
    with process(path, "--control", control) as server:
        with Client(server.address) as client:
            client.write(0, b"c" * BLOCK)
            client.flush()
        status = command("serve", "--status", control)
        assert (status.code, status.err) == (0, "")
        assert status.out.startswith("0 63 62 0 ")
        assert command("serve", "--message", control, "flush").code == 0
        assert (path / "origin").read_bytes()[:BLOCK] == b"c" * BLOCK
        told = command("serve", "--status", control, "--json").json
        assert told == {"status": told["status"], "table": TABLE}
        assert told["status"].startswith("0 63 63 0 ")
        bad = command("serve", "--message", control, "what")
        assert (bad.code, bad.err) == (1, "writecache: no such message: what\n")
        for sent in (b"", b"x" * 5000, b"\xff\n", b"status x\n", b"message\n", b"\n"):
            with socket.socket(socket.AF_UNIX) as broken:
                broken.connect(str(control))
                broken.sendall(sent)
                broken.shutdown(socket.SHUT_WR)
                with suppress(ConnectionResetError):
                    assert broken.recv(4096)[:8] in (b"", b'{"error"')
        assert command("serve", "--status", control).code == 0
        assert server.end() == (0, "")
    assert command("serve", "--status", control).is_refusal()
    assert not control.exists()


# Real clients: packages libnbd-bin, qemu-utils, e2fsprogs and nbdkit-plugin-python


def test_nbdinfo_and_nbdcopy(path: Path) -> None:
    data = Random(2).randbytes(SIZE)
    (path / "in").write_bytes(data)
    with process(path) as server:
        shown = run_client("nbdinfo", uri_of(server))
        for expected in (f"export-size: {SIZE} ", "can_multi_conn: true", "can_fua: true"):
            assert expected in shown
        assert f"block_size_minimum: {BLOCK}" in shown
        run_client("nbdinfo", "--list", uri_of(server))
        run_client("nbdcopy", "--flush", path / "in", uri_of(server))
        run_client("nbdcopy", "--connections=4", uri_of(server), path / "out")
        assert (path / "out").read_bytes() == data
        assert server.end() == (0, "")


def test_qemu_io(path: Path) -> None:
    steps = (
        *("write -P 7 0 256k", "read -P 7 0 256k", "flush", "write -f -P 9 64k 4k"),
        *("write -z 128k 8k", "write -z -u 136k 4k", "discard 512k 64k", "read -P 9 64k 4k"),
        *("read -P 0 128k 12k", "write -P 5 1000 100", "read -P 5 1000 100", "read -P 7 1100 100"),
    )
    with process(path) as server:
        asked = [word for step in steps for word in ("-c", step)]
        shown = run_client("qemu-io", "-f", "raw", *asked, uri_of(server))
        assert "Pattern verification failed" not in shown
        assert server.end() == (0, "")


def test_a_file_system_is_whole_after_a_kill_and_after_a_drain(path: Path) -> None:
    image, out = path / "image", path / "out"
    (path / "files").mkdir()
    (path / "files" / "file").write_bytes(Random(3).randbytes(100_000))
    image.write_bytes(bytes(SIZE))
    run_client("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", path / "files", image)
    with process(path) as server:
        run_client("nbdcopy", "--flush", image, uri_of(server))
        server.end(signal.SIGKILL)
    with process(path, "--on-exit", "drain") as server:
        run_client("nbdcopy", uri_of(server), out)
        run_client("e2fsck", "-fn", out)
        assert server.end() == (0, "")
    run_client("e2fsck", "-fn", path / "origin")
    assert (path / "origin").read_bytes() == out.read_bytes() == image.read_bytes()


def test_the_engine_under_nbdkit(path: Path) -> None:
    data = Random(4).randbytes(SIZE)
    (path / "in").write_bytes(data)
    files = [f"cache={path / 'cache'}", f"origin={path / 'origin'}"]
    line = ["nbdkit", "-f", "-U", str(path / "s"), "python", nbdkit_plugin.__file__, *files]
    assert shutil.which("nbdkit"), "nbdkit is not installed (see .ci/run)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(line, env=environment) as server:
        uri = f"nbd+unix:///?socket={path / 's'}"
        ends = time.monotonic() + 10
        while not (path / "s").exists():
            assert server.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.01)
        shown = run_client("nbdinfo", uri)
        assert f"block_size_minimum: {BLOCK}" in shown
        assert "can_multi_conn: true" in shown
        run_client("nbdcopy", "--flush", path / "in", uri)
        steps = ("write -f -P 9 64k 4k", "discard 512k 64k", "read -P 9 64k 4k", "write -z 0 4k")
        run_client("qemu-io", "-f", "raw", *(w for s in steps for w in ("-c", s)), uri)
        server.terminate()
        assert server.wait(20) == 0
    with Engine.open(TABLE, path / "cache", path / "origin") as engine:
        assert engine.read(0, BLOCK) == bytes(BLOCK)
        assert engine.read(BLOCK, 15 * BLOCK) == data[BLOCK : 16 * BLOCK]
        assert engine.read(16 * BLOCK, BLOCK) == b"\x09" * BLOCK

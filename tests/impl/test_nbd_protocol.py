"""The NBD server in this process: negotiation, requests, and clients that misbehave."""

import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from random import Random

import nbd_client as nbd
import pytest
from nbd_client import (
    BLOCK,
    N_BLOCKS,
    SIZE,
    Client,
    GoneError,
    RefusedError,
    Running,
    header,
    info,
    served,
)

UNSUPPORTED, INVALID, UNKNOWN = 2**31 + 1, 2**31 + 3, 2**31 + 6


@pytest.fixture(params=(False, True), ids=("waits", "polls"))
def server(request: pytest.FixtureRequest) -> Iterator[Running]:
    with served(polls=request.param) as running:
        yield running


def opened(server: Running, flags: int = 3) -> Client:
    """A client that has said nothing but its flags."""
    client = Client(server.address, go=False)
    client.send(struct.pack(">I", flags))
    return client


def kinds(client: Client, number: int, data: bytes = b"") -> list[int]:
    return [kind for kind, _ in client.ask(number, data)]


def test_options_are_answered_and_unknown_ones_refused(server: Running) -> None:
    with opened(server) as client:
        assert client.ask(3) == [(2, bytes(4)), (1, b"")]
        assert kinds(client, 3, b"x") == [INVALID]
        assert kinds(client, 5) == [UNSUPPORTED]
        assert kinds(client, 10, bytes(8)) == [UNSUPPORTED]
        assert kinds(client, 4711, b"what") == [UNSUPPORTED]
        assert kinds(client, 8, b"x") == [INVALID]
        assert kinds(client, 6, info(b"other")) == [UNKNOWN]
        assert kinds(client, 7, info(b"other")) == [UNKNOWN]
        for bad in (b"", bytes(5), struct.pack(">IH", 9, 0), info() + b"x", b"\xff" * 8):
            assert kinds(client, 7, bad) == [INVALID]
        assert client.ask(6, info(b"", 1, 3))[1:3] == [
            (3, struct.pack(">H", 1)),
            (3, struct.pack(">HIII", 3, BLOCK, BLOCK, nbd.LONGEST)),
        ]
        client.go()
        assert client.read(0, BLOCK) == bytes(BLOCK)


@pytest.mark.parametrize("structured", [False, True])
def test_what_the_export_can_do_is_told(server: Running, structured: bool) -> None:
    with Client(server.address, structured=structured) as client:
        assert client.size == SIZE
        assert client.block_sizes == (BLOCK, BLOCK, nbd.LONGEST)
        assert client.flags == (0b1_1110_1101 if structured else 0b1_0110_1101)


@pytest.mark.parametrize("flags", [1, 3])
def test_an_old_client_names_the_export(server: Running, flags: int) -> None:
    with opened(server, flags) as client:
        client.send(nbd.option(1))
        expected = struct.pack(">QH", SIZE, 0b1_0110_1101)
        assert client.take(10) == expected
        if flags == 1:
            assert client.take(124) == bytes(124)
        assert client.read(0, BLOCK) == bytes(BLOCK)
    with opened(server, flags) as client:
        client.send(nbd.option(1, b"other"))
        with pytest.raises(GoneError):
            client.take(1)


def test_abort_and_what_is_no_option_end_the_connection(server: Running) -> None:
    with opened(server) as client:
        assert kinds(client, 2) == [1]
        with pytest.raises(GoneError):
            client.take(1)
    for flags, sent in (
        (3, nbd.option(3, magic=7)),
        (3, struct.pack(">QII", 0x49484156454F5054, 3, 2**32 - 1)),
        (2**31, b""),
    ):
        with opened(server, flags) as client, pytest.raises(GoneError):
            client.do(sent)


@pytest.mark.parametrize("structured", [False, True])
def test_every_command_does_what_it_says(server: Running, structured: bool) -> None:
    data = os.urandom(3 * 2**20 // 4)
    with Client(server.address, structured=structured) as client:
        client.write(0, data)
        assert client.read(0, len(data)) == data
        client.write(BLOCK, b"f" * BLOCK, nbd.FUA)
        client.flush()
        for flags in (0, nbd.FUA, nbd.NO_HOLE):
            client.write(4 * BLOCK, b"n" * 2 * BLOCK)
            client.do(header(nbd.ZEROES, 4 * BLOCK, 2 * BLOCK, flags))
            assert client.read(4 * BLOCK, 2 * BLOCK) == bytes(2 * BLOCK)
        client.do(header(nbd.TRIM, 8 * BLOCK, 2 * BLOCK, nbd.FUA))
        allowed = (bytes(BLOCK), data[8 * BLOCK : 9 * BLOCK])
        assert client.read(8 * BLOCK, BLOCK) in allowed
        client.write(8 * BLOCK, b"t" * BLOCK)
        assert client.read(7 * BLOCK, 2 * BLOCK) == data[7 * BLOCK : 8 * BLOCK] + b"t" * BLOCK
        if structured:
            assert client.do(header(nbd.READ, BLOCK, BLOCK, nbd.DF), BLOCK) == b"f" * BLOCK
        client.send(header(nbd.DISC))
        with pytest.raises(GoneError):
            client.take(1)


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.parametrize(
    ("command", "offset", "length", "flags", "error"),
    [
        (nbd.READ, 512, BLOCK, 0, nbd.EINVAL),
        (nbd.READ, 0, 512, 0, nbd.EINVAL),
        (nbd.READ, 0, 0, 0, nbd.EINVAL),
        (nbd.READ, SIZE, BLOCK, 0, nbd.EINVAL),
        (nbd.READ, 2**64 - BLOCK, BLOCK, 0, nbd.EINVAL),
        (nbd.READ, 0, 2**32 - BLOCK, 0, nbd.EINVAL),
        (nbd.READ, 0, BLOCK, 0x80, nbd.EINVAL),
        (nbd.WRITE, 1, BLOCK, 0, nbd.EINVAL),
        (nbd.WRITE, 0, 100, 0, nbd.EINVAL),
        (nbd.WRITE, 0, BLOCK, nbd.DF, nbd.EINVAL),
        (nbd.WRITE, SIZE - BLOCK, 2 * BLOCK, 0, nbd.ENOSPC),
        (nbd.TRIM, 0, 100, 0, nbd.EINVAL),
        (nbd.TRIM, SIZE, BLOCK, 0, nbd.EINVAL),
        (nbd.ZEROES, 512, 512, 0, nbd.EINVAL),
        (nbd.ZEROES, SIZE, BLOCK, 0, nbd.ENOSPC),
        (nbd.ZEROES, 0, BLOCK, 16, nbd.EINVAL),
        (nbd.FLUSH, 1, 0, 0, nbd.EINVAL),
        (5, 0, 0, 0, nbd.EINVAL),
        (7, 0, BLOCK, 0, nbd.EINVAL),
        (0xFFFF, 0, 0, 0, nbd.EINVAL),
    ],
)
def test_a_bad_request_is_refused_changes_nothing_and_the_next_one_is_served(
    server: Running,
    structured: bool,
    command: int,
    offset: int,
    length: int,
    flags: int,
    error: int,
) -> None:
    with Client(server.address, structured=structured) as client:
        client.write(0, b"k" * BLOCK)
        payload = bytes(length) if command == nbd.WRITE else b""
        client.send(header(command, offset, length, flags, cookie=99) + payload)
        expects_data = 1 if command == nbd.READ else 0
        assert client.reply(expects_data) == (99, error, b"")
        assert client.read(0, BLOCK) == b"k" * BLOCK
        assert client.read(BLOCK, SIZE - BLOCK) == bytes(SIZE - BLOCK)


@pytest.mark.parametrize(
    "sent",
    [
        header(nbd.READ, 0, BLOCK, magic=1),
        header(nbd.WRITE, 0, nbd.LONGEST + BLOCK),
        header(nbd.WRITE, 0, 2**32 - 1),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_is_no_request_ends_the_connection_and_no_other(server: Running, sent: bytes) -> None:
    with Client(server.address) as other, Client(server.address) as client:
        with pytest.raises(GoneError):
            client.do(sent)
        other.write(0, b"o" * BLOCK)
        assert other.read(0, BLOCK) == b"o" * BLOCK


def test_a_client_that_dies_in_a_write_has_not_written(server: Running) -> None:
    with Client(server.address) as other:
        other.write(0, b"o" * 4 * BLOCK)
        for sent in range(0, 4 * BLOCK, 1000):
            with Client(server.address) as client:
                client.send(header(nbd.WRITE, 0, 4 * BLOCK) + b"x" * sent)
        for sent in range(28):
            with Client(server.address) as client:
                client.send(header(nbd.ZEROES, 0, BLOCK)[:sent])
        ends = time.monotonic() + 10
        while server.server.n_connections > 1:
            assert time.monotonic() < ends
            time.sleep(0.01)
        assert other.read(0, 4 * BLOCK) == b"o" * 4 * BLOCK


def test_a_client_that_dies_with_replies_under_way_harms_nobody(server: Running) -> None:
    for _ in range(20):
        with Client(server.address) as client:
            client.send(header(nbd.READ, 0, SIZE) * 20)
    with Client(server.address) as client:
        assert client.read(0, BLOCK) == bytes(BLOCK)


def test_half_a_negotiation_is_cut_after_a_while() -> None:
    with (
        served(negotiation_s=0.3) as running,
        Client(running.address) as good,
        Client(running.address, go=False) as slow,
    ):
        with pytest.raises(GoneError):
            slow.take(1)
        assert good.read(0, BLOCK) == bytes(BLOCK)


def test_one_connection_too_many_is_closed_and_the_others_go_on(server: Running) -> None:
    clients = [Client(server.address) for _ in range(64)]
    try:
        with pytest.raises((GoneError, OSError)):
            Client(server.address)
        assert all(client.read(0, BLOCK) == bytes(BLOCK) for client in clients)
    finally:
        for client in clients:
            client.close()


def test_many_requests_at_once_are_all_replied_to(server: Running) -> None:
    with Client(server.address, structured=True) as client:
        sent = [header(nbd.FLUSH, cookie=2**40 + i) for i in range(100)]
        sent += [
            header(nbd.WRITE, i * BLOCK, BLOCK, i % 2, cookie=i) + bytes([i]) * BLOCK
            for i in range(100)
        ]
        Random(1).shuffle(sent)
        client.send(b"".join(sent))
        replies = [client.reply() for _ in sent]
        cookies = {cookie for cookie, _, _ in replies}
        assert cookies == {*range(100), *range(2**40, 2**40 + 100)}
        assert not any(error for _, error, _ in replies)
        expected = b"".join(bytes([i]) * BLOCK for i in range(100))
        assert client.read(0, 100 * BLOCK) == expected


@pytest.mark.parametrize("structured", [False, True])
def test_more_reads_than_may_wait_for_their_replies(server: Running, structured: bool) -> None:
    """Some of what is in the cache, some of what is not."""
    datas = {n: os.urandom(BLOCK) for n in range(0, 200, 2)}
    with Client(server.address, structured=structured) as client:
        for n, data in datas.items():
            client.write(n * BLOCK, data)
        asked = [Random(2).randrange(0, 200) for _ in range(2000)]
        asked += [Random(3).choice(list(datas)) for _ in range(1000)]
        reads = (header(nbd.READ, n * BLOCK, BLOCK, cookie=i) for i, n in enumerate(asked))
        client.send(b"".join(reads))
        found = dict(client.reply(BLOCK)[::2] for _ in asked)
    assert found == {i: datas.get(n, bytes(BLOCK)) for i, n in enumerate(asked)}


def test_what_is_in_the_cache_is_read_without_another_thread(server: Running) -> None:
    def n_threads() -> int:
        return sum(thread.name == "nbd" for thread in threading.enumerate())

    with Client(server.address) as client:
        for n in range(20):
            client.write(n * BLOCK, bytes([n]) * BLOCK)
            assert client.read(n * BLOCK, BLOCK) == bytes([n]) * BLOCK
        assert n_threads() == 1
        assert client.read(30 * BLOCK, BLOCK) == bytes(BLOCK)
        assert n_threads() == 2


def test_short_writes_are_replied_to_before_the_next_request_has_come_whole(
    server: Running,
) -> None:
    """Of what is sent any part may come first: nobody waits for somebody who waits."""
    writes = [
        nbd.header(nbd.WRITE, n * BLOCK, BLOCK, cookie=n) + os.urandom(BLOCK) for n in range(9)
    ]
    for cut in (1, 27, 28, 29, BLOCK, BLOCK + 27):
        with Client(server.address) as client:
            client.send(b"".join(writes) + writes[0][:cut])
            assert [client.reply()[:2] for _ in writes] == [(n, 0) for n in range(9)]
            client.send(writes[0][cut:])
            assert client.reply()[:2] == (0, 0)
            for number, write in enumerate(writes):
                assert client.read(number * BLOCK, BLOCK) == write[28:]


def test_what_was_asked_before_nonsense_is_done_and_replied_to(server: Running) -> None:
    data = os.urandom(BLOCK)
    with Client(server.address) as client:
        write = nbd.header(nbd.WRITE, BLOCK, BLOCK) + data
        client.send(write * 3 + nbd.header(nbd.WRITE, 0, BLOCK, magic=7))
        assert [client.reply() for _ in range(3)] == [(1, 0, b"")] * 3
        with pytest.raises(GoneError):
            client.reply()
    with Client(server.address) as client:
        assert client.read(BLOCK, BLOCK) == data


@pytest.mark.parametrize("n_blocks", [30, 31, 32, 33, 64, 200])
def test_writes_longer_than_what_is_received_at_once_come_whole(
    server: Running, n_blocks: int
) -> None:
    with Client(server.address) as client:
        datas = [os.urandom(n_blocks * BLOCK) for _ in range(3)]
        short = nbd.header(nbd.WRITE, 255 * BLOCK, BLOCK, cookie=9) + bytes(BLOCK)
        for number, data in enumerate(datas):
            # Which of them ends first is open where the cache has no room for both.
            client.send(nbd.header(nbd.WRITE, 0, len(data), cookie=number) + data + short)
            assert {client.reply()[0], client.reply()[0]} == {number, 9}
        assert client.read(0, n_blocks * BLOCK) == datas[-1]


def test_many_connections_see_what_each_has_written(server: Running) -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        random = Random(number)
        mine = range(number * 16, number * 16 + 16)
        held: dict[int, bytes] = {}
        try:
            with Client(server.address, structured=bool(number % 2)) as client:
                for turn in range(150):
                    place = random.choice(mine)
                    held[place] = random.randbytes(BLOCK)
                    client.write(place * BLOCK, held[place], random.choice((0, 0, nbd.FUA)))
                    other = random.choice(list(held))
                    if client.read(other * BLOCK, BLOCK) != held[other]:
                        wrong.append((number, other))
                    if turn % 50 == 49:
                        client.flush()
            with Client(server.address) as client:
                wrong.extend(
                    (number, place)
                    for place, data in held.items()
                    if client.read(place * BLOCK, BLOCK) != data
                )
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(N_BLOCKS // 16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_stop_ends_what_is_under_way_and_clients_that_do_not_read() -> None:
    with served(grace_s=0.2) as running:
        stuck = Client(running.address)
        stuck.send(header(nbd.READ, 0, SIZE) * 40)
        with Client(running.address) as client:
            client.write(0, b"s" * BLOCK)
            running.server.stop()
            with pytest.raises(GoneError):
                client.take(1)
        stuck.close()


def test_an_engine_that_fails_says_so_and_goes_on_reading(server: Running) -> None:
    with Client(server.address) as client:
        client.write(0, b"e" * BLOCK)
        with server.engine.lock:
            assert server.engine._wc is not None
            server.engine._wc.fail("planted")
        with pytest.raises(RefusedError, match="5"):
            client.write(0, b"x" * BLOCK)
        with pytest.raises(RefusedError, match="5"):
            client.flush()
        assert client.read(0, BLOCK) == b"e" * BLOCK
        server.engine.reload(nbd.TABLE)
        assert client.read(BLOCK, BLOCK) == bytes(BLOCK)


def test_a_socket_of_the_dead_is_replaced_and_one_of_the_living_is_not() -> None:
    with nbd.folder() as path:
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(str(path / "socket"))
        dead.close()
        running = Running(path)
        try:
            with pytest.raises(OSError, match="a server listens there"):
                nbd.listen_unix(path / "socket")
            with pytest.raises(OSError, match="no socket"):
                nbd.listen_unix(path / "cache")
            assert (path / "socket").stat().st_mode & 0o777 == 0o600
            with Client(running.address) as client:
                assert client.read(0, BLOCK) == bytes(BLOCK)
        finally:
            running.stop()
        assert not (path / "socket").exists()

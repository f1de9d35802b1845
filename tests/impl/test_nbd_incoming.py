"""What a client sends, as it comes: in pieces, late, and polled for."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import product
from random import Random
from typing import NamedTuple

import pytest

from writecache_impl.nbd import incoming
from writecache_impl.nbd.incoming import Incoming


class Ends(NamedTuple):
    """A client's socket, what the server has of it, and how often it was about to wait."""

    client: socket.socket
    incoming: Incoming
    waits: list[float]


@contextmanager
def ends(polls: bool, may_poll: bool = True) -> Iterator[Ends]:
    client, server = socket.socketpair()
    waits: list[float] = []

    def before_waiting() -> bool:
        waits.append(time.monotonic())
        return may_poll

    with closing(client), closing(server):
        yield Ends(client, Incoming(server, before_waiting, polls), waits)


@pytest.fixture
def n_polls(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How often a client was polled; and more than one processor."""
    found = [0]
    polled = Incoming._polled

    def counted(self: Incoming, place: memoryview, until: int) -> int | None:
        found[0] += 1
        return polled(self, place, until)

    monkeypatch.setattr(Incoming, "_polled", counted)
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 1})
    # Machines that are busy are slow.
    monkeypatch.setattr(incoming, "_LIVELY_NS", 10**9)
    return found


@pytest.mark.parametrize(("polls", "may_poll"), list(product((False, True), repeat=2)))
def test_pieces_of_any_length_arrive_whole(polls: bool, may_poll: bool) -> None:
    random = Random(1)
    sizes = [random.choice((1, 28, 4096, 2**17 - 1, 2**17, 2**17 + 1, 2**20)) for _ in range(60)]
    data = random.randbytes(sum(sizes))

    def send(client: socket.socket) -> None:
        sent = 0
        while sent < len(data):
            piece = random.choice((3, 28, 5000, 300_000))
            client.sendall(data[sent : sent + piece])
            sent += piece
            if random.random() < 0.1:
                time.sleep(0.0003)

    with ends(polls, may_poll) as met:
        sender = threading.Thread(target=send, args=(met.client,))
        sender.start()
        taken = 0
        for size in sizes:
            assert met.incoming.take(size) == data[taken : taken + size]
            taken += size
        sender.join()
        assert met.waits


def test_a_lively_client_is_polled_and_one_that_takes_its_time_is_not(n_polls: list[int]) -> None:
    with ends(polls=True) as met:
        for _ in range(3):
            met.client.sendall(b"x")
            met.incoming.take(1)
        assert n_polls == [2]
        threading.Timer(1.1, met.client.sendall, (b"y",)).start()
        assert met.incoming.take(1) == b"y"
        assert n_polls == [3]
        met.client.sendall(b"z")
        met.incoming.take(1)
        assert n_polls == [3]


@pytest.mark.parametrize(("polls", "may_poll"), [(False, True), (True, False)])
def test_nobody_is_polled_where_that_hinders(
    polls: bool, may_poll: bool, n_polls: list[int]
) -> None:
    with ends(polls, may_poll) as met:
        for _ in range(4):
            met.client.sendall(b"x")
            met.incoming.take(1)
    assert n_polls == [0]


def test_nobody_is_polled_on_a_single_processor(
    n_polls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0})
    with ends(polls=True) as met:
        for _ in range(4):
            met.client.sendall(b"x")
            met.incoming.take(1)
    assert n_polls == [0]


def test_one_client_is_polled_at_a_time(
    n_polls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ends(polls=True) as met:
        for _ in range(2):
            met.client.sendall(b"x")
            met.incoming.take(1)
        monkeypatch.setattr(incoming, "_POLL_NS", 10**9)
        received: list[int] = []
        monkeypatch.setattr("time.perf_counter_ns", lambda: received.append(1) or 0)
        with incoming._POLLING:
            threading.Timer(0.01, met.client.sendall, (b"y",)).start()
            assert met.incoming.take(1) == b"y"
        # When it begins to wait, and when it has ended: nothing is asked in between.
        assert len(received) == 2
        assert not incoming._POLLING.locked()


def test_a_client_that_goes_while_it_is_polled_is_gone(n_polls: list[int]) -> None:
    with ends(polls=True) as met:
        for _ in range(2):
            met.client.sendall(b"x")
            met.incoming.take(1)
        met.client.close()
        with pytest.raises(EOFError):
            met.incoming.take(1)
        assert n_polls == [2]
        assert not incoming._POLLING.locked()

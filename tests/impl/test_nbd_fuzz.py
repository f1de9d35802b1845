"""The fuzzer finds nothing, and finds what is planted."""

import pytest
from nbd_client import BLOCK
from nbd_fuzz import described, fuzz

from writecache_impl.nbd import connection, requests
from writecache_impl.nbd.incoming import Incoming
from writecache_impl.nbd.protocol import Request
from writecache_impl.nbd.requests import Export

N_REQUESTS = 20_000


def test_mutated_requests_have_the_replies_they_are_due_and_harm_no_data(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fuzzer = fuzz(N_REQUESTS, seed=7)
    with capsys.disabled():
        print(f"\nnbd fuzz: {described(fuzzer)}")
    assert fuzzer.n_requests == N_REQUESTS
    assert fuzzer.n_refused > N_REQUESTS // 5
    assert fuzzer.n_ended > N_REQUESTS // 100
    assert fuzzer.n_handshakes > N_REQUESTS // 100


def _rounds_down(export: Export, request: Request, structured: bool) -> str:
    whole = request._replace(offset=request.offset // BLOCK * BLOCK)
    return _REFUSAL(export, whole, structured)


def _ignores_flags(export: Export, request: Request, structured: bool) -> str:
    return _REFUSAL(export, request._replace(flags=0), structured)


_REFUSAL = requests.refusal


@pytest.mark.parametrize("planted", [_rounds_down, _ignores_flags])
def test_a_check_that_is_too_weak_is_caught(
    monkeypatch: pytest.MonkeyPatch, planted: object
) -> None:
    monkeypatch.setattr(requests, "refusal", planted)
    with pytest.raises(AssertionError):
        fuzz(N_REQUESTS, seed=7)


def test_zeros_that_are_not_written_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "_write_zeros", lambda *_: None)
    with pytest.raises(AssertionError, match=r"not what was written|what nobody wrote"):
        fuzz(N_REQUESTS, seed=7)


def test_a_write_whose_data_has_not_come_whole_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Incoming.take

    def take(self: Incoming, size: int) -> memoryview:
        try:
            return honest(self, size)
        except EOFError:
            if size < BLOCK:
                raise
            return memoryview(bytes(size))

    monkeypatch.setattr(Incoming, "take", take)
    with pytest.raises(AssertionError):
        fuzz(N_REQUESTS, seed=7)


def test_a_write_that_is_taken_for_too_long_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "MAXIMUM_PAYLOAD", BLOCK)
    with pytest.raises(AssertionError, match="has ended"):
        fuzz(N_REQUESTS, seed=7)

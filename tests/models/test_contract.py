"""The contract allows what any order of events could leave, and nothing else."""

from collections.abc import Callable, Iterator
from itertools import combinations, permutations
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import writecache_models.contract as contract_module
from writecache_models.alike import contract_key
from writecache_models.contract import ZERO, Contract, Request, Version


def written(contract: Contract, sector: int, *values: int, fua: bool = False) -> None:
    contract.end(contract.write(sector, values, fua))


def flushed(contract: Contract) -> None:
    contract.end_flush(contract.flush())


def test_a_read_returns_the_last_completed_write() -> None:
    contract = Contract({0: 9})
    assert (contract.readable(0), contract.readable(1)) == ({9}, {ZERO})
    written(contract, 0, 1, 2)
    written(contract, 0, 3)
    assert contract.read(0, [3, 2]) == []
    assert contract.read(0, [1, 9]) == [(0, 1), (1, 9)]


def test_a_crash_leaves_what_was_flushed_or_anything_since_sector_by_sector() -> None:
    contract = Contract()
    written(contract, 0, 1, 1)
    flushed(contract)
    written(contract, 0, 2, 2)
    written(contract, 0, 3)
    assert (contract.survivors(0), contract.survivors(1)) == ({1, 2, 3}, {1, 2})
    contract.crash()
    assert contract.read(0, [2, 1]) == []
    # What a read has seen after a crash stays.
    assert contract.read(0, [3, 1]) == [(0, 3)]
    contract.crash()
    assert contract.readable(0) == {2}


def test_a_flush_covers_what_had_ended_before_it_began() -> None:
    contract = Contract()
    late = contract.write(0, [1])
    flush = contract.flush()
    contract.end(late)
    contract.end_flush(flush)
    assert contract.survivors(0) == {ZERO, 1}
    assert contract.readable(0) == {1}
    failed = contract.flush()
    contract.end_flush(failed, failed=True)
    assert contract.survivors(0) == {ZERO, 1}
    flushed(contract)
    assert contract.survivors(0) == {1}


def test_a_fua_write_is_durable_itself_and_nothing_else_is() -> None:
    contract = Contract()
    written(contract, 1, 5)
    written(contract, 0, 6, fua=True)
    assert (contract.survivors(0), contract.survivors(1)) == ({6}, {ZERO, 5})


def test_writes_that_overlap_in_time_come_out_in_either_order() -> None:
    contract = Contract()
    one, other = contract.write(0, [1]), contract.write(0, [2])
    assert contract.readable(0) == {ZERO, 1, 2}
    contract.end(one)
    assert contract.readable(0) == {1, 2}
    contract.end(other)
    assert contract.readable(0) == {1, 2}
    written(contract, 0, 3)
    assert contract.readable(0) == {3}


def test_a_failed_write_may_show_until_the_next_one() -> None:
    contract = Contract()
    written(contract, 0, 1)
    contract.end(contract.write(0, [2]), failed=True)
    assert contract.readable(0) == {1, 2}
    written(contract, 0, 3)
    assert contract.readable(0) == {3}


def test_a_discarded_sector_holds_anything_that_it_ever_held() -> None:
    contract = Contract({0: 9})
    for value in (1, 2):
        written(contract, 0, value)
    flushed(contract)
    contract.end(contract.discard(0, 1))
    assert contract.readable(0) == {ZERO, 9, 1, 2}
    assert [contract.read(0, [value]) for value in (1, 9, 2)] == [[], [], []]
    written(contract, 0, 4)
    assert contract.readable(0) == {4}


def test_a_flush_message_is_asked_of_the_origin() -> None:
    contract = Contract()
    written(contract, 0, 1)
    written(contract, 0, 2)
    message = contract.flush_message()
    written(contract, 0, 3)
    assert contract.in_origin(0, message) == {2, 3}


# Against all orders of events, one by one


class Write(NamedTuple):
    value: int
    began: int
    ended: int | None
    failed: bool
    durable: bool


Action = tuple[str, int]
ACTIONS = st.lists(
    st.tuples(st.sampled_from(["write", "fua", "end", "fail", "flush"]), st.integers(0, 3)),
    max_size=9,
)


def play(actions: list[Action], contract: Contract) -> list[Write]:
    """Do the actions on one sector; what was written, with the moments of an own clock."""
    open_writes: list[tuple[Request, int, int, bool]] = []
    writes: list[Write] = [Write(ZERO, -1, -1, failed=False, durable=True)]
    for moment, (kind, which) in enumerate(actions):
        if kind in ("write", "fua"):
            value = moment + 1
            request = contract.write(0, [value], kind == "fua")
            open_writes.append((request, value, moment, kind == "fua"))
        elif kind == "flush":
            flushed(contract)
            writes = [w._replace(durable=w.durable or not w.failed) for w in writes]
        elif open_writes:
            request, value, began, fua = open_writes.pop(which % len(open_writes))
            contract.end(request, failed=kind == "fail")
            failed = kind == "fail"
            writes.append(Write(value, began, moment, failed, fua and not failed))
    return [*writes, *(Write(v, b, None, False, False) for _, v, b, _ in open_writes)]


def last_values(writes: list[Write], needed: Callable[[Write], bool]) -> set[int]:
    """The last value in every order of every set that holds what is needed."""

    def in_time(order: tuple[Write, ...]) -> bool:
        return not any(
            later.ended is not None and later.ended < earlier.began
            for earlier, later in combinations(order, 2)
        )

    def sets() -> Iterator[list[Write]]:
        firm = [one for one in writes if needed(one)]
        free = [one for one in writes if not needed(one)]
        for size in range(len(free) + 1):
            for chosen in combinations(free, size):
                yield [*firm, *chosen]

    return {order[-1].value for one in sets() for order in permutations(one) if in_time(order)}


def disagreement(actions: list[Action]) -> bool:
    contract = Contract()
    writes = play(actions, contract)
    now = last_values(writes, lambda one: one.ended is not None and not one.failed)
    after = last_values(writes, lambda one: one.durable)
    return contract.readable(0) != now or contract.survivors(0) != after


@settings(max_examples=300, deadline=None)
@given(ACTIONS)
@example([("write", 0), ("write", 0), ("end", 0), ("flush", 0), ("end", 0), ("write", 0)])
def test_it_allows_what_some_order_of_events_leaves(actions: list[Action]) -> None:
    # Six writes in all orders are as many as there is time for.
    if sum(kind in ("write", "fua") for kind, _ in actions) <= 5:
        assert not disagreement(actions)


OVERLAPPING: list[Action] = [("write", 0), ("write", 0), ("end", 0), ("end", 0)]


@pytest.mark.parametrize(
    ("wrong", "actions"),
    [
        (lambda one, limit: True, [("write", 0), ("end", 0)]),
        (lambda one, limit: one.began >= limit, OVERLAPPING),
        (lambda one, limit: one.ended is not None and one.ended >= limit, [("write", 0)] * 2),
    ],
    ids=["nothing is superseded", "the last to begin wins", "what is in flight is gone"],
)
def test_a_wrong_rule_is_caught(
    monkeypatch: pytest.MonkeyPatch,
    wrong: Callable[[Version, int], bool],
    actions: list[Action],
) -> None:
    def standing(versions: list[Version], firm: list[Version]) -> tuple[Version, ...]:
        limit = max((one.began for one in firm), default=-1)
        return tuple(one for one in versions if wrong(one, limit))

    assert not disagreement(actions)
    monkeypatch.setattr(contract_module, "standing", standing)
    assert disagreement(actions)


def test_equal_contracts_have_equal_keys_and_forks_are_independent() -> None:
    one, other = Contract(), Contract()
    flushed(other)
    for contract in (one, other):
        written(contract, 3, 7)
    assert contract_key(one) == contract_key(other)
    fork = one.fork()
    written(fork, 3, 8)
    assert one.readable(3) == {7}
    assert contract_key(fork) != contract_key(one)
    in_flight = other.fork()
    in_flight.write(3, [8])
    assert contract_key(in_flight) != contract_key(fork)

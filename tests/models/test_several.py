"""Several clients at once: what they may see, and what they may not."""

from dataclasses import replace

import pytest

from writecache_models.checker import Checker
from writecache_models.devices import pattern
from writecache_models.digests import content_digest
from writecache_models.observations import new_machine, observe, perform
from writecache_models.trace import Observation, Op, Trace, op_problem
from writecache_spec.profile import PROFILES

PROFILE = PROFILES["1.6.0"]
TRACE = Trace(
    name="several",
    kernel=None,
    target=None,
    table="s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0",
    cache_sectors=64,
    origin_sectors=256,
)


def played(*ops: Op, trace: Trace = TRACE) -> list[Observation]:
    """What the canonical schedule shows."""
    machine = new_machine(trace, PROFILE)
    seen = []
    for op in ops:
        outcome = perform(machine, op, trace.table)
        seen.append(observe(machine, op, outcome))
    return seen


def explains(ops: list[Op], seen: list[Observation]) -> bool:
    checker = Checker(TRACE, PROFILE)
    return all(checker.step(op, one).explained for op, one in zip(ops, seen, strict=True))


@pytest.mark.parametrize(
    "request_",
    [["write", 0, 64, 1], ["read", 0, 64], ["flush"], ["discard", 8, 40], ["write_dsync", 8, 8, 2]],
)
def test_who_comes_alone_sees_what_one_client_sees(request_: Op) -> None:
    """Beside a read of a place that nobody touches, which is counted."""
    roomy = replace(TRACE, cache_sectors=512)
    before: list[Op] = [["open"], ["write", 0, 24, 7], ["flush"], ["write", 8, 8, 8]]
    alone = played(*before, request_, ["read", 200, 8], trace=roomy)
    both = played(*before, ["together", request_, ["read", 200, 8]], trace=roomy)
    assert both[-1]["cache"] == alone[-1]["cache"]
    assert both[-1]["origin"] == alone[-1]["origin"]
    assert both[-1]["status"] == alone[-1]["status"]
    parts = [{key: one[key] for key in ("errno", "read") if key in one} for one in alone[-2:]]
    assert both[-1]["together"] == parts


def test_either_of_two_writes_may_be_the_last_but_no_third() -> None:
    ops: list[Op] = [["open"], ["together", ["write", 0, 8, 1], ["write", 0, 8, 2]], ["read", 0, 8]]
    explained = []
    for order in ((1, 2), (2, 1), (1, 3)):
        seen = played(["open"], *(["write", 0, 8, tag] for tag in order), ["read", 0, 8])
        together = {**seen[2], "together": [{}, {}]}
        explained.append(explains(ops, [seen[0], together, seen[3]]))
    assert explained == [True, True, False]


def test_a_reader_waits_for_whoever_writes_the_block() -> None:
    """Else it would see a stranger's data, which the block of the cache held before."""
    ops: list[Op] = [
        *(["open"], ["write", 64, 56, 5], ["message", "flush"]),
        ["together", ["write", 0, 8, 6], ["read", 0, 8]],
    ]
    seen = played(*ops)
    strangers = [content_digest(pattern(place, 8, 5)) for place in range(64, 120, 8)]
    new = content_digest(pattern(0, 8, 6))
    explained = [
        explains(ops, [*seen[:-1], {**seen[-1], "together": [{}, {"read": value}]}])
        for value in (new, content_digest(bytes(4096)), *strangers)
    ]
    assert explained == [True, *[False] * 8]


def test_an_error_is_seen_by_whom_it_concerns() -> None:
    ops: list[Op] = [
        ["open"],
        ["fail", "origin", "error", 64, 8],
        ["together", ["read", 64, 8], ["read", 0, 8], ["write", 256, 8, 1], ["discard", 255, 2]],
    ]
    parts = played(*ops)[-1]["together"]
    assert [part.get("errno") for part in parts] == ["EIO", None, "ENOSPC", "EINVAL"]


@pytest.mark.parametrize(
    "op",
    [
        ["together"],
        ["together", ["flush"]],
        ["together", ["flush"], ["open"]],
        ["together", ["flush"], ["begin", "flush"]],
        ["together", ["flush"], ["together", ["flush"], ["flush"]]],
        ["together", ["flush"], ["write", 0, 0, 1]],
        ["together", ["flush"], 3],
        ["together", *[["flush"]] * 9],
    ],
)
def test_what_cannot_be_done_together_is_refused(op: Op) -> None:
    assert op_problem(op) is not None
    assert op_problem(["together", ["flush"], ["read", 0, 8]]) is None


def test_crowds_leave_no_trace_of_their_clients() -> None:
    """A machine that has done them is as one that has not: what it carries on is its state."""
    machine = new_machine(replace(TRACE, name="after"), PROFILE)
    perform(machine, ["open"], TRACE.table)
    perform(machine, ["together", ["write", 0, 64, 1], ["flush"], ["read", 0, 64]], TRACE.table)
    assert machine.fork().fingerprint() == machine.fingerprint()

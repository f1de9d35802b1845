"""Devices of which sectors fail, and what a machine on them does."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import product

import pytest
from machines import line, machine, play, tags

from writecache_models.actions import HangError, Outcome, PanicError
from writecache_models.content import Content
from writecache_models.devices import Devices, FaultError, pattern
from writecache_models.faults import OF_DISKS, Fault, FaultKind, fault_of
from writecache_models.judge import judge
from writecache_models.machine import Machine
from writecache_models.observations import UnusableStepError, new_machine, observe, perform
from writecache_models.trace import Op, op_problem
from writecache_models.workloads import generate
from writecache_spec.events import Device
from writecache_spec.profile import PROFILES

ERROR, FLAKEY = FaultKind.ERROR, FaultKind.FLAKEY
CACHE, ORIGIN = Device.CACHE, Device.ORIGIN


def devices(device: Device, kind: FaultKind, *place: int) -> Devices:
    made = Devices(Content(20 * 512), Content(20 * 512))
    made.fail(device, Fault(kind, range(*place)))
    return made


@pytest.mark.parametrize("kind", OF_DISKS)
def test_a_write_that_fails_writes_what_does_not(kind: FaultKind) -> None:
    made = devices(ORIGIN, kind, 3, 5)
    with pytest.raises(FaultError):
        made.write(ORIGIN, 2, pattern(2, 4, 7))
    written = bytes(512).join((pattern(2, 1, 7), b"", pattern(5, 1, 7)))
    assert made.origin.read(2 * 512, 4 * 512) == written
    made.write(ORIGIN, 5, pattern(5, 2, 8))
    made.write(CACHE, 3, pattern(3, 1, 9))
    made.fail(ORIGIN, None)
    made.write(ORIGIN, 3, pattern(3, 1, 9))


def test_reads_fail_under_one_target_and_flushes_under_the_other() -> None:
    for kind in FaultKind:
        made = devices(CACHE, kind, 3, 5)
        assert made.fails(CACHE, 4, 1, writes=False) == (kind is ERROR)
        assert made.fails_flush(CACHE) == (kind is FLAKEY)
        assert not made.fails(CACHE, 5, 9, writes=True)
        assert not made.fails_flush(ORIGIN)
    with pytest.raises(FaultError):
        devices(CACHE, ERROR, 3, 5).copy(2, 0, 2)
    made = devices(ORIGIN, ERROR, 1, 2)
    made.write(CACHE, 2, pattern(2, 2, 1))
    with pytest.raises(FaultError):
        made.copy(2, 0, 2)
    assert made.origin.read(0, 1024) == pattern(2, 1, 1) + bytes(512)


def test_two_copies_of_devices_fail_each_by_itself() -> None:
    made = devices(CACHE, ERROR, 3, 5)
    other = made.fork()
    other.fail(CACHE, None)
    assert made.fails(CACHE, 3, 1, writes=True)
    assert not other.fails(CACHE, 3, 1, writes=True)


def test_a_fault_has_a_known_kind() -> None:
    assert fault_of("flakey", 8, 2) == Fault(FLAKEY, range(8, 10))
    with pytest.raises(ValueError, match="dust"):
        fault_of("dust", 0, 1)


@pytest.mark.parametrize(
    "op",
    [
        ["fail"],
        ["fail", "cache", "error", 0],
        ["fail", "cache", "dust", 0, 1],
        ["fail", "disk", "error", 0, 1],
        ["fail", "cache", "error", 0, 0],
        ["fail", "cache", "error", -1, 1],
        ["fail", ["cache"], "error", 0, 1],
        ["heal"],
        ["heal", "disk"],
        ["heal", "cache", 1],
    ],
)
def test_a_malformed_operation_is_refused(op: Op) -> None:
    assert op_problem(op)
    assert op_problem(["fail", "origin", "flakey", 0, 1]) is None
    assert op_problem(["heal", "cache"]) is None


def outcomes(made: Machine, *ops: Op) -> list[str | None]:
    """The errno of each operation."""
    return [perform(made, op, line()).errno for op in ops]


def test_an_unreadable_superblock_refuses_the_table() -> None:
    made = machine()
    play(made, line(), ["fail", "cache", "error", 0, 1])
    refused = made.open(line())
    assert refused[:2] == ("EIO", "Unable to read first block of metadata")
    assert outcomes(made, ["heal", "cache"], ["open"]) == [None, None]


def test_a_commit_that_fails_sets_the_error_and_a_reload_takes_it_off() -> None:
    made = machine()
    play(made, line(), ["open"], ["write", 0, 1, 1], ["fail", "cache", "flakey", 8, 1])
    assert outcomes(made, ["flush"], ["write", 1, 1, 2], ["flush"]) == ["EIO"] * 3
    assert (made.status() or "").startswith("1 ")
    assert outcomes(made, ["read", 0, 1], ["heal", "cache"], ["open"]) == [None] * 3
    assert (made.status() or "").startswith("0 ")


def test_a_write_whose_device_fails_reports_it_and_sets_no_error() -> None:
    made = machine()
    play(made, line(), ["open"], ["fail", "cache", "flakey", 2, 1])
    assert outcomes(made, ["write", 0, 3, 1], ["read", 0, 3]) == ["EIO", None]
    assert (made.status() or "").startswith("0 ")


def test_a_copy_that_fails_leaves_its_block_where_it_is() -> None:
    made = machine()
    play(made, line(), ["open"], ["write", 0, 1, 1], ["fail", "origin", "error", 0, 1])
    assert outcomes(made, ["message", "flush"], ["read", 0, 1]) == ["EIO", None]
    assert made.devices.origin.read(0, 512) == bytes(512)


def walk(seed: str) -> Iterator[tuple[Machine, Op, Outcome]]:
    """The machine after each operation of a trace that meets faults, and what that returned."""
    drawn = generate(seed, "failing")
    made = new_machine(drawn, PROFILES["1.6.0"])
    with suppress(PanicError, HangError):
        for op in drawn.ops:
            yield made, op, perform(made, op, drawn.table)


def planted(seed: int) -> bool:
    """Change an answer of a trace that the reference recorded itself: the judge says where."""
    drawn = replace(generate(f"faults-{seed}", "failing"), kernel="6.12.1")
    steps = [
        (op, observe(made, op, outcome, digests=False))
        for made, op, outcome in walk(f"faults-{seed}")
    ]
    assert judge(replace(drawn, steps=tuple(steps))).divergence is None
    failed = next((n for n, (_, seen) in enumerate(steps) if seen.get("errno") == "EIO"), None)
    if failed is not None:
        op, seen = steps[failed]
        steps[failed] = op, {key: value for key, value in seen.items() if key != "errno"}
        found = judge(replace(drawn, steps=tuple(steps))).divergence
        assert found is not None
        assert found.step == failed
    return failed is not None


def test_what_fails_is_judged_and_a_wrong_answer_is_found() -> None:
    assert sum(map(planted, range(20))) >= 5


def test_the_workload_meets_its_faults() -> None:
    """Not one of its kinds is drawn in vain."""
    met = {
        (op[0], device, one.kind)
        for seed in range(40)
        for made, op, outcome in walk(f"met-{seed}")
        for device, one in made.devices.faults.items()
        if outcome.errno == "EIO"
    }
    for device, kind in product(Device, OF_DISKS):
        assert {("write", device, kind), ("flush", device, kind)} <= met
    assert ("read", CACHE, ERROR) in met
    assert ("discard", ORIGIN, FLAKEY) in met
    assert ("open", CACHE, ERROR) in met


def test_entries_that_cannot_be_read_are_refused_by_the_repaired_machine_only() -> None:
    table = line("high_watermark 100 low_watermark 100")
    ops: list[Op] = [["open"], ["write", 0, 1, 1], ["suspend"], ["fail", "cache", "error", 2, 1]]
    for profile in (PROFILES["1.6.0"], PROFILES["1.6.0"].repaired()):
        made = Machine(profile, Devices(Content(128 * 512), Content(64 * 512)))
        play(made, table, *ops)
        expected = "EIO" if profile.repairs else None
        assert perform(made, ["open"], table).errno == expected
        if profile.repairs:
            with pytest.raises(UnusableStepError):
                perform(made, ["read", 0, 1], table)
            play(made, table, ["heal", "cache"], ["resume"])
        assert tags(made, 0, 1) == [1 if profile.repairs else 0]


def test_what_is_loaded_from_poisoned_sectors_fails_and_nothing_else_does() -> None:
    made = devices(CACHE, FaultKind.POISON, 3, 5)
    assert made.spoils(4, 1)
    assert made.spoils(0, 4)
    assert not made.spoils(0, 3)
    assert not made.spoils(5, 9)
    made.write(CACHE, 2, pattern(2, 4, 7))
    assert made.read(CACHE, 2, 4) == pattern(2, 4, 7)
    assert not made.fails_flush(CACHE)

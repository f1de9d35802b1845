"""Crashes are judged: what is right passes, and each missing flush or write is found."""

from random import Random

import pytest
from machines import line

from writecache_models.actions import Outcome
from writecache_models.alike import contract_key
from writecache_models.crashing import Journal, Setting, Violation, judge, run
from writecache_models.machine import Machine
from writecache_models.trace import Op
from writecache_spec.effects import WriteMetadata
from writecache_spec.events import Device
from writecache_spec.profile import PROFILES
from writecache_spec.units import Sector

QUIET = Setting(PROFILES["1.6.0"], line("high_watermark 100 low_watermark 100"), 5, 4)
AT_ONCE = QUIET._replace(table=line("high_watermark 0 low_watermark 0"))
COMMITTED: list[Op] = [
    ["open"],
    ["write", 0, 2, 1],
    ["flush"],
    ["write", 1, 2, 2],
    ["discard", 0, 1],
    ["flush"],
]
WRITTEN_BACK: list[Op] = [
    ["open"],
    ["write", 0, 3, 1],
    ["message", "flush"],
    ["write", 1, 1, 2],
    ["flush"],
    ["suspend"],
    ["resume"],
    ["open"],
    ["read", 0, 4],
]


def crashed(setting: Setting, ops: list[Op], depth: int = 1) -> list[Violation]:
    played = run(setting, ops)
    formatted = played.moments[played.ends[0] :]
    judgement = judge(setting, formatted, limit=256, random=Random(1), depth=depth)
    assert judgement.n_states >= judgement.n_distinct >= 5
    return [*played.violations, *judgement.violations]


@pytest.mark.parametrize("setting", [QUIET, AT_ONCE], ids=["quiet", "at once"])
@pytest.mark.parametrize("ops", [COMMITTED, WRITTEN_BACK], ids=["committed", "written back"])
def test_what_keeps_the_contract_passes(setting: Setting, ops: list[Op]) -> None:
    assert crashed(setting, ops, depth=2) == []


def flush_of(broken: Device) -> object:
    def flush(journal: Journal, device: Device) -> None:
        # A format is none of this: it ends before the first write.
        if device is not broken or not contract_key(journal.contract)[0]:
            flush_of_all(journal, device)

    return flush


flush_of_all = Journal.flush


@pytest.mark.parametrize(
    ("broken", "setting", "ops"),
    [(Device.CACHE, QUIET, COMMITTED), (Device.ORIGIN, AT_ONCE, WRITTEN_BACK)],
    ids=["cache", "origin"],
)
def test_a_flush_that_is_missing_is_found(
    monkeypatch: pytest.MonkeyPatch, broken: Device, setting: Setting, ops: list[Op]
) -> None:
    monkeypatch.setattr(Journal, "flush", flush_of(broken))
    found = crashed(setting, ops)
    assert found
    assert all(one.lost for one in found)
    assert {one.what for one in found} <= {
        "zeros are read",
        "what is read is not the last that was written",
    }


def test_a_superblock_without_fua_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    write_metadata = Journal.write_metadata

    def without_fua(journal: Journal, start_sector: Sector, effect: WriteMetadata) -> None:
        fua = effect.fua and not contract_key(journal.contract)[0]
        write_metadata(journal, start_sector, effect._replace(fua=fua))

    monkeypatch.setattr(Journal, "write_metadata", without_fua)
    # The flushed write is not in what recovery sees.
    assert {one.what for one in crashed(QUIET, COMMITTED)} == {"zeros are read"}


def test_a_request_that_fails_without_cause_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    played = run(QUIET, COMMITTED)
    monkeypatch.setattr(Machine, "read", lambda *_: Outcome("EIO"))
    what = "read fails though no disk does: EIO"
    assert [one.what for one in run(QUIET, [["open"], ["read", 0, 1]]).violations] == [what]
    moments = played.moments[played.ends[0] :]
    judgement = judge(QUIET, moments, limit=256, random=Random(1))
    assert {one.what for one in judgement.violations} == {what}


def test_a_contract_without_flushes_is_wider(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the tests above find is what the contract promises, not what the machine does."""
    monkeypatch.setattr(Journal, "flush", flush_of(Device.CACHE))
    without = [op for op in COMMITTED if op != ["flush"]]
    assert crashed(QUIET, without) == []


def test_the_use_of_a_freed_entry_is_found_without_any_crash() -> None:
    ops: list[Op] = [["open"], ["write", 1, 1, 1], ["write", 0, 3, 2]]
    assert run(QUIET, ops).violations == [Violation("write ends in a panic: FREED_ENTRY", 7)]


def test_a_crash_in_a_format_can_leave_what_no_activation_accepts() -> None:
    table = line("high_watermark 100 low_watermark 100", block_size=1024)
    setting = QUIET._replace(table=table, cache_sectors=6)
    played = run(setting, [["open"]])
    found = judge(setting, played.moments, limit=256, random=Random(1)).violations
    assert {one.what for one in found} == {"activation fails: EINVAL"}
    # The version is there and the magic is not; equal states are judged at the first moment.
    assert {one.moment for one in found} == {1}


@pytest.mark.parametrize(("profile", "loses"), [("1.4.0-bullseye", True), ("1.4.0", False)])
def test_a_flush_that_does_not_reach_the_origin_loses_what_went_around_the_cache(
    profile: str, loses: bool
) -> None:
    table = line("high_watermark 100 low_watermark 100", profile="1.4.0")
    setting = Setting(PROFILES[profile], table, 5, 4)
    found = crashed(setting, [["open"], ["message", "cleaner"], ["write", 0, 2, 1], ["flush"]])
    assert {one.what for one in found} == ({"zeros are read"} if loses else set())
    assert {one.sector for one in found} == ({0, 1} if loses else set())


def test_a_crash_while_blocks_are_copied_and_written_again_keeps_the_contract() -> None:
    ops: list[Op] = [["open"]]
    for tag in (1, 2, 3):
        ops += [["begin", "write", 0, 2, tag], ["begin", "write", 1, 1, 10 + tag]]
    assert crashed(AT_ONCE._replace(cache_sectors=9), [*ops, ["flush"], ["read", 0, 4]], 2) == []

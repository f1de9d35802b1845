"""Operations that are begun: what they set in motion goes on while the next one comes."""

from contextlib import suppress

import pytest
from machines import line, live, machine

from writecache_models.actions import Outcome
from writecache_models.observations import UnusableStepError, new_machine, observe, perform
from writecache_models.workloads import generate
from writecache_models.workloads.aimed import STORIES
from writecache_spec.profile import PROFILES
from writecache_spec.state import Phase

AT_ONCE = "high_watermark 0 low_watermark 0"


def test_a_copy_is_held_until_the_next_operation_has_begun() -> None:
    made = machine(AT_ONCE)
    begun = ["begin", "write", 0, 1, 5]
    assert observe(made, begun, perform(made, begun, "")) == {}
    assert live(made).writeback_size == 1
    read = ["read", 0, 1]
    seen = observe(made, read, perform(made, read, ""))
    assert seen["status"].startswith("0 8 8 0 1 1 1 ")
    assert live(made).writeback_size == 0


def test_a_block_being_copied_is_written_anew() -> None:
    made = machine(AT_ONCE)
    for tag in (5, 6):
        perform(made, ["begin", "write", 0, 1, tag], "")
    assert len(live(made).tree.get(0) or ()) == 2
    assert live(made).writeback is not None
    assert live(made).writeback.phase is Phase.NO_PROGRESS
    assert perform(made, ["message", "flush"], "") == Outcome()
    assert made.status().startswith("0 8 8 0 ")


def test_a_suspend_waits_for_copies_that_are_held() -> None:
    made = machine(AT_ONCE)
    perform(made, ["begin", "write", 0, 1, 5], "")
    perform(made, ["suspend"], "")
    assert live(made).poisoned
    assert live(made).writeback_size == 0


def test_an_origin_that_ends_within_a_block_is_refused_and_leaves_the_device_suspended() -> None:
    made = machine("", origin_sectors=63, cache_sectors=64)
    perform(made, ["write", 0, 1, 5], "")
    assert made.open(line("start_sector 16", block_size=1024)) == Outcome("EINVAL")
    assert live(made).suspended
    assert live(made).config.block_sectors == 1


@pytest.mark.parametrize("name", [story.__name__ for story in STORIES])
@pytest.mark.parametrize("profile", ["1.4.0-bullseye", "1.6.0"])
def test_an_aimed_story_can_be_played_to_its_end(name: str, profile: str) -> None:
    trace = generate("1", name, PROFILES[profile].version)
    assert trace.steps
    made = new_machine(trace, PROFILES[profile])
    played = 0
    for op in trace.ops:
        with suppress(UnusableStepError):
            perform(made, op, trace.table)
            played += 1
    assert played >= len(trace.ops) - 1

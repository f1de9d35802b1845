"""What the search must try to explain what kernels did."""

from dataclasses import replace
from pathlib import Path

import pytest

from writecache_models import checker, copies, habits, kernel, schedules
from writecache_models.judge import judge
from writecache_models.vectors import Trace, read_traces

VECTORS = Path(__file__).parents[1] / "vectors"


def searched(suite: str, name: str) -> Trace:
    """A trace, without the schedules that were found for it."""
    path = VECTORS / f"{suite}-searched.jsonl.xz"
    trace = next(trace for trace in read_traces(path) if trace.name == name)
    steps = tuple(
        (op, {key: value for key, value in seen.items() if key != "schedule"})
        for op, seen in trace.steps
    )
    return replace(trace, steps=steps)


@pytest.mark.parametrize("aims", [True, False])
def test_how_many_copies_have_ended_before_a_pass_is_aimed_at(
    monkeypatch: pytest.MonkeyPatch, aims: bool
) -> None:
    monkeypatch.setattr(checker, "EFFORTS", (64,))
    if not aims:
        monkeypatch.setattr(schedules, "AIM_FIRST_AT", ())
    report = judge(searched("bookworm", "sweep-long2-226"))
    assert (report.divergence is None) is aims


def test_copies_that_write_one_place_may_end_in_any_order() -> None:
    report = judge(searched("bookworm", "crafted-release-1-384"))
    assert report.divergence is None
    assert len(report.deviations) == 1


def test_a_schedule_is_followed_to_its_end_before_the_next_one_begins() -> None:
    report = judge(searched("sid", "sweep-release-3-208"))
    assert report.divergence is None
    assert sorted(report.deviations) == [9]


def test_any_number_of_copies_may_end_before_one_that_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trace = searched("bullseye", "crafted-release-3-349")
    assert judge(trace).divergence is None
    monkeypatch.setattr(kernel, "_sweeps", lambda copies: ())
    monkeypatch.setattr(checker, "EFFORTS", (64,))
    assert judge(trace).divergence is not None


def test_what_hangs_has_gone_to_sleep_after_the_error() -> None:
    report = judge(searched("sid", "crafted-release-3-349"))
    assert report.divergence is None
    assert report.schedules < 200


@pytest.mark.parametrize("in_batches", [True, False])
def test_who_waits_for_a_block_comes_before_the_second_batch_that_is_freed(
    monkeypatch: pytest.MonkeyPatch, in_batches: bool
) -> None:
    monkeypatch.setattr(checker, "EFFORTS", (64,))
    if not in_batches:
        monkeypatch.setattr(habits, "_IN_BATCHES", None)
    trace = searched("bookworm-pmem", "pmem-sweep-5024234-72")
    report = judge(replace(trace, steps=trace.steps[:2]))
    assert (report.divergence is None) is in_batches


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("pmem-requests-pmem-3-40", 1),
        ("pmem-requests-pmem-3-40-again", 1),
        ("pmem-watermarks-a2-27", 0),
    ],
)
@pytest.mark.parametrize("merges", [True, False])
def test_what_is_written_with_fua_is_not_merged(
    monkeypatch: pytest.MonkeyPatch, name: str, needed: int, merges: bool
) -> None:
    monkeypatch.setattr(checker, "EFFORTS", (1024,))
    if merges:
        merged = copies.merged
        monkeypatch.setattr(
            copies,
            "merged_copies",
            lambda found, any_request: merged(found, copies.place_on_cache, any_request),
        )
    report = judge(searched("bookworm-pmem", name))
    assert (report.divergence is not None) is merges
    assert merges or len(report.deviations) == needed

"""Traces as the trace explorer shows them: against checker, crash model and findings."""

import json
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from writecache_models.crashing import Setting, judge, run
from writecache_models.finding import Path, Trace, faithful, repaired, show, table_for
from writecache_models.findings import FINDINGS, finding_named
from writecache_models.fixtures import shipped_vectors
from writecache_models.images import image_of
from writecache_models.machine import Machine
from writecache_models.trace import Trace as Vector
from writecache_models.trace import VectorError
from writecache_models.trace_states import document as made
from writecache_models.trace_states import reading
from writecache_models.trace_states.failing import BREAKING, SHOWN
from writecache_models.vectors import read_traces
from writecache_models.workloads import generate
from writecache_spec.layout import MAGIC, VERSION, Superblock
from writecache_spec.profile import PROFILES

NAMES = [finding.name for finding in FINDINGS]


def mine(*ops: list[Any], **changes: Any) -> Vector:
    given: dict[str, Any] = {
        "name": "mine",
        "kernel": None,
        "target": None,
        "table": "s ORIGIN CACHE 4096 2 pause_writeback 0",
        "cache_sectors": 64,
        "origin_sectors": 64,
        "steps": tuple((op, {}) for op in ops),
    }
    return Vector(**{**given, **changes})


def crashes_of(trace: dict[str, Any]) -> list[dict[str, Any]]:
    numbers = {row[5] for step in trace["steps"] for row in step["moments"]} - {None}
    return [trace["pool"][number] for number in numbers]


@pytest.mark.parametrize("name", NAMES)
def test_a_finding_breaks_the_contract_where_it_is_said_to(name: str) -> None:
    finding = finding_named(name)
    trace = made.of_finding(finding, mended=False)
    shown = show(finding, faithful(finding))
    assert shown is not None
    assert trace["verdict"] is not None
    assert trace["verdict"]["step"] == len(trace["steps"]) - 1
    crash_needed = isinstance(finding.shown_by, Trace) and finding.shown_by.crash
    if crash_needed:
        assert trace["verdict"]["crash"] is not None


@pytest.mark.parametrize("name", NAMES)
def test_what_breaks_on_the_way_is_named_as_another_finding(name: str) -> None:
    finding = finding_named(name)
    *before, last = made.of_finding(finding, mended=False)["steps"]
    named = {step["other"] for step in before} - {None}
    assert (last["other"], named) == (None, {"format-crash"} if before else set())
    # By another way: on the reference with the others' repairs nothing breaks before the last step.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made, "repaired", lambda one: repaired(one, without=True))
        alone = made.of_finding(finding, mended=True)
    assert [breaks_in(alone, step) for step in alone["steps"][:-1]] == [False] * len(before)
    assert breaks_in(alone, alone["steps"][-1])


def breaks_in(trace: dict[str, Any], step: dict[str, Any]) -> bool:
    crashes = [trace["pool"][row[5]] for row in step["moments"] if row[5] is not None]
    return bool(step["wrong"]) or any(crash["broken"] for crash in crashes)


@pytest.mark.parametrize("name", NAMES)
def test_with_its_repair_nothing_on_the_way_breaks_it(name: str) -> None:
    trace = made.of_finding(finding_named(name), mended=True)
    assert trace["verdict"] is None
    assert [step["wrong"] for step in trace["steps"] if step["wrong"]] == []
    assert sum(crash["broken"] for crash in crashes_of(trace)) == 0


def test_crashes_are_those_of_the_crash_model() -> None:
    finding = finding_named("two-entries-in-one-commit")
    by = finding.shown_by
    assert isinstance(by, Trace)
    profile = faithful(finding)
    setting = Setting(profile, table_for(by, profile), by.cache_sectors, by.origin_sectors)
    judged = judge(setting, run(setting, by.ops).moments, limit=4096, random=Random(1))
    known = {one.what for one in judged.violations}
    said = {
        problem
        for crash in crashes_of(made.of_finding(finding, mended=False))
        for one in crash["shown"]
        for problem in one["problems"]
    }
    assert said == known == {"activation fails: EINVAL", "activation ends with an error"}


def test_every_number_leads_into_the_pool_and_everything_is_json() -> None:
    for name in ("read-under-commit", "fua-write-split-by-cleaner", "format-crash"):
        trace = made.of_finding(finding_named(name), mended=False)
        assert json.loads(json.dumps(trace)) == json.loads(json.dumps(trace))
        for step in trace["steps"]:
            assert step["moments"], "no step without a moment"
            for kind, text, memory, cache, origin, crash in step["moments"]:
                assert kind in ("event", "effect", "device", "end")
                assert text
                for number in (memory, cache, origin, crash):
                    assert number is None or 0 <= number < len(trace["pool"])


def test_no_more_crashes_are_shown_than_is_said() -> None:
    trace = made.of_vector(mine(["open"], ["write", 0, 32, 1], ["flush"]))
    found = crashes_of(trace)
    assert max(len(crash["shown"]) for crash in found) >= SHOWN
    assert all(crash["judged"] <= made.VECTORS_LIMIT for crash in found)
    assert max(crash["total"] for crash in found) >= 2**32
    assert max(len(crash["shown"]) for crash in found) <= SHOWN + BREAKING
    labels = [one["label"] for crash in found for one in crash["shown"]]
    assert {"everything pending is lost", "everything pending is kept"} <= set(labels)
    assert any(label.startswith("all but cache ") for label in labels)
    assert any(label.startswith("only cache ") for label in labels)


def test_all_lost_and_all_kept_come_first_then_one_missing_and_one_kept() -> None:
    n_checked = 0
    for finding in FINDINGS:
        for crash in crashes_of(made.of_finding(finding, mended=False)):
            labels = [one["label"] for one in crash["shown"]]
            if crash["total"] > 2:
                ends = {"everything pending is lost", "everything pending is kept"}
                assert set(labels[:2]) == ends, (finding.name, labels)
                n_checked += 1
    assert n_checked > 20


BIG = (
    ["open"], ["write", 0, 24, 1], ["flush"], ["write", 8, 8, 2], ["discard", 16, 8], ["flush"],
    ["message", "flush"], ["write", 96, 8, 3],
)  # fmt: skip


def test_what_is_left_out_of_a_large_device_reads_as_zeros(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = made.of_vector(mine(*BIG, origin_sectors=128))
    monkeypatch.setattr(reading, "READ_WHOLE", 0)
    assert made.of_vector(mine(*BIG, origin_sectors=128)) == whole
    # Planted: entries of the cache are forgotten.
    monkeypatch.setattr(reading, "runs", lambda blocks: [range(one, one + 1) for one in blocks[1:]])
    assert made.of_vector(mine(*BIG, origin_sectors=128)) != whole


def test_of_a_large_device_little_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    n_sectors: list[int] = []
    read = Machine.read

    def counted(machine: Machine, sector: int, count: int) -> Any:
        n_sectors.append(count)
        return read(machine, sector, count)

    monkeypatch.setattr(Machine, "read", counted)
    large = made.of_vector(mine(*BIG, origin_sectors=made.LARGEST_DEVICE))
    assert len(n_sectors) > 100
    assert max(n_sectors) <= 24
    (last,) = {one["reads"][-1][0] for one in crashes_of(large)[-1]["shown"]}
    assert last == f"24\u2013{made.LARGEST_DEVICE - 1}"


def test_zeros_over_zeros_are_nothing_to_lose() -> None:
    shown = made.of_vector(mine(["open"], ["discard", 0, 8]))
    last = shown["pool"][shown["steps"][-1]["moments"][-1][5]]
    assert (last["total"], [one["label"] for one in last["shown"]]) == (1, ["nothing was pending"])


RECORDED = (
    ("sid-sleeps", 2),
    ("sid-crowds", 1),
    ("sid-failing", 1),
    ("trixie-logged", 1),
    ("bullseye-crafted", 8),
    ("bookworm-pmem", 1),
)


@pytest.mark.parametrize(("file", "count"), RECORDED)
def test_what_is_shown_of_a_recording_is_what_was_recorded(file: str, count: int) -> None:
    (path,) = [path for path in shipped_vectors() if path.name == f"{file}.jsonl.xz"]
    n_steps = 0
    for trace, _ in zip(read_traces(path), range(count), strict=False):
        shown = made.of_vector(trace)
        assert {step["seen"] for step in shown["steps"]} <= {"agrees"}
        n_steps += len(shown["steps"])
    assert n_steps >= 7


def test_a_schedule_that_nobody_has_stored_is_searched_for() -> None:
    (path,) = [path for path in shipped_vectors() if path.name == "bullseye-crowds.jsonl.xz"]
    with_schedule = (one for one in read_traces(path) if any("schedule" in s for _, s in one.steps))
    trace = min(with_schedule, key=lambda one: len(one.steps))
    steps = tuple(
        (op, {key: value for key, value in seen.items() if key != "schedule"})
        for op, seen in trace.steps
    )
    shown = made.of_vector(replace(trace, steps=steps))
    assert {step["seen"] for step in shown["steps"]} == {"agrees"}


def test_a_recording_of_something_else_is_told_from_it() -> None:
    (path,) = [path for path in shipped_vectors() if path.name == "sid-sleeps.jsonl.xz"]
    trace = next(read_traces(path))
    steps = list(trace.steps)
    op, seen = steps[3]
    steps[3] = (op, {**seen, "cache": "0" * 16})
    shown = made.of_vector(replace(trace, steps=tuple(steps)))
    assert [step["seen"] for step in shown["steps"]].index("differs") == 3


def test_of_random_traces_the_repaired_reference_breaks_nothing() -> None:
    n_judged = 0
    for number in range(3):
        trace = generate(f"explorer-{number}", "plain", "1.6.0")
        trace = replace(trace, steps=trace.steps[:8])
        shown = made.of_vector(trace, PROFILES["1.6.0"].repaired())
        assert shown["verdict"] is None
        crashes = crashes_of(shown)
        n_judged += sum(crash["judged"] for crash in crashes)
        assert sum(crash["broken"] for crash in crashes) == 0
    assert n_judged > 100


def test_what_nobody_can_judge_is_not_judged() -> None:
    image = mine(["open"], ["write", 0, 8, 1], cache_image=_image_with(8))
    fault = mine(["open"], ["fail", "cache", "error", 0, 8], ["write", 0, 8, 1], ["flush"])
    refused = mine(["open", "s ORIGIN CACHE 4096 1 nonsense"])
    for trace in (image, fault, refused):
        last = made.of_vector(trace)["steps"][-1]
        assert last["wrong"] == []
    for trace in (image, refused):
        verdicts = {one["verdict"] for crash in crashes_of(made.of_vector(trace))
                    for one in crash["shown"]}  # fmt: skip
        assert verdicts == {"unjudged"}
    assert made.of_vector(image)["unjudged"]
    assert made.of_vector(fault)["unjudged"]


def test_numbers_that_a_browser_would_round_are_texts() -> None:
    trace = made.of_vector(mine(["open"], cache_image=_image_with(2**63 + 1)), PROFILES["1.6.0"])
    entries = [row for value in trace["pool"] if isinstance(value, list) for row in value
               if isinstance(row, list) and len(row) == 4 and isinstance(row[3], list)]  # fmt: skip
    assert str(2**63 + 1) in [row[1] for row in entries]
    assert all(not isinstance(cell, int) or cell < 2**53 for row in entries for cell in row[:3])


def _image_with(sector: int) -> bytes:
    return image_of(Superblock(MAGIC, VERSION, 4096, 0, 7, 9), ((sector, 3), (8, 2)))


@pytest.mark.parametrize(
    "trace",
    [
        mine(["write", 0, 8, 1]),
        mine(["open"], ["read", 56, 16]),
        mine(["open"], kernel="nonsense"),
        mine(["open"], origin_sectors=2**20),
    ],
)
def test_what_cannot_be_played_is_refused_in_a_line(trace: Vector) -> None:
    with pytest.raises(VectorError, match=r"^mine: [^\n]+$"):
        made.of_vector(trace)


def test_traces_of_one_name_are_told_apart() -> None:
    one = made.of_vector(mine(["open"]))
    names = [trace["name"] for trace in made.document([one, one, one])["traces"]]
    assert names == ["mine", "mine (2)", "mine (3)"]


def test_paths_and_operations_are_both_among_the_findings() -> None:
    kinds = {type(finding.shown_by) for finding in FINDINGS}
    assert kinds == {Path, Trace}

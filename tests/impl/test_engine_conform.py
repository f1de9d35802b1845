"""The engine beside the repaired reference; crashed, killed; and mistakes that must be noticed."""

from dataclasses import replace
from pathlib import Path

import pytest
from commands import command

from writecache_impl.cli import engine_job, vectors
from writecache_impl.engine import commit
from writecache_impl.engine.memory import MemoryDevice
from writecache_impl.mmap_target import crashes, kills, mutants, stories
from writecache_impl.mmap_target.player import PROFILE, FaultyDevice, play
from writecache_impl.mmap_target.playing import draw, judge_engine, replay_vectors, smallest
from writecache_models.fixtures import shipped_vectors
from writecache_models.judge import judge
from writecache_models.trace import Op
from writecache_models.vectors import Trace, read_traces, write_traces

OPENS: list[Op] = [["open"], ["open", "s ORIGIN CACHE 4096 0"], ["open"]]


def recorded(name: str, n_traces: int) -> list[Trace]:
    (file,) = (file for file in shipped_vectors() if file.name == f"{name}.jsonl.xz")
    return list(read_traces(file))[:n_traces]


def test_random_traces_do_what_the_repaired_reference_does() -> None:
    played = judge_engine(seed="test", seconds=60, max_steps=800)
    assert played.steps >= 800
    assert played.diverged == []
    assert played.log_entries > 100


@pytest.mark.parametrize("name", ["commit-without-flush", "home-without-origin-flush"])
def test_a_mistake_that_only_the_order_of_io_shows_diverges(name: str) -> None:
    logged = [trace for number in range(30) if "logs" in (trace := draw("test", number)).extra]
    assert logged
    with mutants.planted(name):
        reports = [judge(play(trace), PROFILE.repaired()) for trace in logged]
    found = [report.divergence for report in reports if report.divergence]
    assert found
    assert all("log" in divergence.differences() for divergence in found)


def test_a_mistake_diverges_and_shrinks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit, "free_replaced", lambda wc, committed: None)
    played = judge_engine(seed="test", seconds=60)
    ((trace, _),) = played.diverged
    trace, report = smallest(trace)
    assert len(trace.steps) < 12
    assert report.divergence is not None


def test_a_format_keeps_what_the_first_block_held_behind_its_entries() -> None:
    """There another cache, which begins a sector later, has its superblock."""
    later = "s ORIGIN CACHE 4096 2 start_sector 1"
    trace = Trace(
        name="later", kernel=None, target="1.6.0", table=later, cache_sectors=80,
        origin_sectors=192, steps=tuple((op, {}) for op in OPENS),
    )  # fmt: skip
    played = play(trace.with_logs("each"))
    assert judge(played, PROFILE.repaired()).divergence is None
    assert all(flags != 0 for flags, *_ in played.steps[-1][1]["log"]["cache"])


@pytest.mark.parametrize("name", ["bookworm", "sid-aimed", "bookworm-pmem"])
def test_kernels_vectors_are_done_until_a_repair_acts(name: str) -> None:
    traces = recorded(name, 12)
    replayed = replay_vectors(traces)
    assert replayed.diverged == []
    n_steps = sum(len(trace.steps) for trace in traces)
    assert replayed.as_recorded + replayed.left_out == n_steps
    assert replayed.as_recorded > n_steps * 0.6


@pytest.mark.parametrize("file", shipped_vectors(), ids=lambda file: file.name.partition(".")[0])
def test_no_shipped_vector_is_done_otherwise(file: Path) -> None:
    assert replay_vectors(read_traces(file)).diverged == []


def test_a_device_whose_sectors_do_not_fail_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FaultyDevice, "read", MemoryDevice.read)
    assert replay_vectors(recorded("bookworm-pmem-poison", 4)).diverged


def test_no_crash_of_the_engine_breaks_the_contract() -> None:
    found = [crashes.judge(stories.draw(f"test-{number}"), 12, 8) for number in range(12)]
    assert [one.violations for one in found if one.violations] == []
    assert sum(one.states for one in found) > 500
    assert any(one.story.pmem_mode for one in found)
    assert any(one.story.clients > 1 for one in found)
    assert any(one.story.fails for one in found)


QUICK = (
    *("commit-without-flush", "superblock-before-entries", "older-duplicate-wins"),
    *("home-without-origin-flush", "fua-not-committed", "flush-misses-the-origin"),
    *("format-version-first", "freed-without-telling", "flush-forgets-overwritten"),
    *("overwrites-under-writeback", "resume-without-erasing", "two-entries-in-one-commit"),
)


@pytest.mark.parametrize("name", QUICK)
def test_a_planted_mistake_is_caught_by_a_crash(name: str) -> None:
    assert mutants.hunt(name, seconds=30) is not None


def test_kills_of_a_real_process_break_nothing(tmp_path: Path) -> None:
    killed = kills.kill_and_recover(tmp_path, "test", seconds=3)
    assert killed.violations == []
    assert killed.kills > 3


def test_a_planted_mistake_is_caught_by_a_kill(tmp_path: Path) -> None:
    killed = kills.kill_and_recover(tmp_path, "test", seconds=30, mutant="fua-not-committed")
    assert killed.violations


def test_the_command_judges_the_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_traces(tmp_path / "few.jsonl", recorded("bookworm", 3))
    monkeypatch.setattr(vectors, "shipped_vectors", lambda: [tmp_path / "few.jsonl"])
    asked = ("conform", "--target", "mmap", "--seconds", 1, "--seed", "7", "-o", tmp_path)
    done = command(*asked, "--json")
    assert done.code == 0
    assert done.json["divergences"] == 0
    assert done.json["random"]["steps"] > 0
    assert done.json["vectors"]["as_recorded"] > 0
    assert "steps as recorded" in command(*asked).out
    done = command("conform", "--target", "mmap", "--crash", "--seconds", 3, "--json")
    assert done.code == 0
    assert done.json["violations"] == []
    assert done.json["kills"] > 0


def test_a_divergence_is_kept_as_a_vector(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(commit, "free_replaced", lambda wc, committed: None)
    asked = ("conform", "--target", "mmap", "--errors", "--seconds", 30, "--seed", "7")
    done = command(*asked, "-o", tmp_path)
    assert done.code == 1
    assert "shrunk:" in done.err
    (kept,) = tmp_path.iterdir()
    (trace,) = read_traces(kept)
    assert replace(trace, steps=()).steps == ()


def test_violations_are_told_with_the_seed_that_shows_them(monkeypatch: pytest.MonkeyPatch) -> None:
    with mutants.planted("fua-not-committed"):
        done = command("conform", "--target", "mmap", "--crash", "--seconds", 20, "--seed", "3")
    assert done.code == 1
    assert "story 3-" in done.err
    assert engine_job.MOMENTS > 0


@pytest.mark.parametrize(
    "wrong",
    [
        ("--target", "mmap", "--target", "reference"),
        ("--target", "mmap", "--profile", "1.6.0"),
        ("--crash",),
        ("--crash", "--target", "reference"),
    ],
)
def test_options_that_mean_nothing_are_refused(wrong: tuple[str, ...]) -> None:
    done = command("conform", *wrong)
    assert done.code == 2
    assert "Traceback" not in done.err


UNREADABLE: Op = ["fail", "cache", "error", 2, 1]


@pytest.mark.parametrize(
    ("ops", "n_refused"),
    [
        ([["suspend"], UNREADABLE, ["open"], ["message", "flush"], ["suspend"], ["read", 0, 1]], 2),
        ([["suspend"], UNREADABLE, ["resume"], ["resume"], ["message", "cleaner"]], 2),
        ([UNREADABLE, ["open"], ["open"], ["heal", "cache"], ["open"]], 2),
    ],
)
def test_what_cannot_be_read_is_refused_as_the_repaired_reference_does(
    ops: list[Op], n_refused: int
) -> None:
    first: list[Op] = [["open"], ["write", 0, 1, 1], ["message", "flush"], ["write", 0, 1, 2]]
    last: list[Op] = [["heal", "cache"], ["resume"], ["read", 0, 1], ["write", 0, 1, 3]]
    drawn = Trace(
        name="unreadable",
        kernel=None,
        target=None,
        table="s ORIGIN CACHE 512 2 autocommit_time 3600000",
        cache_sectors=128,
        origin_sectors=64,
        steps=tuple((op, {}) for op in [*first, *ops, *last]),
    )
    played = play(drawn)
    report = judge(played, PROFILE.repaired())
    assert (report.divergence, report.problem) == (None, None)
    assert sum("errno" in seen for _, seen in played.steps) == n_refused
    assert "errno" not in played.steps[-1][1]

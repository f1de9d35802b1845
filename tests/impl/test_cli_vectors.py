"""`writecache vectors`: each command's results, for people and for programs, and its exit codes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from commands import OPS, SUITE, command, trace_of_reference

from writecache_impl.cli import vectors as vectors_module
from writecache_impl.linux import KernelDied, LinuxTarget
from writecache_impl.recording import HungError, record
from writecache_models.vectors import Op, Trace, read_traces, write_traces

WALK = trace_of_reference()
WRONG = replace(
    WALK, name="wrong", steps=(*WALK.steps[:2], (["flush"], {"status": "0 63 1 0"}), *WALK.steps)
)
UNUSABLE = replace(WALK, name="unusable", steps=(*WALK.steps, (["read", 2040, 16], {})))


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    write_traces(tmp_path / "walk.jsonl.xz", [WALK])
    return tmp_path / "walk.jsonl.xz"


def written(tmp_path: Path, *traces: Trace) -> Path:
    write_traces(tmp_path / "v.jsonl", traces)
    return tmp_path / "v.jsonl"


def test_what_the_reference_does_is_explained(walk: Path) -> None:
    done = command("vectors", "check", walk)
    assert (done.code, done.err) == (0, "")
    assert f"{len(OPS)} steps in" in done.out
    assert done.out.endswith("0 divergences\n")


def test_the_result_of_a_check_is_json(walk: Path) -> None:
    done = command("vectors", "check", "--json", "--jobs", 1, walk, walk)
    assert done.code == 0
    assert sorted(done.json) == ["divergences", "seconds", "steps", "traces"]
    assert done.json["steps"] == 2 * len(OPS)
    assert (
        done.json["traces"]
        == [
            {
                "trace": "walk",
                "kernel": "6.1.176",
                "profile": "1.6.0-6.1",
                "steps": len(OPS),
                "non_canonical": 0,
                "panics": 0,
            }
        ]
        * 2
    )


def test_a_divergence_is_a_problem_and_is_described(tmp_path: Path) -> None:
    path = written(tmp_path, WRONG, WALK)
    done = command("vectors", "check", path)
    assert done.code == 1
    assert done.out.endswith("1 divergences\n")
    assert done.err.splitlines()[0].startswith('wrong: step 2: ["flush"]: none of ')
    assert "  status: seen '0 63 1 0', expected '0 63 62 0" in done.err
    (first, second) = command("vectors", "check", "--json", path).json["traces"]
    assert sorted(first["divergence"]) == ["expected", "op", "schedules", "seen", "step"]
    assert (first["divergence"]["step"], "divergence" in second) == (2, False)


def test_another_profile_judges_otherwise(walk: Path) -> None:
    assert command("vectors", "check", "--profile", "1.4.0", walk).code == 1


def test_a_step_that_has_no_place_in_a_trace_is_faulty_input(tmp_path: Path) -> None:
    done = command("vectors", "check", "--json", written(tmp_path, UNUSABLE))
    assert done.code == 2
    assert done.json["traces"][0]["problem"] in done.err


def test_storing_writes_what_was_read(walk: Path) -> None:
    assert command("vectors", "check", "--store", walk).code == 0
    assert list(read_traces(walk)) == [WALK]


def test_shipped_vectors_are_what_is_checked_by_default(
    walk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors_module, "shipped_vectors", lambda: [walk])
    assert command("vectors", "check", "--json").json["steps"] == len(OPS)
    monkeypatch.setattr(vectors_module, "shipped_vectors", list)
    assert command("vectors", "check").is_refusal(2)


def test_traces_are_shown_as_a_table_and_as_they_are(tmp_path: Path) -> None:
    path = written(tmp_path, WALK, replace(WALK, name="[/bold]é", kernel=None))
    done = command("vectors", "show", path)
    assert (done.code, done.err) == (0, "")
    assert "walk: s ORIGIN CACHE 4096" in done.out
    assert "[/bold]é: s ORIGIN CACHE 4096" in done.out
    done = command("vectors", "show", "--trace", "[/bold]é", "--json", path)
    (tmp_path / "again").write_text(done.out)
    assert [trace.name for trace in read_traces(tmp_path / "again")] == ["[/bold]é"]
    assert command("vectors", "show", "--trace", "nosuch", path).err == (
        "writecache: no trace is called nosuch\n"
    )


def test_coverage_says_what_is_missed(walk: Path) -> None:
    done = command("vectors", "coverage", walk)
    assert (done.code, done.err) == (1, "")
    assert "missed: writeback: line " in done.out
    done = command("vectors", "coverage", "--json", walk)
    assert done.code == 1
    for module in done.json["modules"].values():
        assert sorted(module) == ["branches", "missed", "stale", "unrecorded"]


def test_copies_in_flight_are_recorded_and_explained(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    done = command(
        *("vectors", "record", "--kernel", SUITE, "--count", 1),
        *("--family", "copies_awaited", "-o", path),
    )
    assert done.code == 0, done.err
    steps = [step for trace in read_traces(path) for step in trace.steps]
    begun = [seen for op, seen in steps if op[0] == "begin"]
    assert begun == [{}] * len(begun) != []
    # Both writes of a full cache slept until a copy had ended.
    assert [seen["status"].split()[11] for op, seen in steps if op[0] == "write"] == list("1234")
    assert command("vectors", "check", path).code == 0


def test_a_trace_of_ones_own_is_recorded_and_only_then_judged(tmp_path: Path) -> None:
    mine, live = tmp_path / "mine.jsonl", tmp_path / "live.jsonl"
    header = {
        "trace": "mine",
        "format": 1,
        "cache_sectors": 64,
        "origin_sectors": 256,
        "origin_delay": 200,
        "table": "s ORIGIN CACHE 4096 2 autocommit_time 3600000",
    }
    ops = [["open"], ["begin", "write", 0, 8, 5], ["flush"], ["read", 0, 8]]
    lines = [header, *({"op": op} for op in ops)]
    mine.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = command("vectors", "check", mine)
    assert done.code == 2
    assert "mine: step 0: nothing was seen of it: the trace has not been recorded" in (
        done.out + done.err
    )
    replay = ("vectors", "record", "--kernel", SUITE, "--replay")
    done = command(*replay, mine, "-o", live)
    assert (done.code, done.out) == (0, f"{live}: 1 traces, 4 steps, those of {mine}\n")
    assert command("vectors", "check", live).code == 0
    lines[1] = {"op": ["write_fua", 0, 8, 5]}
    mine.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = command(*replay, mine, "-o", live)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("writecache: mine: Linux cannot be asked")
    assert command(*replay, tmp_path / "nosuch", "-o", live).code == 2


def test_the_same_seed_records_the_same(tmp_path: Path) -> None:
    said = []
    for name in ("one.jsonl", "two.jsonl"):
        done = command(
            *("vectors", "record", "--kernel", SUITE, "--seed", "word-7", "--count", 2),
            *("--family", "plain", "-o", tmp_path / name, "--json"),
        )
        assert (done.code, done.err) == (0, "")
        said.append({**done.json, "file": Path(done.json["file"]).name})
    assert said[0] == {**said[1], "file": "one.jsonl"}
    assert sorted(said[0]) == ["file", "problem", "seed", "steps", "traces"]
    assert (said[0]["seed"], said[0]["traces"], said[0]["problem"]) == ("word-7", 2, None)
    one, two = (list(read_traces(tmp_path / name)) for name in ("one.jsonl", "two.jsonl"))
    assert [(x.name, x.ops, x.table) for x in one] == [(x.name, x.ops, x.table) for x in two]
    assert sum(len(trace.steps) for trace in one) == said[0]["steps"]
    assert command("vectors", "check", tmp_path / "one.jsonl").code == 0


@pytest.mark.parametrize("number", ["0" * 5000 + "8", "1" + "0" * 4999 + "8", "9" * 5000])
def test_a_kernel_reads_thousands_of_digits_as_the_reference_does(
    tmp_path: Path, number: str
) -> None:
    table = f"s ORIGIN CACHE 4096 6 start_sector {number} autocommit_time 3600000 pause_writeback 0"
    with LinuxTarget(SUITE) as target:
        played = record(target, replace(WALK, table=table))
    assert len(played.steps) == (1 if number.startswith("9") else len(OPS))
    assert command("vectors", "check", written(tmp_path, played)).code == 0


def test_a_recording_that_cannot_be_written_is_one_line() -> None:
    done = command("vectors", "record", "--kernel", SUITE, "--count", 1, "-o", "/dev/full")
    assert done.is_refusal(2)
    assert Path("/dev/full").is_char_device()


def test_without_a_kernel_nothing_is_recorded(tmp_path: Path) -> None:
    file = tmp_path / "v.jsonl"
    assert command("vectors", "record", "--kernel", "nosuch", "-o", file).is_refusal(2)
    assert not file.exists()


@pytest.mark.parametrize("played", [0, 1])
def test_what_was_recorded_before_the_kernel_was_lost_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, played: int
) -> None:
    left = [WALK] * played

    def lost(_target: LinuxTarget, trace: Trace) -> Trace:
        if not left:
            raise KernelDied("exit 1", "bad luck")
        return left.pop()

    monkeypatch.setattr(vectors_module, "record", lost)
    file = tmp_path / "v.jsonl"
    done = command("vectors", "record", "--kernel", SUITE, "-o", file, "--json")
    assert (done.code, done.err) == (3, "writecache: exit 1: bad luck\n")
    assert (done.json["file"] is not None, file.exists()) == (bool(played), bool(played))
    assert done.json["steps"] == played * len(OPS)


def test_a_recording_without_a_step_is_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(_target: LinuxTarget, trace: Trace) -> Trace:
        op: Op = ["open"]
        raise HungError(replace(trace, steps=()), op)

    monkeypatch.setattr(vectors_module, "record", hang)
    file = tmp_path / "v.jsonl"
    done = command("vectors", "record", "--kernel", SUITE, "--count", 1, "-o", file)
    assert (done.code, done.out, file.exists()) == (3, "", False)
    assert "the kernel hangs on ['open']; recorded up to there" in done.err

"""`writecache findings`, `fuzz` and `explore`."""

from pathlib import Path

import pytest
from commands import SUITE, command
from distributed import LocalCluster

from writecache_impl.linux import LinuxTarget
from writecache_impl.reproducing import reproduce
from writecache_models.finding import Finding, Trace
from writecache_models.findings import FINDINGS, finding_named


def suite_for(finding: Finding) -> str:
    """A kernel that has what the finding needs."""
    if finding.live_needs_memory:
        return "bookworm-pmem"
    return "bullseye" if finding.profile == "1.4.0-bullseye" else SUITE


LIVE = [(finding.name, suite_for(finding)) for finding in FINDINGS if finding.not_live is None]
SMALL = ("--blocks", 2, "--entries", 3, "--ops", 2)


def test_the_findings_are_listed_each_once() -> None:
    done = command("findings")
    assert done.code == 0
    assert f"{len(FINDINGS)} findings" in done.out
    listed = command("findings", "--json").json
    assert [one["name"] for one in listed] == [finding.name for finding in FINDINGS]
    assert all(one["cause"] and one["mends"] and one["trace"] for one in listed)


def test_one_finding_is_shown_on_the_reference() -> None:
    done = command("findings", "pass-frees-its-own-block")
    assert done.code == 0
    assert "write 5 2 2" in done.out
    assert "repaired: keeps the contract" in done.out
    shown = command("findings", "read-under-commit", "--json").json
    assert shown["faithful"]
    assert shown["repaired"] is None


@pytest.mark.parametrize(("name", "kernel"), LIVE)
def test_a_live_kernel_shows_it(name: str, kernel: str) -> None:
    done = command("findings", name, "--reproduce", kernel)
    assert done.code == 0, done.out
    assert done.out.endswith("shown\n")


def test_a_flush_that_nothing_comes_between_is_no_finding() -> None:
    finding = finding_named("flush-under-writeback")
    assert isinstance(finding.live, Trace)
    ops = tuple(op for op in finding.live.ops if "cleaner" not in op)
    with LinuxTarget(SUITE) as target:
        report = reproduce(finding._replace(live=finding.live._replace(ops=ops)), target)
    assert not report.shown
    assert report.lines[-1] == "no crash then breaks a promise, by the kernel's own log"


def test_what_no_kernel_here_can_show_says_why() -> None:
    done = command("findings", "flush-under-writeback", "--reproduce", "bullseye")
    assert done.code == 3
    assert "does not say which device is flushed" in done.out
    done = command("findings", "remainder-begins-too-early", "--reproduce", SUITE)
    assert done.code == 3
    assert "has no persistent memory" in done.out


@pytest.mark.parametrize(
    "words",
    [
        ("findings", "no-such"),
        ("findings", "--reproduce", SUITE),
        ("findings", "format-crash", "--reproduce", "no-such-kernel"),
        ("fuzz", "--seconds", "0"),
        ("fuzz", "--profile", "9.9"),
        ("explore", "--blocks", "0"),
        ("explore", "--resume"),
        ("explore", "--state", "/no/such/place/state"),
        ("explore", "--scheduler", "nonsense"),
    ],
)
def test_bad_input_is_one_line(words: tuple[object, ...]) -> None:
    done = command(*words)
    assert done.is_refusal(2) or done.is_refusal(3), done


def test_fuzzing_names_what_it_finds_and_finds_nothing_where_all_is_mended() -> None:
    faithful = command("fuzz", "--seconds", 60, "--steps", 2000, "--seed", "cli", "--json")
    assert faithful.code == 1
    found = faithful.json["found"]
    assert {one["finding"] for one in found} <= {finding.name for finding in FINDINGS}
    assert found
    assert all(one["shows_without_any_repair"] for one in found)
    repaired = command("fuzz", "--repaired", "--seconds", 60, "--steps", 2000, "--seed", "cli")
    assert repaired.code == 0
    assert "0 findings; seed cli" in repaired.out


def test_the_matrix_says_which_cells_are_empty() -> None:
    done = command("fuzz", "--matrix", "--steps", 200, "--seed", "m")
    assert done.code == 1
    assert "empty: " in done.out
    assert " impossible, 0 of them reached" in done.out
    matrix = command("fuzz", "--matrix", "--steps", 200, "--seed", "m", "--json")
    assert matrix.code == 1
    counts = {tuple(cell): count for *cell, count in matrix.json["matrix"]["cells"]}
    assert counts["SSD", "format", "within", "free"] > 0
    assert len(matrix.json["matrix"]["empty"]) < len(counts)


def test_exploring_counts_exactly_and_can_be_gone_on_from(tmp_path: Path) -> None:
    whole = command("explore", *SMALL, "--repaired", "--json").json
    assert whole["complete"]
    assert whole["violations"] == {}
    state = tmp_path / "state"
    cut = command("explore", *SMALL, "--repaired", "--state", state, "--seconds", 1)
    assert cut.code in (0, 3)
    again = command("explore", "--state", state, "--resume", "--json").json
    for key in ("worlds", "events", "crash_states", "distinct_up_to_names", "complete"):
        assert again[key] == whole[key]
    state.write_bytes(b"nonsense")
    assert command("explore", "--state", state, "--resume").is_refusal()


def test_exploring_the_faithful_reference_blames_a_repair() -> None:
    done = command("explore", *SMALL, "--json")
    assert done.code == 1
    blamed = done.json["blamed"]
    assert blamed["activation fails: Invalid magic in the superblock"] == ["FORMAT_VERSION"]
    assert blamed["a panic: FREED_ENTRY"] == ["PASS_LOOKS_AGAIN"]


def test_a_cluster_comes_to_the_same_counts() -> None:
    whole = command("explore", *SMALL, "--repaired", "--json").json
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
    ) as cluster:
        address = cluster.scheduler_address
        other = command("explore", *SMALL, "--repaired", "--scheduler", address, "--json").json
    for key in ("worlds", "events", "crash_states", "distinct_up_to_names", "complete"):
        assert other[key] == whole[key]


def test_the_stored_run_is_printed() -> None:
    done = command("explore", "--release", "--report")
    assert done.code == 0
    assert "0 violations" in done.out
    assert command("explore", "--release", "--report", "--json").json["violations"] == {}


def test_a_commit_whose_flush_does_not_fail_is_no_finding() -> None:
    finding = finding_named("commit-after-failed-flush")
    assert isinstance(finding.live, Trace)
    ops = tuple(op for op in finding.live.ops if op[0] != "fail")
    with LinuxTarget(SUITE) as target:
        report = reproduce(finding._replace(live=finding.live._replace(ops=ops)), target)
    assert not report.shown

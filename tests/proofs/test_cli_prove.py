"""`writecache prove`: its output, its exit codes, and what it refuses."""

import io
import json
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

from writecache_impl.cli.app import run


def prove(*arguments: str) -> tuple[int, str, str]:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(["prove", *arguments])
    return code, out.getvalue(), err.getvalue()


def test_a_family_is_proved_and_its_twins_are_shown() -> None:
    code, out, err = prove("--family", "sequence", "--twins", "--processes", "1")
    assert (code, err) == (0, "")
    assert "6 of 6 theorems hold" in out
    assert "a_free_entry_is_never_committed: an equal count is committed: refuted" in out
    assert "count = 18446744073709551615" in out


def test_json_has_everything() -> None:
    code, out, _ = prove("--theorem", "commits_work_up_to_the_last_count", "--json")
    found: dict[str, Any] = json.loads(out)
    assert code == 0
    (theorem,) = found["theorems"]
    assert theorem["kind"] == "proved"
    assert theorem["twins"][0]["values"]["seq_count"] == 2**64 - 1
    assert found["held"] == found["of"] == 1


def test_the_second_solver_is_asked() -> None:
    code, out, _ = prove("--theorem", "sectors_and_bytes_round_trip", "--second-solver", "--json")
    second = json.loads(out)["second_solver"]
    assert code == 0
    assert second["confirmed"] == second["asked"] > 0


def test_assumptions_are_printed() -> None:
    code, out, _ = prove("--assumptions")
    assert code == 0
    assert "atomic sectors: " in out
    assert "block sizes: " in out


def test_what_is_undecided_has_its_own_code() -> None:
    code, out, _ = prove("--theorem", "a_commit_is_atomic_for_every_crash",
                         "--seconds", "1", "--processes", "1")  # fmt: skip
    assert code == 3
    # The time is up, or the solver says so first.
    assert "NotDecidedError: " in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--family", "nosuch"),
        ("--theorem", "nosuch"),
        ("--seconds", "0"),
        ("--seconds", "nan"),
        ("--processes", "0"),
        ("--nosuch",),
        ("extra",),
    ],
)
def test_usage(arguments: tuple[str, ...]) -> None:
    code, out, err = prove(*arguments)
    assert code == 2
    assert not out
    assert len(err.splitlines()) == 1

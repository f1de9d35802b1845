"""What counts as reached: a branch that was missed shows, an excuse that is none shows too."""

from pathlib import Path

import pytest

from writecache_models.spec_coverage import Excuses, summarize

SOURCE = """\
def f(x):
    if x:
        x += 1
        x += 2
    while x:
        return x
    return -x


def g():
    return 0
"""
REPORT = {
    "executed_lines": [1, 2, 5, 6, 10],
    "missing_lines": [3, 4, 7, 11],
    "executed_branches": [[2, 5], [5, 6]],
    "missing_branches": [[2, 3], [5, 7]],
}
IF = "if x: -> x += 1"
WHILE = "while x: -> return -x"
G = "return 0 -> return 0"


@pytest.fixture
def module(tmp_path: Path) -> str:
    path = tmp_path / "planted.py"
    path.write_text(SOURCE)
    return str(path)


@pytest.mark.parametrize(
    ("listed", "missed", "stale"),
    [
        ([], [IF, WHILE, G], []),
        ([IF], [WHILE, G], []),
        ([IF, WHILE, G], [], []),
        ([IF, "x += 1 -> x += 2"], [WHILE, G], ["x += 1 -> x += 2"]),
        ([WHILE, "if x: -> while x:"], [IF, G], ["if x: -> while x:"]),
    ],
)
def test_what_is_missed_is_named_unless_it_is_listed(
    module: str,
    listed: list[str],
    missed: list[str],
    stale: list[str],
) -> None:
    excuses = Excuses({}, {"planted": dict.fromkeys(listed, "because")})
    summary = summarize({module: REPORT}, excuses)["planted"]
    assert summary["branches"] == 13
    assert [place.partition(": ")[2] for place in summary["missed"]] == missed
    assert summary["stale"] == stale
    excused = [place.partition(": ")[2] for place in summary["unrecorded"]]
    assert excused == [f"{name}: because" for name in listed if name not in stale]


def test_a_module_of_no_kernel_does_not_count(module: str) -> None:
    assert summarize({module: REPORT}, Excuses({"planted": "a container"}, {})) == {}


def test_a_line_of_a_repair_is_excused(module: str) -> None:
    summary = summarize({module: REPORT}, Excuses({}, {}, ("if x",)))["planted"]
    assert [place.partition(": ")[2] for place in summary["missed"]] == [WHILE, G]

"""The page about vectors: its example is one, and its table has every operation."""

import json
import re
from pathlib import Path

from click.testing import CliRunner

from writecache_impl.cli.app import writecache
from writecache_models.trace import BEGIN, OPERATIONS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "vectors.md").read_text()
(EXAMPLE,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


def checked(tmp_path: Path, text: str) -> int:
    path = tmp_path / "v.jsonl"
    path.write_text(text)
    done = CliRunner().invoke(writecache, ["vectors", "check", str(path)], standalone_mode=False)
    assert done.exception is None, done.output
    return int(done.return_value)


def test_the_example_is_right_and_with_another_count_it_is_not(tmp_path: Path) -> None:
    assert checked(tmp_path, EXAMPLE) == 0
    assert EXAMPLE.count("0 63 62 0 0") == 2
    assert checked(tmp_path, EXAMPLE.replace("0 63 62 0 0", "0 63 61 0 0", 1)) == 1


def test_the_table_has_every_operation() -> None:
    section = PAGE.partition("## Operations")[2].partition("## What was seen")[0]
    shown = re.findall(r'`\["(\w+)"', section)
    assert set(shown) == {*OPERATIONS, BEGIN}


def test_its_lines_are_json() -> None:
    assert len([json.loads(line) for line in EXAMPLE.splitlines()]) == 4

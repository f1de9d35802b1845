"""The README says what commands say, and its table is that of the stored run."""

import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from writecache_docs import results
from writecache_impl.cli.app import writecache

README = results.README.read_text()
RUN = json.loads(results.STORED.read_text())


def test_the_table_is_that_of_the_stored_run() -> None:
    assert results.with_table(README, RUN) == README, "run: make results"
    assert RUN["divergences"] == sum(one["divergences"] for one in RUN["kernels"]) == 0
    assert len(RUN["kernels"]) >= 4
    assert RUN["date"] in README


def test_another_run_is_another_table() -> None:
    changed = json.loads(json.dumps(RUN))
    changed["kernels"][0]["steps"] += 1
    assert results.with_table(README, changed) != README


def test_a_readme_without_the_place_is_refused() -> None:
    with pytest.raises(ValueError, match="results"):
        results.with_table("# Nothing", RUN)


def test_a_run_that_judged_nothing_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text(json.dumps({**RUN, "not_judged": {"sid": "no kernel"}}))
    assert results.main([str(path)]) == 1
    assert results.README.read_text() == README


def test_the_transcript_is_what_the_command_says() -> None:
    """On a live kernel; which of its releases it is changes in time."""
    blocks = re.findall(r"```console\n\$ writecache (.*)\n([^`]+)```", README)
    assert blocks
    for line, said in blocks:
        done = CliRunner().invoke(writecache, line.split())
        # A kill may have come too late, and was made again.
        assert done.output.splitlines()[-11:] == said.splitlines()[-11:]
        assert done.exit_code == 0


def test_it_fits_on_a_screen() -> None:
    assert len(README.splitlines()) <= 65


def test_the_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert len(links) > 8
    for link in links:
        assert (results.ROOT / link).exists(), link

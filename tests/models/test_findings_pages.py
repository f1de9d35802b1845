"""Every finding has a page, which tells the trace and the repair that the code has."""

import re
from pathlib import Path

import pytest

from writecache_models.finding import (
    Finding,
    faithful,
)
from writecache_models.finding import (
    Path as Events,
)
from writecache_models.findings import (
    FINDINGS,
)

PAGES = Path(__file__).parents[2] / "findings"
SECTIONS = (
    "What happens",
    "Why",
    "Smallest trace",
    "Consequence for a user",
    "Kernels",
    "Repair",
    "How to see it",
)
each_finding = pytest.mark.parametrize("finding", FINDINGS, ids=lambda finding: finding.name)


def page_of(finding: Finding) -> str:
    return (PAGES / f"{finding.name}.md").read_text()


def table_of(finding: Finding) -> str:
    shown = finding.shown_by
    if isinstance(shown, Events):
        return shown.setting(faithful(finding)).table
    return shown.table


def steps_of(finding: Finding) -> list[str]:
    shown = finding.shown_by
    steps = shown.events if isinstance(shown, Events) else shown.ops
    return [" ".join(map(str, step)) for step in steps]


def sizes_of(finding: Finding) -> str:
    shown = finding.shown_by
    if isinstance(shown, Events):
        cache = f"cache blocks: {shown.n_entries}"
    else:
        cache = f"cache sectors: {shown.cache_sectors}"
    return f"{cache}; origin sectors: {shown.origin_sectors}"


def test_every_finding_has_a_page_and_every_page_a_finding() -> None:
    pages = {path.stem for path in PAGES.glob("*.md")} - {"README"}
    assert pages == {finding.name for finding in FINDINGS}


@each_finding
def test_a_page_has_all_sections_in_order(finding: Finding) -> None:
    headings = re.findall(r"^## ([^:\n]*)", page_of(finding), re.MULTILINE)
    assert tuple(headings) == SECTIONS


@each_finding
def test_a_page_tells_the_whole_trace(finding: Finding) -> None:
    found = re.search(r"## Smallest trace\n.*?```\n(.*?)\n```", page_of(finding), re.DOTALL)
    assert found is not None
    head, steps = found[1].split("\n\n")
    assert head.splitlines() == [table_of(finding), sizes_of(finding)]
    crash = getattr(finding.shown_by, "crash", False)
    assert ("(power fails)" in steps.splitlines()) is crash
    told = [line for line in steps.splitlines() if line[0] not in " ("]
    assert [line.split("   ")[0] for line in told] == steps_of(finding)
    assert all("   " in line for line in told), "a step without a word on it"


@each_finding
def test_a_page_names_its_repair_and_its_commands(finding: Finding) -> None:
    page = page_of(finding)
    assert f"\n## Repair: {finding.repair.name}\n" in page
    assert f"\nwritecache findings {finding.name}\n" in page
    reproduces = f"writecache findings {finding.name} --reproduce" in page
    assert reproduces is (finding.not_live is None)


@each_finding
def test_a_page_is_short(finding: Finding) -> None:
    lines = page_of(finding).splitlines()
    assert len(lines) < 80
    assert max(map(len, lines)) < 100


def test_the_index_lists_all() -> None:
    rows = re.findall(
        r"^\| \[(.*)\]\((.*)\.md\) \| (.*) \| .* \| (yes|no) \|$",
        (PAGES / "README.md").read_text(),
        re.MULTILINE,
    )
    assert rows == [
        (one.name, one.name, one.symptom.value, "no" if one.not_live else "yes") for one in FINDINGS
    ]

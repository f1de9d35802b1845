"""Links from findings to their traces, which the explorer's page has."""

from pathlib import Path

from writecache_docs.findings import pages
from writecache_docs.links import broken, read
from writecache_impl.explorer import page
from writecache_impl.explorer.writing import states_of_findings
from writecache_models.findings import FINDINGS, finding_named


def test_a_findings_page_leads_to_its_trace(tmp_path: Path) -> None:
    made = pages()
    for finding in FINDINGS:
        link = f'<a href="../explorer.html#{finding.name}">'
        assert made[f"findings/{finding.name}.md"].count(link) == 1


def test_a_link_to_a_trace_that_is_not_there_is_found(tmp_path: Path) -> None:
    for name in ("format-crash", "run-over-duplicate"):
        (tmp_path / f"{name}.html").write_text(f'<a href="explorer.html#{name}">')
    document = states_of_findings([finding_named("format-crash")])
    (tmp_path / "explorer.html").write_text(page(document))
    # Three links: these two, and the page's own to its middle.
    assert broken(tmp_path) == (3, ["run-over-duplicate.html: explorer.html#run-over-duplicate"])
    assert {"format-crash", "format-crash--repaired"} <= read(page(document)).places

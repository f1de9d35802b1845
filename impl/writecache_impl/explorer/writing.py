"""The trace explorer's page and its data, written by commands and by the documentation."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from writecache_impl.explorer import page
from writecache_models.finding import Finding
from writecache_models.findings import FINDINGS
from writecache_models.fixtures import shipped_vectors
from writecache_models.trace import Trace
from writecache_models.trace_states.document import document, of_finding, of_vector
from writecache_models.trace_states.steps import Tell
from writecache_models.vectors import read_traces, write_whole
from writecache_spec.profile import Profile

SHOWN_IN_DOCS: Final = {
    "sid-sleeps.jsonl.xz": ("sleeps-sleeps-0",),
    "sid-crowds.jsonl.xz": ("crowds-shipped-0",),
    "sid-aimed.jsonl.xz": ("claims-aimed", "spaces-aimed"),
    "sid-failing.jsonl.xz": ("failing-failing-2",),
    "bookworm-pmem.jsonl.xz": ("pmem-fua",),
}
"""Recorded traces that the documentation's page has beside the findings."""


def states_of_findings(
    findings: Iterable[Finding] = FINDINGS,
    page_of: Callable[[str], str | None] | None = None,
    tell: Tell = lambda: None,
) -> dict[str, Any]:
    """A document of findings, each on the faithful and on the repaired reference.

    `page_of` says where a finding of this name is described, relative to the page.
    """
    return document(_of_findings(findings, page_of, tell))


def _of_findings(
    findings: Iterable[Finding], page_of: Callable[[str], str | None] | None, tell: Tell
) -> Iterable[dict[str, Any]]:
    for finding in findings:
        for mended in (False, True):
            trace = of_finding(finding, mended, tell)
            where = None if page_of is None else page_of(finding.name)
            yield trace if where is None else {**trace, "page": where}


def states_of_vectors(
    traces: Iterable[Trace], profile: Profile | None = None, tell: Tell = lambda: None
) -> dict[str, Any]:
    """A document of recorded traces; raises VectorError."""
    return document(of_vector(trace, profile, tell) for trace in traces)


def write_docs_page(path: Path, page_of: Callable[[str], str | None] | None = None) -> None:
    """Write the page of the documentation: all findings, and some recorded traces.

    `page_of` says where a finding of this name is described, relative to the page.  Raises
    VectorError where it cannot be written.
    """
    findings = _of_findings(FINDINGS, page_of, lambda: None)
    recorded = (
        of_vector(trace)
        for file in shipped_vectors()
        for trace in (read_traces(file) if file.name in SHOWN_IN_DOCS else ())
        if trace.name in SHOWN_IN_DOCS[file.name]
    )
    whole = document([*findings, *recorded])
    write_whole(path, page(whole).encode())


def rendered(whole: dict[str, Any], html: bool) -> str:
    """A document as a page, or as JSON."""
    return page(whole) if html else json.dumps(whole, separators=(",", ":")) + "\n"

"""The pages of `findings/`, each with a picture of its trace."""

import re
from pathlib import Path
from typing import Final

from writecache_docs.timeline import draw, lines_of
from writecache_models.finding import Finding
from writecache_models.findings import FINDINGS

PAGES: Final = Path(__file__).resolve().parents[2] / "findings"
EXPLORER: Final = "explorer.html"
"""Where the site has the trace explorer."""
_PLACE: Final = "## Smallest trace\n"


class PageError(Exception):
    """A page of a finding does not have the place where its picture goes, or there is no page."""


def page(finding: Finding, text: str) -> str:
    """A finding's page with its picture; raises PageError where it has no place for one."""
    before, place, after = text.partition(_PLACE)
    if not place:
        raise PageError(f"{finding.name}: no line {_PLACE.strip()!r}")
    picture = draw(f"{finding.name}: {finding.title}", lines_of(finding))
    more = (
        f"`writecache findings {finding.name}` plays it; step through it in the"
        f' <a href="../{EXPLORER}#{finding.name}">trace explorer</a>'
        " ([how to use it](../trace-explorer.md))."
    )
    return f"{before}{place}{after.partition(_NEXT)[0].rstrip()}\n\n{picture}\n\n{more}\n" + (
        f"{_NEXT}{after.partition(_NEXT)[2]}" if _NEXT in after else ""
    )


_NEXT: Final = "\n## "


def _patch(path: Path) -> str:
    """What the patch beside a page adds to it."""
    patch = path.with_suffix(".patch")
    return f"\n## The patch\n\n```diff\n{patch.read_text()}```\n" if patch.exists() else ""


def pages() -> dict[str, str]:
    """All pages about findings, by path."""
    found = {}
    for finding in FINDINGS:
        path = PAGES / f"{finding.name}.md"
        found[f"findings/{path.name}"] = page(finding, path.read_text()) + _patch(path)
    if (
        others := {path.stem for path in PAGES.glob("*.md")}
        - {one.name for one in FINDINGS}
        - {"README"}
    ):
        raise PageError(f"pages without a finding: {sorted(others)}")
    names = "\n".join(finding.name for finding in FINDINGS)
    contents = f"\n```{{toctree}}\n:maxdepth: 1\n:hidden:\n\n{names}\n```\n"
    index = re.sub(r"\bREADME\.md\b", "index.md", (PAGES / "README.md").read_text())
    return {**found, "findings/index.md": index + contents}

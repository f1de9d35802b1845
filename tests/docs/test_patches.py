"""The patches beside the findings are whole, and their pages name them."""

import re
from pathlib import Path

import pytest

from writecache_docs import findings

FINDINGS = Path(__file__).resolve().parents[2] / "findings"
PATCHES = sorted(FINDINGS.glob("*.patch"))
_HUNK = re.compile(r"@@ -\d+,(\d+) \+\d+,(\d+) @@")


def damage(patch: str) -> list[str]:
    """Hunks that do not have the lines they say they have."""
    found = []
    for hunk in re.split(r"^(?=@@ )", patch, flags=re.MULTILINE)[1:]:
        head, *lines = hunk.splitlines()
        said = _HUNK.match(head)
        assert said is not None, head
        old, new = (sum(line[0] in f" {sign}" for line in lines) for sign in "-+")
        if (str(old), str(new)) != said.groups():
            found.append(head)
    return found


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_a_patch_is_whole_and_its_page_names_it(path: Path) -> None:
    patch = path.read_text()
    assert patch.startswith("--- a/drivers/md/dm-writecache.c\n+++ b/drivers/md/dm-writecache.c\n")
    assert damage(patch) == []
    assert f"`findings/{path.name}`" in path.with_suffix(".md").read_text()


def test_a_patch_that_lost_a_line_is_found() -> None:
    patch = PATCHES[0].read_text()
    line = next(line for line in patch.splitlines(keepends=True) if line.startswith("+\t"))
    assert len(damage(patch.replace(line, "", 1))) == 1


def test_the_site_shows_a_patch() -> None:
    pages = findings.pages()
    for path in PATCHES:
        assert f"```diff\n{path.read_text()}```" in pages[f"findings/{path.stem}.md"]

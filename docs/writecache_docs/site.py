"""Assembles the source of the site: the pages, with what they ask for, and pages made whole."""

import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from writecache_docs import parts

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"
_ASKED: Final = re.compile(r"^<!-- generated: ([\w-]+) -->$", re.MULTILINE)


class SiteError(Exception):
    """A page asks for what there is not, or nobody asks for what there is."""


def fill(text: str, made: Mapping[str, Callable[[], str]], asked: set[str]) -> str:
    """A page with what it asks for; the names of that are added to `asked`.

    Raises SiteError for a name that nobody knows.

    >>> fill("<!-- generated: answer -->", {"answer": lambda: "42"}, set())
    '42'
    """

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        if name not in made:
            raise SiteError(f"nothing is generated under the name {name!r}")
        asked.add(name)
        return made[name]()

    return _ASKED.sub(replace, text)


def assemble() -> dict[str, str]:
    """Every page of the site, by its path below the site's source.

    Raises SiteError also where something is generated that no page asks for, and where a page
    that is made whole exists as a written one.
    """
    asked: set[str] = set()
    pages = {}
    for path in sorted(DOCS.rglob("*.md")):
        name = path.relative_to(DOCS)
        if not name.parts[0].startswith("_"):
            pages[str(name)] = fill(path.read_text(), parts.PARTS, asked)
    if unused := sorted(set(parts.PARTS) - asked):
        raise SiteError(f"no page asks for {', '.join(unused)}")
    whole = parts.whole_pages()
    if both := sorted(whole.keys() & pages.keys()):
        raise SiteError(f"written and generated: {', '.join(both)}")
    return {**pages, **whole}


def write(pages: Mapping[str, str], folder: Path) -> int:
    """Write what has changed, take away what is no more; how many pages were written."""
    n_written = 0
    for path in folder.rglob("*.md"):
        if str(path.relative_to(folder)) not in pages:
            path.unlink()
    for name, text in pages.items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            n_written += 1
    return n_written


def main(arguments: list[str]) -> int:
    """Write the site's source to the folder that is named."""
    (folder,) = arguments
    try:
        pages = assemble()
    except SiteError as error:
        print(f"writecache_docs: {error}", file=sys.stderr)
        return 1
    n_written = write(pages, Path(folder))
    print(f"{len(pages)} pages, {n_written} of them changed")
    return 0

"""Checks a built site: every link inside leads to a page, and to a place on it.

    python -m writecache_docs.links FOLDER

Sphinx warns of references that it resolves itself.  This looks at what came out: raw HTML,
pictures and scripts too.
"""

import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit


class Page(NamedTuple):
    """What a page links to, and the places that it has."""

    links: list[str]
    places: set[str]


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page = Page([], set())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("id", "name") and value:
                self.page.places.add(value)
            elif name in ("href", "src") and value is not None:
                self.page.links.append(value)


def read(text: str) -> Page:
    """Links and places of a page.

    >>> read('<a href="b.html#c" id="d">')
    Page(links=['b.html#c'], places={'d'})
    """
    reader = _Reader()
    reader.feed(text)
    return reader.page


def broken(folder: Path) -> tuple[int, list[str]]:
    """How many links inside were looked at, and those that lead nowhere, each with its page."""
    pages = {path.resolve(): read(path.read_text()) for path in folder.rglob("*.html")}
    n_links, found = 0, []
    for path, page in sorted(pages.items()):
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            n_links += 1
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            place = unquote(parts.fragment)
            known = pages[target].places if target in pages else None
            if not target.is_file() or (place and known is not None and place not in known):
                found.append(f"{path.relative_to(folder.resolve())}: {link}")
    return n_links, found


def main(arguments: list[str]) -> int:
    """Exit code 1 where a link leads nowhere, or where there is none."""
    (folder,) = arguments
    n_links, found = broken(Path(folder))
    for one in found:
        print(f"broken link: {one}", file=sys.stderr)
    print(f"{n_links} links inside, {len(found)} broken")
    return 1 if found or not n_links else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

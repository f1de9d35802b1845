"""The site's source: pages get what they ask for, and a wrong request or a broken link is found."""

from pathlib import Path

import pytest

from writecache_docs import links, parts, site


def test_a_page_that_asks_for_what_there_is_not_is_refused() -> None:
    with pytest.raises(site.SiteError, match="'nothing'"):
        site.fill("<!-- generated: nothing -->", {}, set())


def test_what_no_page_asks_for_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PARTS", {**parts.PARTS, "unwanted": str})
    with pytest.raises(site.SiteError, match="unwanted"):
        site.assemble()


def test_a_page_is_not_both_written_and_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "whole_pages", lambda: {"index.md": "again"})
    with pytest.raises(site.SiteError, match=r"index\.md"):
        site.assemble()


def test_only_what_has_changed_is_written_and_what_is_no_more_goes(tmp_path: Path) -> None:
    assert site.write({"a.md": "a", "b/c.md": "c"}, tmp_path) == 2
    assert site.write({"a.md": "a"}, tmp_path) == 0
    assert [path.name for path in tmp_path.rglob("*.md")] == ["a.md"]


@pytest.mark.parametrize("link", ["nosuch.html", "b.html#nosuch", "#nosuch", "nosuch.js"])
def test_a_link_that_leads_nowhere_is_found(tmp_path: Path, link: str) -> None:
    (tmp_path / "a.html").write_text('<a href="b.html#here">b</a> <a href="https://x.test/y">')
    page = tmp_path / "b.html"
    page.write_text('<p id="here"><a href="a.html">a</a></p>')
    assert links.broken(tmp_path) == (2, [])
    page.write_text(page.read_text() + f'<a href="{link}">?</a>')
    assert links.broken(tmp_path) == (3, [f"b.html: {link}"])
    assert links.main([str(tmp_path)]) == 1


def test_a_site_without_links_is_not_fine(tmp_path: Path) -> None:
    assert links.main([str(tmp_path)]) == 1

"""The trace explorer's page in the site; each finding's page links to its trace there."""

from pathlib import Path, PurePosixPath

from sphinx.application import Sphinx

from writecache_docs.findings import EXPLORER
from writecache_impl.explorer.writing import write_docs_page
from writecache_models.findings import FINDINGS


def _write_page(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    pages = {PurePosixPath(name).name: f"{name}.html" for name in app.env.found_docs}
    described = {finding.name: pages[finding.name] for finding in FINDINGS if finding.name in pages}
    write_docs_page(Path(app.outdir) / EXPLORER, described.get)


def setup(app: Sphinx) -> None:
    """Let the site's build write the page."""
    app.connect("build-finished", _write_page)

"""Configuration of the site: `make docs` builds it."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from writecache_docs.commands import man_pages as all_man_pages

project = "writecache-reference"
author = "The writecache-reference developers"
copyright = f"{author}; GPL-2.0-only"
release = version = version_of("writecache-reference")

extensions = ["myst_parser", "writecache_docs.explorer"]
myst_enable_extensions = ["deflist", "colon_fence", "attrs_block"]
myst_heading_anchors = 3
# Excerpts of C are excerpts: a lexer may not know where they end.
suppress_warnings = ["misc.highlighting_failure"]
exclude_patterns = ["_build"]
nitpicky = True

man_pages = all_man_pages()
man_show_urls = False

# Options begin with two hyphens, here and in the pages for man.
smartquotes = False

html_theme = "furo"
html_title = "dm-writecache, the checked reference"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
# Code without a language is text: a trace, a dump, a transcript.
highlight_language = "text"

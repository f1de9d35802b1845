"""The site: hand-written pages, and what is generated from the code that is checked.

A page asks for generated text by a line of its own, `<!-- generated: NAME -->`; `site` has the
names.  Nothing generated is kept: it is made anew for each build.
"""

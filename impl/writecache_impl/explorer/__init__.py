"""The trace explorer: one page that needs nothing else, with the traces it shows in it.

What a trace's strings say is data: it is escaped so that it cannot end the element it is in, the
page sets it as text only, and its policy lets no script run but the page's own, and no request go
out.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib import resources
from string import Template
from typing import Any, Final

FILES: Final = ("page.html", "page.css", "page.js")
"""What the page is made of, beside this module."""
_ESCAPED: Final = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


def embedded(document: Mapping[str, Any]) -> str:
    """A document as JSON that can stand inside a page.

    >>> embedded({"a": "</script><script>"})
    '{"a":"\\\\u003c/script\\\\u003e\\\\u003cscript\\\\u003e"}'
    """
    return json.dumps(document, separators=(",", ":")).translate(_ESCAPED)


def page(document: Mapping[str, Any]) -> str:
    """The page with a document of trace states in it (`writecache_models.trace_states`)."""
    html, style, script = (
        resources.files(__name__).joinpath(name).read_text("utf-8") for name in FILES
    )
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "policy": policy,
        "style": style,
        "script": script,
        "data": embedded(document),
        "names": _names(document),
    }
    return Template(html).substitute(parts)


def _names(document: Mapping[str, Any]) -> str:
    """The traces, as places that a link can lead to where no script runs."""
    return "".join(
        f'<li id="{escape(trace["name"])}">{escape(trace["name"])}: {escape(trace["title"])}</li>'
        for trace in document.get("traces", ())
    )


def _hash(content: str) -> str:
    """How a policy names a script or a style."""
    digest = hashlib.sha256(content.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"

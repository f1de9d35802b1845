"""Figures: rectangles, lines and text, in the colours of the page's theme.

A figure is HTML in one line: Markdown takes it as it is.
"""

from html import escape

CHARACTER: float = 7.3
"""Width of a character of the figures' type, in pixels."""
SHRINKS: float = 950
"""Of a figure up to this width, in pixels, nothing becomes too small to read on a page of 700."""


class Figure:
    """A drawing under construction; lengths in pixels, from the upper left corner."""

    def __init__(self, width: float, height: float, title: str) -> None:
        self.width, self.height, self.title = width, height, title
        self._parts: list[str] = []

    def box(self, x: float, y: float, width: float, height: float, kind: str = "",
            text: str = "") -> None:  # fmt: skip
        """A rectangle with a text in its middle; `kind` is a class of the style sheet."""
        self._parts.append(
            f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"/>'
        )
        if text:
            self.text(x + width / 2, y + height / 2 + 4, text, anchor="middle")

    def text(self, x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> None:
        """A line of text; `y` is its base line."""
        self._parts.append(
            f'<text class="{kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """A line."""
        self._parts.append(f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>')

    def arrow(self, x1: float, y1: float, x2: float, y2: float, height: float) -> None:
        """A bent arrow, `height` above (below zero) or below the line between its ends."""
        bend = y1 + height
        self._parts.append(f'<path d="M{x1:g} {y1:g} V{bend:g} H{x2:g} V{y2:g}"/>')
        tip = 7 if height > 0 else -7
        self._parts.append(
            f'<path d="M{x2 - 4:g} {y2 + tip:g} L{x2:g} {y2:g} L{x2 + 4:g} {y2 + tip:g}"/>'
        )

    def html(self, caption: str = "") -> str:
        """The figure; `caption` is plain text."""
        title = escape(self.title, quote=True)
        fits = ' class="fits"' if self.width <= SHRINKS else ""
        return (
            f'<figure class="drawn"><svg{fits} role="img" aria-label="{title}"'
            f' width="{self.width:g}" height="{self.height:g}"'
            f' viewBox="0 0 {self.width:g} {self.height:g}">'
            f"<title>{title}</title>{''.join(self._parts)}</svg>"
            + (f"<figcaption>{escape(caption)}</figcaption>" if caption else "")
            + "</figure>"
        )

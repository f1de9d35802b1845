"""What is generated, by the name under which pages ask for it."""

from collections.abc import Callable, Mapping
from typing import Final

PARTS: Final[Mapping[str, Callable[[], str]]] = {}
"""Parts of pages."""


def whole_pages() -> dict[str, str]:
    """Pages that are generated whole, by path."""
    return {}

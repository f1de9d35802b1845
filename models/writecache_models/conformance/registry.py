"""Targets by name: `SCHEME` or `SCHEME:REST`, found through entry points.

A package offers targets in its entry points of the group `writecache.targets`: the name is the
scheme, the object is called with the whole name and with seconds that an operation may take, and
returns a `Target`; it raises UnavailableError where there is none to be had.
"""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Final

from writecache_models.conformance.target import Target

GROUP: Final = "writecache.targets"
OPERATION_SECONDS: Final = 10.0
Factory = Callable[[str, float], Target]


class UnknownTargetError(ValueError):
    """No installed package offers such a target; the text names those there are."""


def schemes() -> list[str]:
    """The schemes that installed packages offer."""
    return sorted({one.name for one in entry_points(group=GROUP)})


def factory_of(name: str) -> Factory:
    """What makes the target of this name; raises UnknownTargetError."""
    scheme = name.partition(":")[0]
    for one in entry_points(group=GROUP, name=scheme):
        factory: Factory = one.load()
        return factory
    raise UnknownTargetError(f"no target {name!r}: there are {', '.join(schemes()) or 'none'}")


def new_target(name: str, operation_seconds: float = OPERATION_SECONDS) -> Target:
    """The target of this name; raises UnknownTargetError or UnavailableError."""
    return factory_of(name)(name, operation_seconds)

"""The conformance kit: any program or device that claims to be a writecache, judged.

A target (`target`) says which level it claims and what it can do.  `stories` draws traces that ask
it for just that, `playing` plays one and judges it by the contract and by images, `judging` does so
for a time and shrinks what it finds.  Targets are found by name (`registry`).
"""

from writecache_models.conformance.judging import Judged, Renewed, judge_stories, smallest
from writecache_models.conformance.playing import play
from writecache_models.conformance.registry import new_target, schemes
from writecache_models.conformance.stories import draw
from writecache_models.conformance.target import (
    Ability,
    Devices,
    Facts,
    Level,
    LostError,
    PowerFailedError,
    RefusedError,
    Target,
    UnavailableError,
)
from writecache_models.conformance.verdicts import Verdict, Violation

__all__ = [
    "Ability",
    "Devices",
    "Facts",
    "Judged",
    "Level",
    "LostError",
    "PowerFailedError",
    "RefusedError",
    "Renewed",
    "Target",
    "UnavailableError",
    "Verdict",
    "Violation",
    "draw",
    "judge_stories",
    "new_target",
    "play",
    "schemes",
    "smallest",
]

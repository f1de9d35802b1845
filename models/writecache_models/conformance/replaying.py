"""Vectors on a target: which of them are asked, and what is judged."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from writecache_models.conformance.exact import exact_problem
from writecache_models.conformance.exchange import UnreadableError
from writecache_models.conformance.judging import Judged, Renewed
from writecache_models.conformance.target import Level
from writecache_models.trace import Trace
from writecache_spec.units import SECTOR_SIZE

_USUAL_TABLE: Final = re.compile(r"s ORIGIN CACHE (512|1024|2048|4096) \d+( [a-z_]+( \d+)?)*")
"""What every target has to understand; options may be ignored below level 3."""
_MOVES: Final = "start_sector"


def replay(
    renewed: Renewed, traces: Iterable[Trace], progress: Callable[[int], None] = lambda _: None
) -> tuple[Judged, Counter[str]]:
    """Play vectors on a target, up to the first violation; also which were not asked, and why.

    Raises UnavailableError.
    """
    judged = Judged(facts=renewed.facts)
    not_asked: Counter[str] = Counter()
    for trace in traces:
        reason = problem(trace, renewed)
        if reason is None:
            try:
                judged.take(renewed.play(trace))
            except UnreadableError as error:
                reason = f"images that the reference does not open: {error}"
        if reason is not None:
            not_asked[reason] += 1
        progress(len(trace.steps))
        if judged.violated is not None:
            break
    return judged, not_asked


def problem(trace: Trace, renewed: Renewed) -> str | None:
    """Why a vector is not asked of a target; None if it is."""
    if renewed.is_exact(trace):
        return exact_problem(trace, renewed.target)
    if renewed.facts.level < Level.IMAGES and (trace.cache_image or trace.origin_image):
        return "images, and the target claims level 1"
    if trace.kernel is not None and trace.cache_image:
        return "images that are damaged on purpose: only of level 3"
    target = renewed.target
    if target.fixed_sectors is not None:
        first = trace.extra.get("first_sector", 0)
        if type(first) is not int or not 0 <= first <= target.fixed_sectors - trace.origin_sectors:
            return "an origin that is larger than the device"
        if any(op[1] * SECTOR_SIZE % target.block_size for op in trace.ops if op[0] == "write"):
            return "requests that are no whole blocks of the device"
    opens = [op[1] if op[1:] else trace.table for op, seen in trace.steps if op[0] == "open"]
    if not all(_USUAL_TABLE.fullmatch(table) for table in opens):
        return "tables that are unusual: only of level 3"
    if any(_MOVES in table for table in opens):
        return f"{_MOVES}: only of level 3"
    return None

"""Steps as the document has them: moments, crashes at those, and where the contract breaks."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from writecache_models.trace_states.failing import BROKEN
from writecache_models.trace_states.memory import memory_in
from writecache_models.trace_states.moments import Step
from writecache_models.trace_states.pool import Pool
from writecache_models.trace_states.views import View

MOST_CRASHES: Final = 48
"""Moments of one step at which crashes are tried: of more, the first and the last ones."""
Tell = Callable[[], None]
"""Told of each step that is done."""


def shown_step(view: View, step: Step, tell: Tell = lambda: None) -> dict[str, Any]:
    """A step as the document has it."""
    tried = _tried(len(step.moments))
    moments = [
        [
            moment.kind,
            moment.text,
            memory_in(view.pool, moment.wc),
            *view.devices(moment),
            view.crash(moment) if number in tried else None,
        ]
        for number, moment in enumerate(step.moments)
    ]
    tell()
    return {
        "op": step.op,
        "result": step.result,
        "status": step.status,
        "wrong": list(step.wrong),
        "seen": step.seen,
        "other": None,
        "moments": moments,
    }


def _tried(n_moments: int) -> set[int]:
    """The moments at which crashes are tried; the last one is among them."""
    if n_moments <= MOST_CRASHES:
        return set(range(n_moments))
    half = MOST_CRASHES // 2
    return {*range(half), *range(n_moments - half, n_moments)}


def verdict_of(
    pool: Pool, steps: Sequence[dict[str, Any]], in_last_step: bool
) -> dict[str, Any] | None:
    """Where the contract breaks: without a crash, or by one in the last step, the latest first."""
    for number, step in enumerate(steps):
        if step["wrong"]:
            last = len(step["moments"]) - 1
            return {"step": number, "moment": last, "crash": None, "what": step["wrong"][0]}
    if not in_last_step:
        return None
    moments = steps[-1]["moments"]
    for place in range(len(moments) - 1, -1, -1):
        if moments[place][-1] is None:
            continue
        shown = pool.values[moments[place][-1]]["shown"]
        for which, one in enumerate(shown):
            if one["verdict"] == BROKEN:
                what = f"a crash here: {one['label']}: {'; '.join(one['problems'])}"
                return {"step": len(steps) - 1, "moment": place, "crash": which, "what": what}
    return None


def breaks(pool: Pool, step: dict[str, Any]) -> bool:
    """Whether a step, or a crash in it, breaks the contract."""
    crashes = (row[-1] for row in step["moments"] if row[-1] is not None)
    return bool(step["wrong"]) or any(pool.values[number]["broken"] for number in crashes)

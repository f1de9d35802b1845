"""The document that the trace explorer opens: traces, and how things are at every moment of them.

A JSON object: `format` is "writecache-trace-states", `version` 2, `traces` a list.  A trace:

| key | meaning |
|---|---|
| `name`, `title`, `group` | its name, a sentence, "findings" or "vectors" |
| `about` | rows `[what, text]` |
| `pair` | the name of the same trace on the repaired reference, or on the faithful one; null |
| `verdict` | null, or `step`, `moment`, `crash` (may be null), `what`: where the contract breaks |
| `pool` | values that moments refer to by number |
| `steps` | one after the other |

A step has `op`, `result`, `status`, `wrong` (a list of texts), `seen` (null, "agrees" or
"differs"), `other` (null, or the name of another finding, which is what breaks the contract there)
and `moments`.  A moment is a list: kind, text, and numbers of values in the pool, or null: memory,
cache, origin, crash.  Memory: see `memory`.  A device is a list of rows `[sectors, what lies there,
durable, [pending, the latest last]]`; what is not listed holds zeros.  A crash has `total`,
`judged`, `broken`, and `shown`, a list of `label`, `outcome`, `memory`, `reads` (rows `[sectors,
what is read, what is allowed or null, whether it is fine]`), `verdict` ("allowed", "broken",
"unjudged") and `problems`.  A trace's `unjudged` says why nobody can say what is allowed, or is
null.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from writecache_models.finding import Finding, Path, Symptom, Trace, faithful, repaired, table_for
from writecache_models.findings import FINDINGS
from writecache_models.judge import judge, with_schedules
from writecache_models.observations import profile_of
from writecache_models.trace import Trace as Vector
from writecache_models.trace import VectorError
from writecache_models.trace_states.following import follow, stuck
from writecache_models.trace_states.moments import Step
from writecache_models.trace_states.pool import Pool
from writecache_models.trace_states.steps import Tell, breaks, shown_step, verdict_of
from writecache_models.trace_states.views import ByteView, View, WorldView
from writecache_models.trace_states.watching import (
    NOT_JUDGED_FAULT,
    NOT_JUDGED_IMAGE,
    play,
)
from writecache_models.walking import HANG
from writecache_spec.profile import Profile

FORMAT: Final = "writecache-trace-states"
VERSION: Final = 2
FINDINGS_LIMIT: Final = 512
"""Contents of one crash that are judged, in a finding's trace."""
VECTORS_LIMIT: Final = 16
LARGEST_DEVICE: Final = 2**17
"""In sectors: 64 MiB.  Every sector of it is looked at, at every crash."""
REPAIRED: Final = "--repaired"
"""Behind a finding's name: its trace on the repaired reference."""


def document(traces: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The whole document; of traces that have one name, the later ones get a number."""
    names: set[str] = set()
    listed = []
    for trace in traces:
        given = name = trace["name"]
        number = 1
        while name in names:
            number += 1
            name = f"{given} ({number})"
        names.add(name)
        listed.append({**trace, "name": name})
    return {"format": FORMAT, "version": VERSION, "traces": listed}


def of_finding(finding: Finding, mended: bool, tell: Tell = lambda: None) -> dict[str, Any]:
    """A finding's trace, on the faithful reference or the repaired one."""
    profile = repaired(finding) if mended else faithful(finding)
    by = finding.shown_by
    after_first = by.crash if isinstance(by, Trace) else finding.symptom in _NEEDS_CRASH
    about = [
        ["symptom", finding.symptom.value],
        ["cause", finding.cause],
        ["repair", f"{finding.repair.name}: {finding.repair.value}"],
        ["kernels", finding.kernels],
        ["reference", f"{profile.name}, {'with all repairs' if mended else 'as the kernel is'}"],
    ]
    head: dict[str, Any] = {
        "name": finding.name + (REPAIRED if mended else ""),
        "title": finding.title,
        "group": "findings",
        "pair": finding.name + ("" if mended else REPAIRED),
        "mended": mended,
        "unjudged": None,
    }
    more, steps, view = _of_finding(finding, profile)
    shown = [shown_step(view, step, tell) for step in steps]
    verdict = verdict_of(view.pool, shown, after_first)
    if not mended:
        _name_others(finding, profile, view.pool, shown)
    return {**head, "about": [*about, *more], "verdict": verdict, "pool": view.pool.values,
            "steps": shown}  # fmt: skip


def _of_finding(finding: Finding, profile: Profile) -> tuple[list[list[Any]], list[Step], View]:
    """What is said about a finding's trace, its steps on this profile, and how they are shown."""
    by = finding.shown_by
    if isinstance(by, Trace):
        vector = Vector(
            name=finding.name, kernel=None, target=None, table=table_for(by, profile),
            cache_sectors=by.cache_sectors, origin_sectors=by.origin_sectors,
            cache_image=by.cache_image, steps=tuple((list(op), {}) for op in by.ops),
        )  # fmt: skip
        steps = list(play(vector, profile))
        return _sizes(vector), steps, ByteView(vector, profile, steps, FINDINGS_LIMIT)
    setting = by.setting(profile)
    about = [["table", setting.table], ["entries", str(setting.n_entries)]]
    about += [["origin", f"{setting.origin_sectors} sectors"]]
    steps = _with_end(list(follow(by, profile)), by, profile)
    return about, steps, WorldView(by, profile, FINDINGS_LIMIT)


def _name_others(
    finding: Finding, profile: Profile, pool: Pool, steps: Sequence[dict[str, Any]]
) -> None:
    """Name the findings that break the contract before the last step, which is the finding's own.

    One is named where its repair alone makes the step keep the contract, and the finding's own
    repair does not.
    """
    broken = [number for number, step in enumerate(steps[:-1]) if breaks(pool, step)]
    for number in broken:
        for other in sorted(FINDINGS, key=lambda one: one is finding, reverse=True):
            mended = profile._replace(repairs=frozenset({other.repair}))
            _, played, view = _of_finding(finding, mended)
            if number < len(played) and not breaks(view.pool, shown_step(view, played[number])):
                steps[number]["other"] = None if other is finding else other.name
                break


_NEEDS_CRASH: Final = (Symptom.LOSS, Symptom.DEAD, Symptom.ERROR)


def _with_end(steps: list[Step], path: Path, profile: Profile) -> list[Step]:
    """The same, and what is wrong at the end of a path that is stuck."""
    if not stuck(path, profile):
        return steps
    return [*steps[:-1], steps[-1]._replace(wrong=(*steps[-1].wrong, HANG))]


def of_vector(
    trace: Vector, profile: Profile | None = None, tell: Tell = lambda: None
) -> dict[str, Any]:
    """A recorded trace, or one that nobody has recorded yet, on the reference.

    Raises VectorError for one that cannot be played.
    """
    if max(trace.cache_sectors, trace.origin_sectors) > LARGEST_DEVICE:
        raise VectorError(f"{trace.name}: a device of more than {LARGEST_DEVICE} sectors")
    try:
        profile = profile or profile_of(trace)
        steps = list(play(trace, profile))
    except ValueError as error:
        raise VectorError(f"{trace.name}: {error}") from None
    if any(step.seen == "differs" for step in steps) and "logs" not in trace.extra:
        # The canonical schedule is not the recorded kernel's: look for one that is.
        trace = with_schedules(trace, judge(trace, profile))
        steps = list(play(trace, profile))
    view = ByteView(trace, profile, steps, VECTORS_LIMIT)
    about = [
        ["kernel", trace.kernel or "none: it has not been recorded"],
        ["reference", profile.name],
        *_sizes(trace),
    ]
    head: dict[str, Any] = {
        "name": trace.name,
        "title": f"Recorded on Linux {trace.kernel}" if trace.kernel else "A trace of operations",
        "group": "vectors",
        "pair": None,
        "mended": False,
        "unjudged": _unjudged(trace),
    }
    shown = [shown_step(view, step, tell) for step in steps]
    return {**head, "about": about, "verdict": verdict_of(view.pool, shown, False),
            "pool": view.pool.values, "steps": shown}  # fmt: skip


def _unjudged(trace: Vector) -> str | None:
    if trace.cache_image:
        return NOT_JUDGED_IMAGE
    return NOT_JUDGED_FAULT if any(op[0] == "fail" for op in trace.ops) else None


def _sizes(trace: Vector) -> list[list[Any]]:
    return [
        ["table", trace.table],
        ["cache", f"{trace.cache_sectors} sectors"],
        ["origin", f"{trace.origin_sectors} sectors"],
    ]

"""The manifest of the shipped vectors: what is in each file, what confirmed it, what it reaches.

One JSON document, decided by the files alone.  A trace is *drawn* if its seed, family and version
still give its operations, but for those that could not be done when it was recorded; so anybody can
record it anew.  A trace is *confirmed* by every kernel of which there is a recording of its name
with the same table.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from writecache_models.trace import Op, Trace
from writecache_models.vectors import read_traces
from writecache_models.workloads import FAMILIES, generate
from writecache_models.workloads.memory import on_either

VERSION: Final = 1
"""Of the set: raised when a file is added, taken away, or recorded anew."""


def manifest(files: Iterable[Path], coverage: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of vector files, and what all of them reach; raises VectorError."""
    listed = []
    recordings: dict[tuple[str, str], dict[str, Any]] = {}
    for file in files:
        traces = list(read_traces(file))
        text = "".join(line + "\n" for trace in traces for line in trace.lines())
        listed.append(
            {
                "file": file.name,
                "sha256": hashlib.sha256(text.encode()).hexdigest(),
                "traces": len(traces),
                "steps": sum(len(trace.steps) for trace in traces),
                "kernels": sorted({str(trace.kernel) for trace in traces}),
                "families": dict(sorted(Counter(map(_family, traces)).items())),
            }
        )
        for trace in traces:
            _note(recordings, trace)
    ordered = sorted(recordings.values(), key=lambda one: (one["trace"], one["table"]))
    confirmed = Counter(len(one["kernels"]) for one in ordered)
    return {
        "version": VERSION,
        "totals": {
            "traces": sum(one["traces"] for one in listed),
            "steps": sum(one["steps"] for one in listed),
            "distinct": len(ordered),
            "drawn": sum(one["drawn"] for one in ordered),
            "confirmed_by": {str(n): count for n, count in sorted(confirmed.items())},
        },
        "coverage": coverage,
        "files": listed,
        "traces": ordered,
    }


def _family(trace: Trace) -> str:
    return str(trace.extra.get("family", "by hand"))


def _note(recordings: dict[tuple[str, str], dict[str, Any]], trace: Trace) -> None:
    known = recordings.setdefault(
        (trace.name, trace.table),
        {
            "trace": trace.name,
            "table": trace.table,
            "seed": trace.extra.get("seed"),
            "family": _family(trace),
            "drawn": is_drawn(trace),
            "kernels": [],
        },
    )
    known["kernels"] = sorted({*known["kernels"], str(trace.kernel)})


def is_drawn(trace: Trace) -> bool:
    """Whether its seed still gives its operations, but for those that could not be done."""
    seed, family = trace.extra.get("seed"), trace.extra.get("family")
    if not isinstance(seed, str) or family not in FAMILIES:
        return False
    target = trace.target or "1.6.0"
    drawn = [generate(seed, one, target) for one in (None, family)]
    drawn += [on_either(one, seed) for one in list(drawn)]
    return any(
        one.table == trace.table
        and one.cache_image == trace.cache_image
        and _is_part(trace.ops, one.ops)
        for one in drawn
    )


def _is_part(ops: list[Op], whole: list[Op]) -> bool:
    """Whether operations come in this order among others.

    >>> _is_part([["open"], ["flush"]], [["open"], ["read", 0, 8], ["flush"]])
    True
    >>> _is_part([["flush"], ["open"]], [["open"], ["read", 0, 8], ["flush"]])
    False
    """
    rest = iter(whole)
    return all(any(op == other for other in rest) for op in ops)


def document(content: Mapping[str, Any]) -> str:
    """The manifest as it is kept: a trace a line, so that changes can be read."""
    parts = []
    for key, value in content.items():
        if isinstance(value, list):
            lines = ",\n".join(f"  {json.dumps(one)}" for one in value)
            parts.append(f" {json.dumps(key)}: [\n{lines}\n ]")
        else:
            parts.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"

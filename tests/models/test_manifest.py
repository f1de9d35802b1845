"""The manifest says what the shipped vectors are."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from writecache_models.fixtures import shipped_vectors
from writecache_models.manifest import document, is_drawn, manifest
from writecache_models.vectors import read_traces, write_traces

SHIPPED = Path(__file__).parents[1] / "vectors" / "manifest.json"


def test_the_manifest_is_that_of_the_shipped_vectors_byte_for_byte() -> None:
    """If it is not: writecache vectors manifest -o tests/vectors/manifest.json."""
    before = SHIPPED.read_text()
    coverage = json.loads(before)["coverage"]
    assert document(manifest(shipped_vectors(), coverage)) == before
    assert coverage["missed"] == 0


def test_a_vector_that_changes_changes_the_manifest(tmp_path: Path) -> None:
    (file,) = (one for one in shipped_vectors() if one.name == "sid-sleeps.jsonl.xz")
    before = manifest([file], {})
    traces = list(read_traces(file))
    op, seen = traces[0].steps[0]
    changed = replace(traces[0], steps=((op, {**seen, "origin": "0" * 16}), *traces[0].steps[1:]))
    other = tmp_path / file.name
    write_traces(other, [changed, *traces[1:]])
    after = manifest([other], {})
    assert after["traces"] == before["traces"]
    assert after["files"][0]["sha256"] != before["files"][0]["sha256"]
    assert document(after) != document(before)


@pytest.mark.parametrize("change", ["ops", "table", "seed"])
def test_a_trace_is_drawn_only_as_its_seed_says(change: str) -> None:
    (file,) = (one for one in shipped_vectors() if one.name == "sid.jsonl.xz")
    trace = next(one for one in read_traces(file) if is_drawn(one))
    match change:
        case "ops":
            trace = replace(trace, steps=(*trace.steps, (["write", 0, 8, 1], {})))
        case "table":
            trace = replace(trace, table=f"{trace.table} ")
        case _:
            trace = replace(trace, extra={**trace.extra, "seed": "another"})
    assert not is_drawn(trace)

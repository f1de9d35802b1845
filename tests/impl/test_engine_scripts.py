"""The engine plays what clients of several requests do, in the vectors of kernels."""

from pathlib import Path

from writecache_impl.mmap_target.player import play
from writecache_models.trace import TOGETHER, script_of
from writecache_models.vectors import read_traces
from writecache_spec.profile import PROFILES

VECTORS = Path(__file__).parent.parent / "vectors" / "sid-slow-reads.jsonl.xz"


def test_clients_with_scripts_are_played() -> None:
    trace = next(
        trace
        for trace in read_traces(VECTORS)
        if any(
            len(script_of(client)) > 1 for op in trace.ops if op[0] == TOGETHER for client in op[1:]
        )
    )
    seen = [
        step[TOGETHER] for op, step in play(trace, PROFILES["1.6.0"]).steps if op[0] == TOGETHER
    ]
    assert any(isinstance(client, list) and len(client) > 1 for step in seen for client in step)

"""Recording: what a live kernel does with a trace's operations."""

from collections.abc import Sequence
from dataclasses import replace

from writecache_impl.linux import LinuxTarget
from writecache_models.vectors import Op, Trace


class HungError(Exception):
    """The kernel did not come back from an operation."""

    def __init__(self, trace: Trace, op: Op) -> None:
        super().__init__(f"{trace.name}: the kernel hangs on {op}")
        self.trace = trace
        """What was recorded; its last step has the key `hang`, which the reference must explain."""
        self.op = op


def record(target: LinuxTarget, trace: Trace, ops: Sequence[Op] | None = None) -> Trace:
    """Play a trace's operations, or others, on a live kernel; raises HungError.

    Operations for which there is no device are left out of the result.
    """
    header = target.header(trace.header())
    steps = []
    hung: Op | None = None
    for step in target.play(trace.header(), trace.ops if ops is None else ops):
        op = step.pop("op")
        if step.get("hang"):
            hung = op
            steps.append((op, {"hang": True}))
            break
        steps.append((op, step))
    recorded = replace(trace, kernel=header["kernel"], target=header["target"], steps=tuple(steps))
    if hung is not None:
        raise HungError(recorded, hung)
    return recorded

"""A finding shown by a kernel's own log: what it wrote and flushed before the power failed.

The kernel plays the trace over dm-log-writes.  Of the contents that a crash after the last
operation may leave by that log, the contract judges which break a promise; one of them goes back to
the kernel, which activates and reads it.
"""

from collections.abc import Callable
from dataclasses import replace

from writecache_impl.crashes import play
from writecache_impl.linux import LinuxTarget
from writecache_impl.recording import record
from writecache_models.crashing import Setting
from writecache_models.judge import judge
from writecache_models.logged_crashes import Found, judge_crashes
from writecache_models.logged_moments import Happened
from writecache_models.trace import ONE_LOG, Op, Trace
from writecache_spec.profile import profile_for_kernel

LIMIT = 256
"""Contents of one crash that are looked at."""


def show_logged(vector: Trace, target: LinuxTarget, say: Callable[[str], None]) -> bool:
    """Whether a crash after the last operation breaks a promise, and the kernel shows it."""
    profile = profile_for_kernel(target.kernel_version, target.target_version)
    setting = Setting(profile, vector.table, vector.cache_sectors, vector.origin_sectors)
    happened = play(target, vector.with_logs(ONE_LOG))
    for one in happened:
        say(f"{' '.join(map(str, one.op))}: {_said(one)}")
    judged = judge_crashes(setting, happened, limit=LIMIT, n_samples=0, seed=vector.name)
    last = len(happened) - 1
    broken = [one for one in judged.examples if one.step == last and not one.finding]
    if not broken:
        say("no crash then breaks a promise, by the kernel's own log")
        return False
    say("the power fails; by the log the disks may then hold what is activated now:")
    return _activate(vector, broken[0], target, say)


def _said(one: Happened) -> str:
    """What a kernel wrote and flushed in an operation, by its log, which a flush ends."""
    flushes = sum(getattr(entry, "flags", 0) & 1 for entry in one.log)
    if not one.log:
        return "done; no disk was told to flush anything"
    return f"done; {len(one.log)} entries in the log, {flushes} of them flushes"


def _activate(vector: Trace, found: Found, target: LinuxTarget, say: Callable[[str], None]) -> bool:
    """Let the kernel activate and read a content; whether it shows what the reference says."""
    written = [op for op in vector.ops if op[0] == "write"][-1]
    steps: list[Op] = [["open"], ["read", written[1], written[2]]]
    crashed = replace(
        vector,
        name=f"{vector.name}-crashed",
        cache_image=found.image.cache,
        origin_image=found.image.origin,
        extra={},
        steps=tuple((op, {}) for op in steps),
    )
    recorded = record(target, crashed)
    profile = profile_for_kernel(target.kernel_version, target.target_version)
    if judge(recorded, profile).divergence is not None:
        say("the reference does something else: this is a divergence, not the finding")
        return False
    read = recorded.steps[-1][1].get("read")
    say(f"{' '.join(map(str, steps[-1]))}: READS {read}: {found.what}, though the flush had ended")
    return read is not None

"""Reproducing a finding on a live kernel: the kernel's own behaviour, beside the reference's.

A trace without a crash is played as it is.  Shown is what the faithful reference does too, and the
repaired one does not.  Where the power must fail, the kernel first plays what comes before; then it
gets the disks that the crash leaves, and is asked to activate them.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from writecache_impl.linux import LinuxTarget
from writecache_impl.recording import HungError, record
from writecache_impl.reproducing_logged import show_logged
from writecache_models.actions import HangError, PanicError
from writecache_models.finding import (
    Finding,
    Trace,
    show,
    table_for,
)
from writecache_models.judge import judge
from writecache_models.observations import (
    UnusableStepError,
    new_machine,
    observe,
    perform,
    profile_of,
)
from writecache_models.schedules import Recorded
from writecache_models.trace import TOGETHER
from writecache_models.vectors import Observation, Op
from writecache_models.vectors import Trace as Vector
from writecache_models.volatile import Volatile
from writecache_spec.profile import Profile, profile_for_kernel
from writecache_spec.units import SECTOR_SIZE

ANY_READ: Final = "any read"
REFUSED: Final = "refused"
"""What becomes of a request to a device that the repaired reference has not resumed."""
ORDERS: Final = 512
"""Of what several clients do, how many are looked at."""


class Reproduced(NamedTuple):
    """What a kernel did."""

    shown: bool
    """It broke the contract as the faithful reference does."""
    kernel: str
    lines: tuple[str, ...]
    """What was done, and what was seen."""


class _Report:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def reproduce(finding: Finding, target: LinuxTarget) -> Reproduced:
    """Show a finding on a live kernel; raises ValueError where that kernel cannot show it."""
    trace = finding.live_trace
    if trace is None:
        raise ValueError(finding.not_live)
    profile = profile_for_kernel(target.kernel_version, target.target_version)
    if finding.live_needs_memory and not profile.environment.persistent_memory:
        raise ValueError(f"{target.kernel_version} has no persistent memory, bookworm-pmem has")
    report = _Report()
    vector = _vector(finding, trace, target)
    if trace.logged:
        broken = show_logged(vector, target, report.say)
        return Reproduced(broken, target.kernel_version, tuple(report.lines))
    recorded = _record(target, vector)
    profile = profile_of(recorded)
    shown = _compare(recorded, profile, report, trace.crash)
    if trace.crash:
        shown = shown and _activate(finding, vector, target, profile, report)
    return Reproduced(shown, recorded.kernel or "", tuple(report.lines))


def _vector(finding: Finding, trace: Trace, target: LinuxTarget) -> Vector:
    profile = profile_for_kernel(target.kernel_version, target.target_version)
    return Vector(
        name=finding.name,
        kernel=None,
        target=None,
        table=table_for(trace, profile),
        cache_sectors=trace.cache_sectors,
        origin_sectors=trace.origin_sectors,
        cache_image=trace.cache_image,
        extra={**trace.delays, **trace.poisons},
        steps=tuple((op, {}) for op in trace.ops),
    )


def _record(target: LinuxTarget, vector: Vector) -> Vector:
    try:
        return record(target, vector)
    except HungError as hung:
        return hung.trace


def _compare(recorded: Vector, profile: Profile, report: _Report, crash: bool) -> bool:
    """Whether a kernel did what the reference does; and, without a crash, what it must not."""
    verdict = judge(recorded, profile)
    broken = False
    promised = _observations(recorded, profile.repaired())
    for (op, seen), expected in zip(recorded.steps, promised, strict=False):
        wrong = _differs(seen, expected) or _strange(seen, expected)
        broken |= bool(wrong)
        report.say(f"{_words(op)}: {wrong or _said(seen)}")
    if verdict.divergence is not None:
        report.say("the reference does something else: this is a divergence, not the finding")
        return False
    return True if crash else broken


def _observations(recorded: Vector, profile: Profile) -> Iterator[Observation]:
    """What a profile does with a trace's operations.

    Of clients that are at work together `ANY_READ` has every read that some order of theirs yields.
    """
    machine = new_machine(recorded, profile)
    for op in recorded.ops:
        reads: set[str] = set()
        if op[0] == TOGETHER:
            orders = Recorded(op, {}, recorded.table).schedules(machine, ORDERS)
            reads = {read for _, _, seen in orders for read in _reads(seen.get(TOGETHER, []))}
        try:
            seen = observe(machine, op, perform(machine, op, recorded.table))
            yield {**seen, ANY_READ: reads}
        except UnusableStepError:
            yield {"errno": REFUSED}
        except PanicError:
            yield {"panic": True}
            return
        except HangError:
            yield {"hang": True}
            return


def _reads(parts: Any) -> Iterator[str]:
    """What clients have read."""
    for part in parts:
        if isinstance(part, list):
            yield from _reads(part)
        elif "read" in part:
            yield part["read"]


def _strange(seen: Observation, promised: Observation) -> str | None:
    """What a client has read that no order of theirs could have shown it."""
    strange = sorted(set(_reads(seen.get(TOGETHER, []))) - promised.get(ANY_READ, set()))
    wanted = " or ".join(sorted(promised.get(ANY_READ, ())))
    return f"A CLIENT READS {strange[0]}, where it may read {wanted}" if strange else None


def _differs(seen: Observation, promised: Observation) -> str | None:
    """How a kernel breaks the contract in a step."""
    if seen.get("panic") and not promised.get("panic"):
        return "THE KERNEL DIES"
    if seen.get("hang") and not promised.get("hang"):
        return "THE KERNEL DOES NOT COME BACK"
    if seen.get("returned") and promised.get("errno"):
        return f"SUCCESS ({seen['returned']}), AND NOTHING IS LOADED: {promised['errno']} is due"
    if "read" in seen and promised.get("errno") == REFUSED:
        return f"READS {seen['read']}, where nothing may be read"
    if "read" in seen and seen["read"] != promised.get("read"):
        return f"READS {seen['read']}, where {promised.get('read')} was written last"
    return None


def _activate(
    finding: Finding, vector: Vector, target: LinuxTarget, profile: Profile, report: _Report
) -> bool:
    """Give a kernel the disks that the crash leaves, and let it activate them."""
    left = show(finding, profile)
    if left is None:
        report.say("no crash here breaks the contract on this kernel")
        return False
    images = [_image(disk) for disk in left.disks]
    report.say("the power fails; what the disks hold then is activated:")
    size = int(vector.table.split()[3]) // SECTOR_SIZE
    steps: list[Op] = [["open"], ["read", 0, size], ["write", 0, size, 77]]
    crashed = Vector(
        name=f"{finding.name}-crashed",
        kernel=None,
        target=None,
        table=vector.table,
        cache_sectors=vector.cache_sectors,
        origin_sectors=vector.origin_sectors,
        cache_image=images[0],
        origin_image=images[1],
        steps=tuple((op, {}) for op in steps),
    )
    recorded = _record(target, crashed)
    broken = False
    for op, seen in recorded.steps:
        failed = seen.get("errno") or seen.get("panic") or seen.get("hang")
        broken |= bool(failed)
        said = f"FAILS: {seen.get('errno') or _said(seen)}" if failed else _said(seen)
        report.say(f"{_words(op)}: {said} {seen.get('error', '')}".rstrip())
    if judge(recorded, profile).divergence is not None:
        report.say("the reference does something else: this is a divergence, not the finding")
        return False
    return broken


def _image(disk: Volatile) -> bytes:
    """The bytes of a disk up to its last sector that is no zeros."""
    end = max(disk.durable, default=-1) + 1
    sectors: list[Any] = [disk.durable.get(sector) for sector in range(end)]
    return b"".join(one or bytes(SECTOR_SIZE) for one in sectors)


def _words(op: Op) -> str:
    return " ".join(str(word) for word in op)


def _said(seen: Observation) -> str:
    """An observation, short."""
    shown = [f"status {seen['status']}"] if seen.get("status") else []
    shown += [f"{key} {seen[key]}" for key in ("errno", "read") if seen.get(key)]
    shown += [key for key in ("panic", "hang") if seen.get(key)]
    return ", ".join(shown) or "done"

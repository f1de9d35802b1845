"""A finding shown by a kernel's own log: what it wrote and flushed before the power failed.

The kernel plays the trace over dm-log-writes.  Of the contents that a crash after the last
operation may leave by that log, the contract judges which break a promise; one of them goes back to
the kernel, which activates and reads it.
"""

from collections.abc import Callable
from dataclasses import replace

from writecache_impl.happening import play
from writecache_impl.linux import LinuxTarget
from writecache_impl.logging_kernels import tells_flushes_apart
from writecache_impl.recording import record
from writecache_models.crashing import Setting
from writecache_models.devices import pattern
from writecache_models.digests import content_digest
from writecache_models.judge import judge
from writecache_models.log_lines import FLUSH, FUA
from writecache_models.logged_crashes import Found, judge_crashes
from writecache_models.logged_moments import Happened, Logged, Returned, Written, promises
from writecache_models.trace import ONE_LOG, Op, Trace
from writecache_spec.profile import profile_for_kernel
from writecache_spec.units import SECTOR_SIZE

LIMIT = 256
"""Contents of one crash that are looked at."""


def show_logged(vector: Trace, target: LinuxTarget, say: Callable[[str], None]) -> bool:
    """Whether a crash after the last operation breaks a promise, and the kernel shows it.

    ValueError where the kernel's log does not say which device was flushed, and one was.
    """
    profile = profile_for_kernel(target.kernel_version, target.target_version)
    setting = Setting(profile, vector.table, vector.cache_sectors, vector.origin_sectors)
    happened = play(target, vector.with_logs(ONE_LOG))
    flushed = any(promises(entry) for one in happened[1:] for entry in one.log)
    if flushed and not tells_flushes_apart(target):
        raise ValueError(f"the log of {target.kernel_version} does not say which device is flushed")
    for one in happened:
        say(f"{' '.join(map(str, one.op))}: {_said(one)}")
    happened = _until_the_last_return(happened)
    judged = judge_crashes(setting, happened, limit=LIMIT, n_samples=0, seed=vector.name)
    last = len(happened) - 1
    broken = [one for one in judged.examples if one.step == last and not one.finding]
    if not broken:
        say("no crash then breaks a promise, by the kernel's own log")
        return False
    say("the power fails; by the log the disks may then hold what is activated now:")
    return _activate(vector, broken[0], target, say)


def _until_the_last_return(happened: list[Happened]) -> list[Happened]:
    """The same up to the moment at which what was begun last has returned: then the power fails."""
    *before, last = happened
    log = last.log
    if Returned() not in log:
        return happened
    end = len(log) - log[::-1].index(Returned())
    return [*before, last._replace(log=log[:end])]


def _said(one: Happened) -> str:
    """What a kernel wrote and flushed in an operation, by its log.

    A write is in the log where the next flush is, or where it was done with FUA.
    """
    if one.op[0] == "begin":
        return "goes on"
    if not one.log:
        return "done; no disk was told to write or flush anything"
    return f"done; the log: {', '.join(map(_word, one.log))}"


def _word(entry: Logged) -> str:
    """What an entry of the log is."""
    match entry:
        case Returned():
            return "what was begun first HAS RETURNED"
        case Written(device, flags, sector, content):
            if flags & FLUSH:
                return f"{device.value} flushed"
            fua = " with FUA" if flags & FUA else ""
            return f"{device.value} {sector}+{len(content) // SECTOR_SIZE} written{fua}"
        case _:
            return type(entry).__name__.lower()


def _activate(vector: Trace, found: Found, target: LinuxTarget, say: Callable[[str], None]) -> bool:
    """Let the kernel activate and read a content; whether it shows what the reference says."""
    written = [op for op in vector.ops if op[0] == "write"]
    unit = min(n_sectors for _, _, n_sectors, _ in written)
    first = {sector for _, begin, n, _ in written for sector in range(begin, begin + n, unit)}
    steps: list[Op] = [["open"], *(["read", sector, unit] for sector in sorted(first))]
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
    reads = [(op, seen.get("read")) for op, seen in recorded.steps[1:]]
    for op, read in reads:
        say(f"{' '.join(map(str, op))}: READS {_name(read, op[2], written)}")
    say(f"the promise that is broken: {found.what}")
    return all(read is not None for _, read in reads)


def _name(read: str | None, n_sectors: int, written: list[Op]) -> str:
    """What so many sectors hold."""
    known = {content_digest(bytes(n_sectors * SECTOR_SIZE)): "zeros"}
    for _, first, size, tag in written:
        for sector in range(first, first + size - n_sectors + 1):
            content = pattern(sector, n_sectors, tag)
            known[content_digest(content)] = f"write {tag} of {sector}+{n_sectors}"
    return known.get(read or "", "something else")

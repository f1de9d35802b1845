"""What a kernel's logs of its writes can tell."""

from typing import Any, Final

from writecache_impl.linux import LinuxTarget
from writecache_models.log_lines import FLUSH
from writecache_models.trace import LOGS, MEMORY_LOG, NO_LOGS, ONE_LOG, Trace

_PROBE: Final[dict[str, Any]] = {
    "table": "s ORIGIN CACHE 4096 0",
    "cache_sectors": 64,
    "origin_sectors": 64,
    "logs": ONE_LOG,
}


def tells_flushes_apart(target: LinuxTarget) -> bool:
    """Whether a log under both devices says which of them a flush is for; 5.10 does not.

    A format flushes the cache device, which is the second one.  Raises one of `linux.UNUSABLE`.
    """
    (opened,) = target.play(_PROBE, [["open"]])
    return any(flags & FLUSH and sector for flags, sector, *_ in opened["log"]["both"])


def kinds_of_logs(target: LinuxTarget) -> tuple[str, ...]:
    """The kinds of logs by which the order of a kernel's writes can be judged."""
    if target.has_memory:
        return (MEMORY_LOG,)
    return tuple(
        kind
        for kind in LOGS
        if kind not in (NO_LOGS, MEMORY_LOG) and (kind != ONE_LOG or tells_flushes_apart(target))
    )


def can_be_logged(trace: Trace, kind: str) -> bool:
    """Whether a log of this kind can say what a trace does.

    A log of persistent memory is of dm-writecache's own stores: every table is of mode `p`, its
    devices in their places.
    """
    tables = [trace.table, *(op[1] for op in trace.ops if op[0] == "open" and len(op) > 1)]
    return kind != MEMORY_LOG or all(table.startswith("p ORIGIN CACHE ") for table in tables)

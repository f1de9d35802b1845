"""What a kernel's logs of its writes can tell."""

from typing import Any, Final

from writecache_impl.linux import LinuxTarget
from writecache_models.log_lines import FLUSH
from writecache_models.trace import LOGS, NO_LOGS, ONE_LOG

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
    return tuple(
        kind
        for kind in LOGS
        if kind != NO_LOGS and (kind != ONE_LOG or tells_flushes_apart(target))
    )

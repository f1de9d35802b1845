"""What a cache says of itself: the status line and the table line.

Describes `writecache_status`.
"""

from writecache_spec.arguments import table_line
from writecache_spec.state import State


def status_line(wc: State) -> str:
    """`error n_blocks free writeback`, and ten counters since 1.6.0; the error is 0 or 1."""
    fields = [int(wc.error), wc.config.n_blocks, len(wc.freelist), wc.writeback_size]
    if wc.config.profile.has_statistics:
        fields += wc.stats
    return " ".join(map(str, fields))


def table(wc: State) -> str:
    """The arguments as they were given."""
    return table_line(wc.config.arguments)

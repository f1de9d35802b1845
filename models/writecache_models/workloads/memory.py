"""Workloads of persistent memory: those of SSD mode, their tables changed.

What a request asks for does not depend on the mode; of the options, `pause_writeback` is an SSD's
alone, and `fua` and `nofua` are persistent memory's.
"""

from dataclasses import replace
from random import Random

from writecache_models.trace import Trace


def in_memory(trace: Trace, options: str = "") -> Trace:
    """The same operations on tables of mode `p`, each with these options more ("fua", say)."""
    steps = []
    for op, seen in trace.steps:
        tables = [persistent(args, options) for args in op[1:]] if op[0] == "open" else op[1:]
        steps.append(([op[0], *tables], seen))
    table = persistent(trace.table, options)
    return replace(trace, name=f"pmem-{trace.name}", table=table, steps=tuple(steps))


def on_either(trace: Trace, seed: str) -> Trace:
    """The trace as it is, or for three of four seeds on persistent memory.

    >>> from writecache_models.workloads import generate
    >>> [on_either(generate(seed, "plain"), seed).table[0] for seed in "1234567"].count("p")
    6
    """
    random = Random(f"memory-{seed}")
    # Where disks are slow or fail, a target is between them and the cache, and hides the memory.
    through_target = "origin_delay" in trace.extra or any(op[0] == "fail" for op in trace.ops)
    if through_target or random.random() < 0.25:
        return trace
    return in_memory(trace, random.choice(("", "", "", "fua", "nofua", "fua nofua")))


def persistent(args: str, options: str = "") -> str:
    """The same table for persistent memory, its count of options right if it was.

    >>> persistent("s ORIGIN CACHE 512 4 autocommit_time 9 pause_writeback 0")
    'p ORIGIN CACHE 512 2 autocommit_time 9'
    >>> persistent("s ORIGIN CACHE 512 2 autocommit_time 9", "nofua")
    'p ORIGIN CACHE 512 3 autocommit_time 9 nofua'
    """
    before, pause, after = args.partition(" pause_writeback 0")
    words = (before + after).split(" ")
    if len(words) > 4 and words[4].isdigit():
        more = options.split()
        words[4] = str(int(words[4]) - (2 if pause else 0) + len(more))
        words += more
    return " ".join(["p" if words[0] == "s" else words[0], *words[1:]])

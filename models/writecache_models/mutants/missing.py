"""Missing repairs: the reference with all repairs but one, a mutant for each.

What a hunt finds here is a finding's; how small it is after a few seconds stands beside the trace
that the finding's page tells.
"""

from typing import Final

from writecache_models.mutants import Mutant
from writecache_spec.repairs import OF_MEMORY, Repair

_FAILURES: Final = {
    Repair.WAKE_AFTER_ERROR: 1,
    Repair.FAILED_WRITE_HOLDS_NOTHING: 1,
    Repair.NO_COMMIT_AFTER_ERROR: 1,
    Repair.RESUME_KEEPS_MEMORY: 1,
    Repair.RESUME_FLUSHES: 1,
    Repair.RESUME_REFUSES_UNREADABLE: 1,
}
"""How many I/Os must fail before it can be seen, where any must."""
_PROFILES: Final = {
    # 1.6.0 sends a second flush to the origin itself.
    Repair.FLUSH_REACHES_ORIGIN: "1.4.0-bullseye",
    Repair.REMAINDER_IS_THE_END: "1.6.0-6.1-amd64",
    Repair.DAX_IS_ASKED_FOR: "1.6.0-6.1-amd64",
    Repair.UNREADABLE_IS_AN_ERROR: "1.6.0-6.1-amd64",
}
_OF_ACTIVATIONS: Final = (Repair.DAX_IS_ASKED_FOR, Repair.UNREADABLE_IS_AN_ERROR)
"""Where it cannot be seen on 1.6.0."""
MOST_OPERATIONS: Final = 6
MOST_CRASHES: Final = 1
"""Of a shrunk trace, unless it is told why there are more."""
LARGER: Final = {
    Repair.OVERWRITE_NEWEST: "an exhaustive search finds nothing with five operations after the "
    "first open: `bench/smallest_trace.py OVERWRITE_NEWEST 5 3` (1,714,121 events), and with 4 "
    "entries (805,641)",
}
"""Why more are needed."""


def _mutant(repair: Repair) -> Mutant:
    return Mutant(
        f"without-{repair.name.lower().replace('_', '-')}",
        f"no repair: {repair.value}",
        (),
        profile=_PROFILES.get(repair, "1.6.0"),
        failures=_FAILURES.get(repair, 0),
        pmem_mode=repair in OF_MEMORY,
        caught_by="activations" if repair in _OF_ACTIVATIONS else "machines",
        without=repair,
    )


MISSING: Final = tuple(_mutant(repair) for repair in Repair)
"""All of them."""

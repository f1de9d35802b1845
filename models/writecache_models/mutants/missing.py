"""Missing repairs: the reference with all repairs but one, a mutant for each.

What a hunt finds here is a finding's; how small it is after a few seconds stands beside the trace
that the finding's page tells.
"""

from typing import Final

from writecache_models.mutants import Mutant
from writecache_spec.repairs import Repair

_FAILURES: Final = {
    Repair.WAKE_AFTER_ERROR: 1,
    Repair.FAILED_WRITE_HOLDS_NOTHING: 1,
    Repair.NO_COMMIT_AFTER_ERROR: 1,
    Repair.RESUME_KEEPS_MEMORY: 1,
    Repair.RESUME_FLUSHES: 1,
}
"""How many I/Os must fail before it can be seen, where any must."""
_PROFILES: Final = {Repair.FLUSH_REACHES_ORIGIN: "1.4.0-bullseye"}
"""Where it cannot be seen on 1.6.0, which sends a second flush to the origin itself."""
MOST_OPERATIONS: Final = 6
MOST_CRASHES: Final = 1
"""Of a shrunk trace, unless it is told why there are more."""
LARGER: Final[dict[Repair, str]] = {}
"""Why more are needed."""


def _mutant(repair: Repair) -> Mutant:
    return Mutant(
        f"without-{repair.name.lower().replace('_', '-')}",
        f"no repair: {repair.value}",
        (),
        profile=_PROFILES.get(repair, "1.6.0"),
        failures=_FAILURES.get(repair, 0),
        without=repair,
    )


MISSING: Final = tuple(_mutant(repair) for repair in Repair)
"""All of them."""

"""How small a trace can be that shows what one missing repair lets through: an exhaustive search.

    bench/smallest_trace.py [REPAIR] [OPERATIONS] [ENTRIES]

One request at a time, two blocks of 512 bytes on the origin; writes of every run of them, discards
of each and of both, flushes and `flush` messages; writeback only where no block is free; every
schedule, and every content that a crash may leave.  The first open is not counted.  Exit code 1
where something is found.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from writecache_models.exploring import Progress, explore
from writecache_models.release import bound
from writecache_spec.profile import PROFILES
from writecache_spec.repairs import OF_MEMORY, Repair


def main(repair: Repair, n_ops: int, n_entries: int) -> int:
    """Explore without the repair until something is wrong, or all is explored."""
    started = time.monotonic()
    small = bound(
        blocks=2, entries=n_entries, block_size=512, n_ops=n_ops, n_clients=1, watermark=100
    )
    profile = PROFILES["1.6.0"].repaired(without=OF_MEMORY | {repair})
    ops = (*small.ops, ("discard", 0, 1), ("discard", 1, 1))
    small = small._replace(setting=replace(small.setting, profile=profile), ops=ops)
    progress = Progress.at_first(small)
    with ThreadPoolExecutor(1) as executor:
        explore(progress, executor, 1, lambda reached: not reached.found)
    found = {
        "command": f"bench/smallest_trace.py {repair.name} {n_ops} {n_entries}",
        "complete": progress.done,
        "events": progress.n_turns,
        "worlds": progress.n_worlds,
        "crash_states": progress.n_states,
        "found": {one.what: list(one.path) for one in progress.found.values()},
        "seconds": round(time.monotonic() - started, 1),
    }
    print(json.dumps(found, indent=1))
    return 1 if progress.found else 0


if __name__ == "__main__":
    words = sys.argv[1:]
    sys.exit(
        main(
            Repair[words[0]] if words else Repair.OVERWRITE_NEWEST,
            int(words[1]) if len(words) > 1 else 5,
            int(words[2]) if len(words) > 2 else 3,
        )
    )

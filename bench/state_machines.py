"""How many steps the Hypothesis state machines take without a violation, all repairs made.

    bench/state_machines.py [STEPS] [SEED] [RESULT.json]

A step is one event: a request begins, a disk has done its part, a thread runs, a timer ends.  At
each of a step's moments the power fails, and what is left is judged.
"""

import json
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from writecache_models.candidates import Turn
from writecache_models.machines import WorldMachine
from writecache_models.world import Setting
from writecache_spec.profile import PROFILES
from writecache_spec.units import ByteCount

STEPS_AT_ONCE = 50
EXAMPLES_AT_ONCE = 100


class Counted(WorldMachine):
    """A machine that counts."""

    n_steps = 0
    n_states = 0

    def let(self, event: Turn) -> None:
        """Let an event happen, and count it."""
        before, states = len(self.path), self.walker.judge.n_states
        super().let(event)
        type(self).n_steps += len(self.path) - before
        type(self).n_states += self.walker.judge.n_states - states


MACHINES = [
    type(
        f"{profile} {options} {n_entries} {origin_sectors} {block_size} {n_clients} {failures}",
        (Counted,),
        {
            "setting": Setting(
                PROFILES[profile].repaired(),
                options,
                n_entries,
                origin_sectors,
                ByteCount(block_size),
            ),
            "n_clients": n_clients,
            "failures": failures,
        },
    )
    for profile, options, n_entries, origin_sectors, block_size, n_clients, failures in (
        ("1.6.0", "0", 3, 3, 512, 2, 0),
        ("1.6.0", "0", 3, 4, 1024, 2, 0),
        ("1.6.0", "4 high_watermark 100 low_watermark 100", 4, 3, 512, 3, 1),
        ("1.6.0", "4 high_watermark 0 low_watermark 0", 2, 3, 512, 3, 2),
        ("1.6.0-6.12.117", "2 autocommit_blocks 1", 5, 4, 512, 2, 1),
        ("1.6.0", "2 writeback_jobs 1", 8, 4, 512, 3, 0),
        ("1.4.0", "0", 3, 3, 512, 2, 1),
        ("1.4.0-bullseye", "0", 3, 3, 512, 2, 1),
    )
]


def main(wanted: int, chosen: int, result: Path | None) -> None:
    """Run every machine in turn until so many steps have been taken."""
    started = time.monotonic()
    rounds = 0
    while sum(machine.n_steps for machine in MACHINES) < wanted:
        for machine in MACHINES:
            quiet = settings(
                max_examples=EXAMPLES_AT_ONCE,
                stateful_step_count=STEPS_AT_ONCE,
                deadline=None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            run_state_machine_as_test(seed(chosen + rounds)(machine), settings=quiet)
        rounds += 1
        taken = sum(machine.n_steps for machine in MACHINES)
        print(f"{taken:,} steps, {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    found = {
        "command": f"bench/state_machines.py {wanted} {chosen}",
        "steps": sum(machine.n_steps for machine in MACHINES),
        "crash_states": sum(machine.n_states for machine in MACHINES),
        "violations": 0,
        "machines": {machine.__name__: machine.n_steps for machine in MACHINES},
        "seconds": round(time.monotonic() - started, 1),
    }
    text = json.dumps(found, indent=1) + "\n"
    print(text, end="")
    if result is not None:
        result.write_text(text)


if __name__ == "__main__":
    words = sys.argv[1:]
    main(
        int(words[0]) if words else 10_000,
        int(words[1]) if len(words) > 1 else 1,
        Path(words[2]) if len(words) > 2 else None,
    )

"""What two commands share that print which branches of the specification were reached."""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from writecache_impl.cli.common import print_json, print_table, spinner
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_impl.judging import end_with_parent
from writecache_models.vectors import VectorError


def measured(words: Sequence[str]) -> dict[str, Any]:
    """Measure in a process of its own; raises VectorError where nothing was measured.

    `words` say what is to be done (`writecache_models.spec_coverage`).
    """
    with spinner("measuring"):
        done = subprocess.run(
            [sys.executable, "-P", "-m", "writecache_models.spec_coverage", *words],
            check=False,
            text=True,
            capture_output=True,
            preexec_fn=end_with_parent,
        )
    if done.returncode:
        raise VectorError((done.stderr.strip().splitlines() or ["measuring was ended"])[-1])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def print_coverage(words: Sequence[str], title: str, as_json: bool) -> int:
    """Measure, print the result, and return the exit code.  Raises VectorError.

    The JSON object's key `modules` has, by module, `branches`, `missed`, `unrecorded` (out of
    reach, with the reason) and `stale` (listed, and reached or not there).
    """
    found = measured(words)
    modules = sorted(found["modules"].items())
    if as_json:
        print_json(found)
    else:
        print_table(
            title,
            ("module", "branches", "out of reach", "missed"),
            [
                [name, one["branches"], len(one["unrecorded"]), len(one["missed"])]
                for name, one in modules
            ],
        )
        for kind in ("unrecorded", "missed", "stale"):
            for name, one in modules:
                for place in one[kind]:
                    print(f"{kind}: {name}: {place}")
    problems = sum(len(one["missed"]) + len(one["stale"]) for _, one in modules)
    return PROBLEMS if problems else FINE

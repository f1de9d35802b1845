"""A run of `writecache prove`, stored: what was proved, how long it took, what cvc5 said.

    python bench/proofs.py bench/results/proofs/prove.json
    python bench/proofs.py bench/results/proofs/second-solver.json --second-solver
    python bench/proofs.py bench/results/proofs/deep.json --deep --theorem NAME

What follows the file are the command's own options.  Exit code: the command's.
"""

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

KEPT = (
    "family",
    "name",
    "kind",
    "bound",
    "held",
    "problem",
    "seconds",
    "n_paths",
    "n_queries",
    "second",
)


def main(path: str, *options: str) -> int:
    """Run, and store."""
    command = ["writecache", "prove", "--json", *options]
    program = str(Path(sys.executable).parent / command[0])
    load = os.getloadavg()[0]
    started = time.monotonic()
    done = subprocess.run([program, *command[1:]], stdout=subprocess.PIPE, text=True)
    took = time.monotonic() - started
    if not done.stdout:
        return done.returncode
    found: dict[str, Any] = json.loads(done.stdout)
    stored = {
        "command": " ".join(command),
        "exit_code": done.returncode,
        "machine": f"{os.cpu_count()} cores, Python {platform.python_version()}",
        "load_before": round(load, 1),
        "wall_seconds": round(took, 1),
        **{name: value for name, value in found.items() if name != "theorems"},
        "theorems": [{name: one[name] for name in KEPT} for one in found["theorems"]],
    }
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(stored, indent=1) + "\n")
    print({name: value for name, value in stored.items() if name != "theorems"})
    return done.returncode


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} FILE [OPTION...]")
    sys.exit(main(*sys.argv[1:]))

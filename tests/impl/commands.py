"""Running the command line: in this process where that is enough, else as a program."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from writecache_impl.cli.app import run
from writecache_models.judge import profile_named
from writecache_models.observations import new_machine, observe, perform
from writecache_models.vectors import Op, Trace

SUITE = "bookworm"
PROFILE = "1.6.0-6.1"
TABLE = "s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0"
OPS: list[Op] = [["open"], ["write", 0, 8, 1], ["flush"], ["read", 0, 8], ["message", "flush"]]


@dataclass(frozen=True)
class Done:
    """What a command line did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def is_refusal(self, code: int = 2) -> bool:
        """Nothing but one line on standard error, and the code."""
        (line,) = self.err.splitlines()
        return self.code == code and not self.out and line.startswith("writecache: ")


def command(*arguments: object) -> Done:
    """Run a command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run([str(argument) for argument in arguments])
    return Done(code, out.getvalue(), err.getvalue())


def heeds_signals() -> None:
    """Run in a new process, which inherits what signals whoever runs these tests ignores."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


def program_line(*arguments: object) -> list[str]:
    """The same as a program, for a new process."""
    code = "from writecache_impl.cli import main; main()"
    return [sys.executable, "-c", code, *map(str, arguments)]


def program(*arguments: object, environment: Mapping[str, str] | None = None) -> Done:
    """Run a command line as a program."""
    done = subprocess.run(
        program_line(*arguments),
        env={**os.environ, **(environment or {})},
        capture_output=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def trace_of_reference(name: str = "walk", table: str = TABLE, ops: list[Op] = OPS) -> Trace:
    """A trace as bookworm's kernel would have recorded it, if the reference is right."""
    trace = Trace(
        name=name,
        kernel="6.1.176",
        target="1.6.0",
        table=table,
        cache_sectors=512,
        origin_sectors=2048,
    )
    machine = new_machine(trace, profile_named(PROFILE))
    steps = [(op, observe(machine, op, perform(machine, op, table))) for op in ops]
    return Trace(**{**{key: getattr(trace, key) for key in trace.__slots__}, "steps": tuple(steps)})


def processes_naming(text: str) -> list[str]:
    """The processes, zombies left out, whose command line holds a text."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if text in line:
            found.append(f"{entry.parent.name} {line}")
    return found

"""Kills: a real process over real files gets SIGKILL at a random moment, again and again.

Between kills what the files hold is recovered by the engine and by the reference, and judged by a
contract that has been told all that every process so far has said of itself.  What a process had
stored is in the page cache and survives it; so a kill asks less of the engine than a loss of power
(`crashes`), but of everything that is real: threads, mappings, locks, the operating system.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Final

from writecache_impl.engine import Engine, EngineError
from writecache_impl.mmap_target.telling import described, sectors_of
from writecache_models.content import Content
from writecache_models.contract import Contract, Request
from writecache_models.devices import Devices, pattern
from writecache_models.machine import Machine
from writecache_spec.profile import PROFILES
from writecache_spec.units import SECTOR_SIZE

MOST_TOLD: Final = 3
"""Violations of one recovery."""
_PROFILES: Final = {
    "s": PROFILES["1.6.0"].repaired(),
    "p": PROFILES["1.6.0-6.1-amd64"].repaired(),
}


@dataclass(slots=True)
class Kills:
    """What became of them."""

    kills: int = 0
    operations: int = 0
    """That had begun."""
    violations: list[str] = field(default_factory=list)


class Target:
    """Two files, and what they have been promised to hold."""

    def __init__(self, folder: Path, random: Random) -> None:
        block_size = random.choice((512, 4096, 4096))
        self.mode = random.choice("sssp")
        n_blocks = random.choice((8, 30, 100))
        options = ["autocommit_time", "20"]
        if self.mode == "s":
            options += ["pause_writeback", "0"]
        if random.random() < 0.5:
            options += ["high_watermark", "30", "low_watermark", "10"]
        self.table = f"{self.mode} ORIGIN CACHE {block_size} {len(options)} {' '.join(options)}"
        self.cache, self.origin = folder / "cache", folder / "origin"
        metadata = -(-(64 + 16 * n_blocks) // block_size) * block_size
        cache_size = -(-(metadata + n_blocks * block_size) // 4096) * 4096
        self.cache.write_bytes(bytes(cache_size))
        self.size = (n_blocks + 20) * block_size
        self.origin.write_bytes(bytes(self.size))
        self.contract = Contract()
        self.first_tag = 1


def kill_and_recover(
    folder: Path,
    seed: str,
    seconds: float,
    progress: Callable[[float], None] = lambda _: None,
    mutant: str | None = None,
) -> Kills:
    """Kill processes for a time; a violation ends it."""
    random = Random(f"kill-{seed}")
    result = Kills()
    started = time.monotonic()
    target = Target(folder, random)
    while not result.violations and (elapsed := time.monotonic() - started) < seconds:
        progress(elapsed)
        if result.kills % 8 == 7:
            target = Target(folder, random)
        lines = _live_and_die(target, f"{seed}-{result.kills}", random, mutant)
        result.kills += 1
        result.operations += _tell(target, lines)
        result.violations += islice(_recovered(target, random), MOST_TOLD)
    return result


def _live_and_die(target: Target, seed: str, random: Random, mutant: str | None) -> list[list[Any]]:
    """Let a process work and kill it; what it said."""
    clients = random.choice(("1", "1", "3"))
    program = [sys.executable, "-m", "writecache_impl.mmap_target.victim"]
    arguments = [
        str(target.cache), str(target.origin), target.table, seed, clients, str(target.first_tag),
    ]  # fmt: skip
    command = [*program, *arguments, *([mutant] if mutant else [])]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        text = []
        if random.random() < 0.1:
            # It may not have come to open anything yet.
            time.sleep(0.4 * random.random())
        else:
            text.append(process.stdout.readline())
        # Read on while it works, so that it never waits for room in the pipe.
        timer = time.monotonic() + random.choice((0.0, 0.01, 0.05, 0.15)) * random.random()
        while text and time.monotonic() < timer and (line := process.stdout.readline()):
            text.append(line)
        process.send_signal(signal.SIGKILL)
        text += process.stdout.readlines()
    return [json.loads(line) for line in text if line.endswith(b"\n")]


def _tell(target: Target, lines: list[list[Any]]) -> int:
    """Tell the contract what a process said; how many operations had begun."""
    contract = target.contract
    begun: dict[int, tuple[list[Any], Request]] = {}
    n_begun = 0
    for kind, *rest in lines:
        if kind == "begin":
            number, op = rest
            begun[number] = op, _begin(contract, op)
            n_begun += 1
            if op[0].startswith("write"):
                target.first_tag = max(target.first_tag, op[3] + 100)
        elif kind == "end":
            number, worked = rest
            op, request = begun[number]
            if op[0] == "flush":
                contract.end_flush(request, not worked)
            elif op[0] != "message":
                contract.end(request, not worked)
    contract.crash()
    return n_begun


def _begin(contract: Contract, op: list[Any]) -> Request:
    name, *arguments = op
    if name.startswith("write"):
        values = sectors_of(pattern(*arguments))
        return contract.write(arguments[0], values, fua=name == "write_fua")
    return contract.discard(*arguments) if name == "discard" else contract.flush()


def _recovered(target: Target, random: Random) -> Iterator[str]:
    """What is wrong with what was left."""
    cache, origin = target.cache.read_bytes(), target.origin.read_bytes()
    try:
        engine = Engine.open(target.table, target.cache, target.origin)
        try:
            status, data = engine.status(), engine.read(0, target.size)
        finally:
            # The next process finds a recovered cache, or one that is clean.
            if random.random() < 0.5:
                engine.abandon()
            else:
                engine.close(writeback=random.random() < 0.5)
    except EngineError as error:
        yield f"activation fails: {error}"
        return
    if not status.startswith("0"):
        yield f"activation ends with an error: {status}"
    for sector, value in target.contract.read(0, sectors_of(data)):
        yield f"sector {sector}: {described(value)}"
    devices = Devices(Content(len(cache), cache), Content(len(origin), origin))
    machine = Machine(_PROFILES[target.mode], devices)
    outcome = machine.open(target.table)
    if outcome.errno or machine.read(0, target.size // SECTOR_SIZE).data != data:
        yield f"the reference reads something else ({outcome.errno})"

"""Targets of other people's making judged, and what is said of them."""

import json
import re
import shlex
import sys
from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from writecache_impl.cli.common import escaped, meter, print_json, print_table
from writecache_impl.cli.exits import FINE, NOT_JUDGED, PROBLEMS
from writecache_impl.cli.naming import perhaps
from writecache_impl.cli.signals import raised
from writecache_impl.cli.traces import traces_in
from writecache_models.conformance.judging import Judged, Renewed, judge_stories, smallest
from writecache_models.conformance.registry import (
    OPERATION_SECONDS,
    UnknownTargetError,
    factory_of,
    new_target,
)
from writecache_models.conformance.replaying import replay
from writecache_models.conformance.target import Ability, Level
from writecache_models.conformance.verdicts import Verdict
from writecache_models.kept import VIOLATION_OF
from writecache_models.vectors import VectorError, write_traces

CLAIMS = {
    Level.CONTRACT: "keeps the contract",
    Level.IMAGES: "exchanges images with Linux, too",
    Level.EXACT: "does the same as Linux, byte for byte",
}
"""Levels in words."""


def judge(
    name: str,
    *,
    seed: str,
    seconds: float,
    max_steps: int | None,
    op_seconds: float,
    output: Path,
    as_json: bool,
) -> int:
    """Judge a target by stories; the exit code.  Raises UnavailableError."""
    _say(f"target {name}: seed {seed}")
    kept: list[str] = []
    # Its processes and files are let go of when a signal ends the judging.
    with raised(), Renewed(partial(new_target, name, op_seconds)) as renewed:
        with meter(f"target {name}", seconds, "s") as bar:
            judged = judge_stories(
                renewed, seed=seed, seconds=seconds, max_steps=max_steps, progress=bar.reach
            )
        if judged.violated is not None:
            kept = _keep(name, renewed, judged.violated, output)
    if as_json:
        print_json({"target": name, "seed": seed, **judged.as_json(), "kept": kept})
    else:
        _print(judged)
        print(f"seed {seed}; {judged.steps:,} steps, {_violations(judged)}")
    return _code(judged)


def check_vectors(name: str, files: list[Path], as_json: bool) -> int:
    """Play vectors on a target; the exit code.  Raises UnavailableError."""
    try:
        make = partial(factory_of(name), name, OPERATION_SECONDS)
    except UnknownTargetError as error:
        raise click.UsageError(f"{error}{perhaps(name)}") from None
    with raised(), Renewed(make) as renewed, meter(f"target {name}", None, "steps") as bar:
        judged, not_asked = replay(renewed, traces_in(files), bar.advance)
    if judged.violated is not None:
        _say(*_described(judged.violated))
    if as_json:
        print_json({"target": name, **judged.as_json(), "not_asked": dict(not_asked)})
    else:
        _print(judged)
        for reason, count in sorted(not_asked.items()):
            print(f"{count} traces not asked: {reason}")
        print(f"{judged.steps:,} steps, {_violations(judged)}")
    return _code(judged)


def _code(judged: Judged) -> int:
    if judged.violated is not None:
        return PROBLEMS
    return FINE if judged.steps else NOT_JUDGED


def _violations(judged: Judged) -> str:
    return "no violation" if judged.violated is None else "1 violation, at which judging ended"


def _print(judged: Judged) -> None:
    """What was judged, what was not, and what it cost."""
    facts = judged.facts
    columns = ("target", "level", "traces", "steps", "sectors compared", "crashes", "images")
    row = [facts.name, int(facts.level), judged.traces, judged.steps, judged.sectors,
           judged.crashes, judged.images]  # fmt: skip
    print_table(f"It claims level {int(facts.level)}: {CLAIMS[facts.level]}", columns, [row])
    missing = [one.value for one in Ability if one not in facts.abilities]
    print(f"not judged, for it does not claim it: {', '.join(missing) or 'nothing'}")
    if judged.unused:
        print(f"not judged either, for nothing asked for it: {', '.join(judged.unused)}")
    if Ability.CRASH not in facts.abilities:
        print("its power has not failed: what is durable has not been judged")
    skipped = Counter({why: n for why, n in judged.left_out.items() if "no device" not in why})
    for reason, count in sorted(skipped.items()):
        print(f"{count:,} operations left out: {reason}")
    print(
        f"{judged.own_ms_a_step:.3f} ms a step to judge, "
        f"{1000 * judged.target_seconds / max(1, judged.steps):.3f} ms the target's own"
    )


def _described(verdict: Verdict) -> list[str]:
    """A violation in lines."""
    assert verdict.violation is not None
    step, what, _ = verdict.violation
    where = "at the opening, before step 0"
    if step is not None:
        where = f"step {step}: {json.dumps(verdict.trace.steps[step][0])}"
    return [escaped(f"{verdict.trace.name}: {where}: {what}")]


def _keep(name: str, renewed: Renewed, found: Verdict, output: Path) -> list[str]:
    """Print a violation and its least part, and write that to a file."""
    _say(*_described(found))
    least = smallest(renewed, found)
    if least is found:
        _say("it did not come again: nothing to shrink")
    _say("shrunk:", *_described(least), *least.trace.lines())
    file = output / re.sub(r"[^\w.+-]", "_", f"violation-{renewed.facts.name}-{found.trace.name}")
    file = file.with_name(f"{file.name}.jsonl")
    what = None if least.violation is None else least.violation.what
    told = {**least.trace.extra, VIOLATION_OF: name, "violation": what}
    try:
        write_traces(file, [replace(least.trace, extra=told)])
    except VectorError as error:
        _say(f"not kept: {error}")
        return []
    again = shlex.join(["writecache", "vectors", "check", "--target", name, str(file)])
    _say(f"kept as {file}; this plays it again:", again)
    return [str(file)]


def _say(*lines: str) -> None:
    print("\n".join(lines), file=sys.stderr, flush=True)

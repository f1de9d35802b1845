"""`writecache conform --target mmap`: the engine played, crashed and killed, and the verdict."""

import re
import sys
import tempfile
import time
from pathlib import Path

from writecache_impl.cli.common import meter, print_json, print_table
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_impl.cli.reports import describe_divergence, percent, report_json
from writecache_impl.cli.traces import traces_in
from writecache_impl.cli.vectors import named_or_shipped
from writecache_impl.mmap_target import crashes, kills, stories
from writecache_impl.mmap_target.playing import Played, judge_engine, replay_vectors, smallest
from writecache_models.vectors import VectorError, write_traces

KILLED_SHARE = 0.3
"""Of the time for crashes: real processes are killed."""
MOMENTS, STATES = 30, 12
"""Of each story, and of each moment."""


def play(
    *,
    seed: str,
    seconds: float,
    max_steps: int | None,
    family: str | None,
    vectors: bool,
    output: Path,
    as_json: bool,
) -> int:
    """Play vectors and random traces; the exit code."""
    replayed = None
    _say(f"engine: seed {seed}")
    if vectors:
        with meter("engine: shipped vectors", None, "steps") as bar:
            replayed = replay_vectors(traces_in(named_or_shipped(())), bar.advance)
    with meter("engine: random traces", seconds, "s") as bar:
        drawn = judge_engine(
            seed=seed, seconds=seconds, max_steps=max_steps, family=family, progress=bar.reach
        )
    results: list[Played] = [one for one in (replayed, drawn) if one is not None]
    diverged = [pair for one in results for pair in one.diverged]
    kept = _keep(drawn, output)
    if as_json:
        print_json(
            {
                "target": "mmap",
                "seed": seed,
                "divergences": len(diverged),
                "vectors": replayed and replayed.as_json(),
                "random": drawn.as_json(),
                "diverged": [report_json(report) for _, report in diverged],
                "kept": kept,
            }
        )
    else:
        rows = [
            [name, len(one.reports), one.steps, sum(len(r.deviations) for r in one.reports)]
            for name, one in (("kernels' vectors", replayed), ("random traces", drawn))
            if one is not None
        ]
        columns = ("engine", "traces judged", "steps", "other schedule")
        print_table("The engine beside the repaired reference", columns, rows)
        if replayed is not None:
            whole = replayed.as_recorded + replayed.left_out
            reasons = ", ".join(f"{why} ({n})" for why, n in sorted(replayed.reasons.items()))
            print(
                f"kernels' vectors: {replayed.as_recorded:,} of {whole:,} steps as recorded, "
                f"{replayed.left_out:,} ({percent(replayed.left_out, whole)}) left out behind the "
                f"first that differs, by trace: {reasons or 'none'}"
            )
        print(
            f"seed {seed}; {sum(one.steps for one in results):,} steps, the order of "
            f"{drawn.log_entries:,} writes and flushes; {len(diverged)} divergences"
        )
    return PROBLEMS if diverged else FINE


def _keep(drawn: Played, output: Path) -> list[str]:
    """Print and write the first divergence, shrunk."""
    if not drawn.diverged:
        return []
    trace, report = drawn.diverged[0]
    _say(*describe_divergence(report))
    trace, report = smallest(trace)
    _say("shrunk:", *describe_divergence(report), *trace.lines())
    file = output / re.sub(r"[^\w.+-]", "_", f"divergence-engine-{trace.name}.jsonl")
    try:
        write_traces(file, [trace])
    except VectorError as error:
        _say(f"not kept: {error}")
        return []
    _say(f"kept as {file}")
    return [str(file)]


def crash(*, seed: str, seconds: float, as_json: bool) -> int:
    """Crash and kill the engine; the exit code."""
    _say(f"engine: seed {seed}")
    started = time.monotonic()
    n_stories = n_states = 0
    violations: list[str] = []
    with meter("engine: crashes", seconds, "s") as bar:
        while not violations:
            elapsed = time.monotonic() - started
            bar.reach(elapsed)
            if elapsed >= seconds * (1 - KILLED_SHARE):
                break
            story = stories.draw(f"{seed}-{n_stories}")
            found = crashes.judge(story, MOMENTS, STATES)
            n_stories += 1
            n_states += found.states
            violations += [f"story {story.seed}: {what}" for what in found.violations]
        killed = kills.Kills()
        if not violations:
            left = max(seconds - (time.monotonic() - started), 1.0)
            with tempfile.TemporaryDirectory(prefix="writecache-") as folder:
                killed = kills.kill_and_recover(
                    Path(folder), seed, left, lambda done: bar.reach(seconds - left + done)
                )
            violations += [f"kill {killed.kills}: {what}" for what in killed.violations]
    if as_json:
        print_json(
            {
                "target": "mmap",
                "seed": seed,
                "stories": n_stories,
                "states": n_states,
                "kills": killed.kills,
                "operations": killed.operations,
                "violations": violations,
                "seconds": round(time.monotonic() - started, 1),
            }
        )
    else:
        print(
            f"seed {seed}; {n_stories:,} stories, {n_states:,} contents that a loss of power may "
            f"leave; {killed.kills:,} processes killed in {killed.operations:,} operations; "
            f"{len(violations)} violations"
        )
    for what in violations:
        _say(what)
    return PROBLEMS if violations else FINE


def _say(*lines: str) -> None:
    print("\n".join(lines), file=sys.stderr, flush=True)

"""`writecache conform`: the main job.  Vectors on the reference, then live kernels beside it."""

import random
from pathlib import Path
from typing import Any

import click

from writecache_impl.cli.common import Seconds, seed_option
from writecache_impl.cli.conforming import Asked, judge
from writecache_impl.cli.naming import known
from writecache_impl.cli.traces import MODULES
from writecache_models.conformance.registry import OPERATION_SECONDS
from writecache_models.workloads import FAMILIES
from writecache_spec.profile import PROFILES


@click.command()
@click.option(
    "--target",
    "targets",
    multiple=True,
    callback=known,
    help="`reference` (the vectors alone), `mmap` (the engine), `cmd:PROGRAM ARGS` (a program that "
    "speaks the line protocol), `nbd+unix:///?socket=S` (a network block device), or `kernel:` and "
    "a suite, a release or the path of a user-mode kernel, which can be repeated.  By default the "
    "reference, then three kernels.",
)
@MODULES
@click.option(
    "--seconds", type=Seconds(1, 86400), default=45.0, show_default=True, help="For each kernel."
)
@click.option("--steps", type=click.IntRange(1), help="Stop at so many steps, before the time.")
@seed_option("Decides the traces; by default a new one, which is printed.", None)
@click.option(
    "--family",
    type=click.Choice(sorted(FAMILIES)),
    help="Only random traces of this kind; no shipped vectors.",
)
@click.option(
    "--errors",
    is_flag=True,
    help="The same as --family failing: traces on devices of which sectors fail.",
)
@click.option(
    "--crash",
    is_flag=True,
    help="With the target `mmap`: let the power fail, kill processes, and judge what is recovered.",
)
@click.option(
    "--op-seconds",
    type=Seconds(0.01, 3600),
    default=OPERATION_SECONDS,
    show_default=True,
    help="How long one operation of a program or a network block device may take.",
)
@click.option(
    "--io-order",
    is_flag=True,
    help="Also judge the order in which the kernel writes: what it writes is logged "
    "(dm-log-writes), with a log for each device or, of every other trace, one for both; and the "
    "reference's effects must be that log, entry for entry.  No shipped vectors.",
)
@click.option(
    "--profile", type=click.Choice(sorted(PROFILES)), help="Judge as this kernel, not by version."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=Path(),
    help="The directory where the vector of a divergence goes; by default the current one.",
)
@click.option(
    "--bisect",
    is_flag=True,
    help="Exit as `git bisect run` expects: 0 good, 1 bad, 125 could not be judged, so the commit "
    "is skipped, 129 usage or input, which ends the bisection.  The shipped vectors, which say "
    "nothing about a kernel, are left out unless the target `reference` is named.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def conform(seed: str | None, **options: Any) -> int:
    """Judge implementations of writecache.

    The shipped vectors first, then, for each kernel, random traces that kernel and reference do
    side by side, compared after every step.  The first divergence is shrunk and kept as a vector.

    The JSON object's keys: `seed`; `divergences`, their number; `vectors`, with `steps`;
    `kernels`, a list with `kernel`, `release`, `target`, `traces`, `steps`, `non_canonical`,
    `log_entries`, `panics`, `hangs`, `divergences`, `problem`, `seconds`; `not_judged`, reasons by
    kernel; `diverged`, as the traces of `vectors check`; `kept`, the files written.

    The engine is judged by the repaired reference; of a kernel's vector it has to do what the
    kernel did until a repair acts.  Its JSON has `target`, `seed`, `divergences`, `vectors` and
    `random` (`traces`, `steps`, `non_canonical`, `log_entries`, `divergences`, `seconds`; of
    vectors also `as_recorded`, `left_out`, `reasons`), `diverged`, `kept`; with --crash `stories`,
    `states`, `kills`, `operations`, `violations`, `seconds`.

    Of any other target the JSON has `target`, `seed`, `name`, `level`, `can`, `traces`, `steps`,
    `sectors`, `crashes`, `images`, `unused` (what it can, and nothing asked for), `left_out`,
    `target_seconds`, `own_ms_a_step`, `violation`, `kept`.

    \b
    Examples:
      writecache conform
      writecache conform --target kernel:sid --seed 1234 --seconds 60
      writecache conform --target kernel:./linux --modules ./modules --bisect
      writecache conform --io-order --target kernel:sid --seconds 60
      writecache conform --target mmap --crash --seconds 60
      writecache conform --target 'cmd:./program --option' --seconds 30
      writecache conform --target 'nbd+unix:///?socket=nbd.sock' --seconds 30
    """
    seed = seed or str(random.SystemRandom().randrange(10**9))
    return judge(Asked(seed=seed, **options))

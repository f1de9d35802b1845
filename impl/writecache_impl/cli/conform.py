"""`writecache conform`: the main job.  Vectors on the reference, then live kernels beside it."""

import random
from pathlib import Path

import click

from writecache_impl.cli.common import MODULES, Seconds, check_modules, seed_option
from writecache_impl.cli.job import Job, Settings, check_output
from writecache_impl.live import FAILING
from writecache_models.judge import profile_named
from writecache_models.workloads import FAMILIES
from writecache_spec.profile import PROFILES

LIVE_SUITES = ("bookworm", "trixie", "sid")
"""Kernels that the job without a target is run against."""
REFERENCE = "reference"
KERNEL = "kernel:"


def _known(
    context: click.Context, parameter: click.Parameter, targets: tuple[str, ...]
) -> tuple[str, ...]:
    for target in targets:
        if target != REFERENCE and not (target.startswith(KERNEL) and target != KERNEL):
            raise click.BadParameter(
                f"{target!r} is neither {REFERENCE!r} nor {KERNEL!r} and a name", context, parameter
            )
    return targets


@click.command()
@click.option(
    "--target",
    "targets",
    multiple=True,
    callback=_known,
    help="`reference` (the vectors alone), or `kernel:` and a suite, a release or the path of a "
    "user-mode kernel; can be repeated.  By default the reference, then three kernels.",
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
def conform(
    targets: tuple[str, ...],
    modules: str | None,
    seconds: float,
    steps: int | None,
    seed: str | None,
    family: str | None,
    errors: bool,
    io_order: bool,
    profile: str | None,
    output: Path,
    bisect: bool,
    as_json: bool,
) -> int:
    """Judge implementations of writecache.

    The shipped vectors first, then, for each kernel, random traces that kernel and reference do
    side by side, compared after every step.  The first divergence is shrunk and kept as a vector.

    The JSON object's keys: `seed`; `divergences`, their number; `vectors`, with `steps`;
    `kernels`, a list with `kernel`, `release`, `target`, `traces`, `steps`, `non_canonical`,
    `log_entries`, `panics`, `hangs`, `divergences`, `problem`, `seconds`; `not_judged`, reasons by
    kernel; `diverged`, as the traces of `vectors check`; `kept`, the files written.

    Examples: writecache conform --target kernel:sid --seed 1234 --seconds 60, or
    writecache conform --io-order --target kernel:sid --seconds 60
    """
    if io_order and (errors or (family and not FAMILIES[family][1])):
        kind = "--errors" if errors else f"--family {family}"
        raise click.UsageError(
            f"--io-order judges one client, on disks that do not fail: no {kind}"
        )
    if errors and family not in (None, FAILING):
        raise click.UsageError(f"--errors and --family {family} are two kinds of traces")
    kernels = _kernels(targets)
    check_modules(kernels, modules)
    if kernels:
        check_output(output)
    settings = Settings(
        modules=modules,
        seconds=seconds,
        max_steps=steps,
        seed=seed or str(random.SystemRandom().randrange(10**9)),
        profile=profile_named(profile) if profile else None,
        family=FAILING if errors else family,
        io_order=io_order,
        output=output,
    )
    with_vectors = not (bisect or settings.family or io_order) or REFERENCE in targets
    return _judge(Job(settings), kernels, as_json, with_vectors)


def _kernels(targets: tuple[str, ...]) -> list[str]:
    if not targets:
        return list(LIVE_SUITES)
    return [target.removeprefix(KERNEL) for target in targets if target != REFERENCE]


def _judge(job: Job, kernels: list[str], as_json: bool, vectors: bool) -> int:
    if vectors:
        job.vectors()
    for kernel in kernels:
        job.kernel(kernel)
    return job.finish(as_json)

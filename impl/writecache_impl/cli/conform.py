"""`writecache conform`: the main job.  Vectors on the reference, then live kernels beside it."""

import os
import random
from collections.abc import Mapping
from pathlib import Path

import click

from writecache_impl.cli import engine_job, target_job
from writecache_impl.cli.common import MODULES, Seconds, check_modules, seed_option
from writecache_impl.cli.job import Job, Settings, check_output
from writecache_impl.live import FAILING
from writecache_models.conformance.registry import OPERATION_SECONDS, schemes
from writecache_models.judge import profile_named
from writecache_models.workloads import FAMILIES
from writecache_spec.profile import PROFILES

LIVE_SUITES = ("bookworm", "trixie", "sid")
"""Kernels that the job without a target is run against."""
REFERENCE = "reference"
KERNEL = "kernel:"
MMAP = "mmap"


def _known(
    context: click.Context, parameter: click.Parameter, targets: tuple[str, ...]
) -> tuple[str, ...]:
    for target in targets:
        named = target.startswith(KERNEL) and target != KERNEL
        if target not in (REFERENCE, MMAP) and not named and not is_scheme(target):
            raise click.BadParameter(
                f"{target!r} is neither {REFERENCE!r} nor {MMAP!r} nor {KERNEL!r} and a name, nor "
                f"one of the installed targets {', '.join(schemes())}",
                context,
                parameter,
            )
    alone = [target for target in targets if target == MMAP or is_scheme(target)]
    if alone and len(targets) > 1:
        raise click.BadParameter(f"{alone[0]!r} is judged alone", context, parameter)
    return targets


def is_scheme(target: str) -> bool:
    """Whether an installed target has this name, but for the engine, which has its own judge."""
    scheme, colon, _ = target.partition(":")
    return target != MMAP and bool(colon) and scheme in schemes()


@click.command()
@click.option(
    "--target",
    "targets",
    multiple=True,
    callback=_known,
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
def conform(
    targets: tuple[str, ...],
    modules: str | None,
    seconds: float,
    steps: int | None,
    seed: str | None,
    family: str | None,
    errors: bool,
    crash: bool,
    op_seconds: float,
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

    The engine is judged by the repaired reference; of a kernel's vector it has to do what the
    kernel did until a repair acts.  Its JSON has `target`, `seed`, `divergences`, `vectors` and
    `random` (`traces`, `steps`, `non_canonical`, `log_entries`, `divergences`, `seconds`; of
    vectors also `as_recorded`, `left_out`, `reasons`), `diverged`, `kept`; with --crash `stories`,
    `states`, `kills`, `operations`, `violations`, `seconds`.

    Of any other target the JSON has `target`, `seed`, `level`, `can`, `traces`, `steps`, `sectors`,
    `crashes`, `images`, `left_out`, `target_seconds`, `own_ms_a_step`, `violation`, `kept`.

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
    if io_order and (errors or (family and not FAMILIES[family][1])):
        kind = "--errors" if errors else f"--family {family}"
        raise click.UsageError(
            f"--io-order judges one client, on disks that do not fail: no {kind}"
        )
    if errors and family not in (None, FAILING):
        raise click.UsageError(f"--errors and --family {family} are two kinds of traces")
    seed = seed or str(random.SystemRandom().randrange(10**9))
    family = FAILING if errors else family
    if targets and is_scheme(targets[0]):
        _check_kernels_own(profile, modules, io_order, family, crash)
        check_output(output)
        return target_job.judge(
            targets[0],
            seed=seed,
            seconds=seconds,
            max_steps=steps,
            op_seconds=op_seconds,
            output=output,
            as_json=as_json,
        )
    if MMAP in targets or crash:
        kernels_own = {"--profile": profile, "--modules": modules, "--io-order": io_order or None}
        _check_engine_options(targets, kernels_own)
        if crash:
            return engine_job.crash(seed=seed, seconds=seconds, as_json=as_json)
        check_output(output)
        return engine_job.play(
            seed=seed,
            seconds=seconds,
            max_steps=steps,
            family=family,
            vectors=not (family or bisect),
            output=output,
            as_json=as_json,
        )
    kernels = _kernels(targets)
    if not bisect:  # a kernel that could not be built is a commit to be skipped
        _check_paths(kernels)
    check_modules(kernels, modules)
    if kernels:
        check_output(output)
    settings = Settings(
        modules=modules,
        seconds=seconds,
        max_steps=steps,
        seed=seed,
        profile=profile_named(profile) if profile else None,
        family=family,
        io_order=io_order,
        output=output,
    )
    with_vectors = not (bisect or settings.family or io_order) or REFERENCE in targets
    return _judge(Job(settings), kernels, as_json, with_vectors)


def _check_engine_options(targets: tuple[str, ...], others: Mapping[str, object]) -> None:
    """Raise a usage error for options that mean nothing to the engine, or without it."""
    if MMAP not in targets:
        raise click.UsageError("--crash is for the target 'mmap'")
    for name, value in others.items():
        if value is not None:
            raise click.UsageError(f"{name} is for kernels")


def _check_kernels_own(
    profile: str | None, modules: str | None, io_order: bool, family: str | None, crash: bool
) -> None:
    """Raise a usage error for options that mean nothing to a target of other people's making."""
    options = {"--profile": profile, "--modules": modules, "--io-order": io_order,
               "--family and --errors": family, "--crash": crash}  # fmt: skip
    for name, value in options.items():
        if value:
            known = "a target says itself whether it can crash" if name == "--crash" else ""
            raise click.UsageError(f"{name}: {known or 'not for such a target'}")


def _check_paths(kernels: list[str]) -> None:
    """Raise a usage error for the path of a kernel that is not there."""
    for kernel in kernels:
        if "/" in kernel and not os.path.exists(os.path.expanduser(kernel)):
            raise click.UsageError(f"{kernel}: there is no such kernel")


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

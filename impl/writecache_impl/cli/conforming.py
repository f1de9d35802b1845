"""What `conform` was asked for: options that go together, and the job they are for."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import click

from writecache_impl.cli import engine_job, target_job
from writecache_impl.cli.job import Job, Settings, check_output
from writecache_impl.cli.naming import (
    MMAP,
    REFERENCE,
    check_names,
    check_paths,
    is_scheme,
    kernels_of,
)
from writecache_impl.cli.traces import check_modules
from writecache_impl.live import FAILING
from writecache_models.judge import profile_named
from writecache_models.workloads import FAMILIES


class Asked(NamedTuple):
    """The options' values."""

    targets: tuple[str, ...]
    modules: str | None
    seconds: float
    steps: int | None
    seed: str
    family: str | None
    errors: bool
    crash: bool
    op_seconds: float
    io_order: bool
    profile: str | None
    output: Path
    bisect: bool
    as_json: bool


def judge(asked: Asked) -> int:
    """Do the job; the exit code.  Raises a usage error for options that contradict each other."""
    family = asked.family
    if asked.io_order and (asked.errors or (family and not FAMILIES[family][1])):
        kind = "--errors" if asked.errors else f"--family {family}"
        raise click.UsageError(
            f"--io-order judges one client, on disks that do not fail: no {kind}"
        )
    if asked.errors and family not in (None, FAILING):
        raise click.UsageError(f"--errors and --family {family} are two kinds of traces")
    if asked.errors:
        asked = asked._replace(family=FAILING)
    if asked.targets and is_scheme(asked.targets[0]):
        return _others(asked)
    if MMAP in asked.targets or asked.crash:
        return _engine(asked)
    return _kernels(asked)


def _others(asked: Asked) -> int:
    """A target of other people's making."""
    own = {"--profile": asked.profile, "--modules": asked.modules, "--io-order": asked.io_order,
           "--family and --errors": asked.family, "--crash": asked.crash}  # fmt: skip
    for name, value in own.items():
        if value:
            known = "a target says itself whether it can crash" if name == "--crash" else ""
            raise click.UsageError(f"{name}: {known or 'not for such a target'}")
    check_output(asked.output)
    return target_job.judge(
        asked.targets[0],
        seed=asked.seed,
        seconds=asked.seconds,
        max_steps=asked.steps,
        op_seconds=asked.op_seconds,
        output=asked.output,
        as_json=asked.as_json,
    )


def _engine(asked: Asked) -> int:
    """The engine, crashed or beside the reference."""
    own = {"--profile": asked.profile, "--modules": asked.modules,
           "--io-order": asked.io_order or None}  # fmt: skip
    _check_engine_options(asked.targets, own)
    if asked.crash:
        return engine_job.crash(seed=asked.seed, seconds=asked.seconds, as_json=asked.as_json)
    check_output(asked.output)
    return engine_job.play(
        seed=asked.seed,
        seconds=asked.seconds,
        max_steps=asked.steps,
        family=asked.family,
        vectors=not (asked.family or asked.bisect),
        output=asked.output,
        as_json=asked.as_json,
    )


def _check_engine_options(targets: tuple[str, ...], others: Mapping[str, object]) -> None:
    """Raise a usage error for options that mean nothing to the engine, or without it."""
    if MMAP not in targets:
        raise click.UsageError("--crash is for the target 'mmap'")
    for name, value in others.items():
        if value is not None:
            raise click.UsageError(f"{name} is for kernels")


def _kernels(asked: Asked) -> int:
    """The vectors on the reference, and kernels beside it."""
    kernels = kernels_of(asked.targets)
    if not asked.bisect:  # a kernel that could not be built is a commit to be skipped
        check_paths(kernels)
    check_names(kernels)
    check_modules(kernels, asked.modules)
    if kernels:
        check_output(asked.output)
    job = Job(
        Settings(
            modules=asked.modules,
            seconds=asked.seconds,
            max_steps=asked.steps,
            seed=asked.seed,
            profile=profile_named(asked.profile) if asked.profile else None,
            family=asked.family,
            io_order=asked.io_order,
            output=asked.output,
        )
    )
    if REFERENCE in asked.targets or not (asked.bisect or asked.family or asked.io_order):
        job.vectors()
    for kernel in kernels:
        job.kernel(kernel)
    return job.finish(asked.as_json)

"""Targets by name: the reference, the engine, kernels, and what installed packages offer."""

import os
import shlex
import shutil
from typing import Final

import click

from writecache_impl.linux import KernelUnavailable, KernelUnknown, check_name
from writecache_models.conformance.registry import schemes

LIVE_SUITES: Final = ("bookworm", "trixie", "sid")
"""Kernels that the job without a target is run against."""
REFERENCE: Final = "reference"
KERNEL: Final = "kernel:"
MMAP: Final = "mmap"


def known(
    context: click.Context, parameter: click.Parameter, targets: tuple[str, ...]
) -> tuple[str, ...]:
    """The targets as they are, for an option; raises click's error for a name that is none."""
    for target in targets:
        named = target.startswith(KERNEL) and target != KERNEL
        if target not in (REFERENCE, MMAP) and not named and not is_scheme(target):
            raise click.BadParameter(
                f"{target!r} is neither {REFERENCE!r} nor {MMAP!r} nor {KERNEL!r} and a name, nor "
                f"one of the installed targets {', '.join(schemes())}{perhaps(target)}",
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


def perhaps(target: str) -> str:
    """What is meant by a name that is no target's, perhaps: a program, by its path.

    >>> perhaps("./mine --fast"), perhaps("nosuch:x")
    ("; a program is named 'cmd:./mine --fast'", '')
    """
    first = target.partition(" ")[0]
    is_program = shutil.which(first) or os.path.exists(first) or "/" in first.partition(":")[0]
    return f"; a program is named {shlex.quote(f'cmd:{target}')}" if is_program else ""


def kernels_of(targets: tuple[str, ...]) -> list[str]:
    """The kernels that are named; without targets those that are always judged."""
    if not targets:
        return list(LIVE_SUITES)
    return [target.removeprefix(KERNEL) for target in targets if target != REFERENCE]


def check_paths(kernels: list[str]) -> None:
    """Raise a usage error for the path of a kernel that is not there, or is none."""
    for kernel in kernels:
        path = os.path.expanduser(kernel)
        if "/" not in kernel:
            continue
        if not os.path.exists(path):
            raise click.UsageError(f"{kernel}: there is no such kernel")
        if not (os.path.isfile(path) and os.access(path, os.X_OK)):
            raise click.UsageError(f"{kernel} is no kernel: it cannot be executed")


def check_names(kernels: list[str]) -> None:
    """Raise a usage error for a name that no kernel has; of a path `check_paths` says more."""
    for kernel in kernels:
        try:
            if "/" not in kernel:
                check_name(kernel)
        except KernelUnknown as error:
            raise click.UsageError(str(error)) from None
        except KernelUnavailable:
            pass  # It is told where it is judged.

"""`writecache crash`: what a crash may leave of a live kernel's writes, judged."""

import random
import sys
from typing import Any

import click

from writecache_impl.cli.common import Seconds, meter, print_json, print_table, seed_option
from writecache_impl.cli.exits import FINE, NOT_JUDGED, PROBLEMS
from writecache_impl.cli.naming import KERNEL, check_names
from writecache_impl.cli.reports import describe_divergence
from writecache_impl.cli.traces import MODULES, check_modules
from writecache_impl.crashes import EVERY_ONE, IMAGES_RESUMED, CrashResult, crash_kernel
from writecache_models.judge import profile_named
from writecache_spec.profile import PROFILES

COLUMNS = ("kernel", "traces", "log entries", "flushes", "contents", "distinct", "resumed live")
MOST_PRINTED = 5
"""Contents that break the contract, printed."""


def _kernel(context: click.Context, parameter: click.Parameter, target: str) -> str:
    if not target.startswith(KERNEL) or target == KERNEL:
        raise click.BadParameter(f"{target!r} is not {KERNEL!r} and a name", context, parameter)
    return target.removeprefix(KERNEL)


@click.command()
@click.option(
    "--target",
    "kernel",
    required=True,
    callback=_kernel,
    help="`kernel:` and a suite, a release or the path of a user-mode kernel.",
)
@MODULES
@click.option("--seconds", type=Seconds(1, 86400), default=60.0, show_default=True)
@click.option("--images", type=click.IntRange(1), help="Stop at so many contents, before the time.")
@click.option(
    "--resume",
    "n_samples",
    type=click.IntRange(0),
    default=IMAGES_RESUMED,
    show_default=True,
    help="Contents of each trace that the kernel activates, too; 0: every one.",
)
@click.option(
    "--resumed",
    type=click.IntRange(1),
    help="Stop when it has activated so many, before the time; fewer is exit code 3.",
)
@seed_option("Decides traces and contents; by default a new one, which is printed.", None)
@click.option(
    "--profile", type=click.Choice(sorted(PROFILES)), help="Judge as this kernel, not by version."
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def crash(
    kernel: str,
    modules: str | None,
    seconds: float,
    images: int | None,
    n_samples: int,
    resumed: int | None,
    seed: str | None,
    profile: str | None,
    as_json: bool,
) -> int:
    """Let the power fail under a live kernel, at every entry of a log of what it writes.

    Random traces are played; what the kernel writes to both devices goes to one log
    (dm-log-writes).  Of persistent memory each store and each fence is logged, by the emulator.
    What a crash may leave, by sectors or by words of 8 bytes, is activated by the reference, read,
    and judged by the contract; some of it is activated and read by the kernel too, and must come to
    the same bytes.  Contents that show a known finding are counted apart.  The first that is wrong
    otherwise ends the run.

    The JSON object's keys: `seed`, `kernel`, `release`, `traces`, `log_entries`, `flushes` (and
    fences), `images`, `distinct`, `resumed`, `findings` (numbers by name), `unexplained` (numbers
    by what is wrong), `examples` of these (each with `what`, `step`, and as `image` the header of a
    trace that holds it), `diverged` (names), `problem`, `seconds`.

    Example: writecache crash --target kernel:sid --seconds 120
    """
    check_modules([kernel], modules)
    check_names([kernel])
    seed = seed or str(random.SystemRandom().randrange(10**9))
    print(f"kernel {kernel}: seed {seed}", file=sys.stderr, flush=True)
    with meter(f"kernel {kernel}", seconds, "s") as bar:
        result = crash_kernel(
            kernel,
            modules=modules,
            seconds=seconds,
            max_images=images,
            max_resumed=resumed,
            n_samples=n_samples or EVERY_ONE,
            seed=seed,
            profile=profile_named(profile) if profile else None,
            progress=bar.reach,
        )
    if as_json:
        print_json({"seed": seed, **result.as_json()})
    else:
        _print(result)
    return _verdict(result, resumed or 0)


def _verdict(result: CrashResult, wanted: int) -> int:
    """Say what is wrong; the exit code."""
    for one in result.examples[:MOST_PRINTED]:
        _say(f"{one['image']['trace']}: a crash in step {one['step']}: {one['what']}")
    for _, report in result.diverged[:MOST_PRINTED]:
        _say(*describe_divergence(report))
    if result.unexplained or result.diverged:
        return PROBLEMS
    if result.problem is not None:
        _say(f"kernel {result.kernel}: not judged to the end: {result.problem}")
        return NOT_JUDGED
    if not result.flushes:
        _say("no flush and no fence in any log: nothing was promised, and nothing is proved")
        return NOT_JUDGED
    if result.resumed < wanted:
        _say(f"{result.resumed} contents were activated by the kernel, not {wanted}")
        return NOT_JUDGED
    return FINE


def _print(result: CrashResult) -> None:
    row: list[Any] = [result.release, result.traces, result.log_entries, result.flushes]
    row += [result.images, result.distinct, result.resumed]
    print_table("Contents that crashes leave", COLUMNS, [row])
    known = ", ".join(f"{name} {number:,}" for name, number in sorted(result.findings.items()))
    print(
        f"{result.unexplained.total()} break the contract, {len(result.diverged)} come to "
        f"something else on the kernel; known findings: {known or 'none'}"
    )


def _say(*lines: str) -> None:
    print("\n".join(lines), file=sys.stderr, flush=True)

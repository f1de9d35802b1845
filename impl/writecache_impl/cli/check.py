"""`writecache check`: what is wrong with a cache, and what may be done."""

import json
from contextlib import ExitStack
from itertools import islice
from pathlib import Path

import click

from writecache_impl.cli.exits import FINE, NOT_JUDGED, PROBLEMS
from writecache_impl.cli.images import (
    AS_JSON,
    MAP,
    OFFSET,
    ORIGIN,
    QUIET,
    check_two,
    chosen,
    image_argument,
    opened,
)
from writecache_impl.tools.check import Checked, check
from writecache_impl.tools.check import as_json as checked_as_json
from writecache_impl.tools.numbers import Extents
from writecache_impl.tools.problems import counted
from writecache_impl.tools.volumes import superblock_offset

FEW_EXTENTS = 10


@click.command("check")
@image_argument
@OFFSET
@ORIGIN
@MAP
@click.option("--super-block-only", is_flag=True, help="Look at no entry.")
@click.option(
    "--extents", is_flag=True, help=f"List all stale extents of the origin, not {FEW_EXTENTS}."
)
@QUIET
@AS_JSON
def check_command(
    image: Path | None,
    input_option: Path | None,
    offset: int | None,
    origin: Path | None,
    map_file: Path | None,
    super_block_only: bool,
    extents: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Check the cache in IMAGE: what is wrong, where, how bad, and what a kernel would do.

    Says which sectors of the origin are stale without the cache, with --origin whether it is the
    right one, and what is lost with the cache.  Nothing is written.  Exit code 1 if anything is
    wrong that a kernel does not mend by itself, also if IMAGE is empty or cut; 3 if the device, or
    the map of its rescue, does not give the superblock.

    The JSON object's keys: `superblock`; `geometry`, in bytes; `problems`, a list with `severity`,
    `where`, `what`, `consequence`, `numbers`; `activation` (`table`, `accepted`, `outcome`,
    `errno`, `error`, `erased`, `status`); `blocks`, by state; `stale` (`sectors`, `n_extents`,
    `extents`: pairs of first sector and length); `origin` (`is_the_right_one`, `speaks_for`,
    `speaks_against`, `weak`); null where it does not apply.

    Example: writecache check ssd.img --origin disk.img
    """
    with ExitStack() as stack:
        cache = stack.enter_context(opened(chosen(image, input_option), map_file))
        slow = None
        if origin is not None:
            check_two(cache, origin)
            slow = stack.enter_context(opened(origin))
        checked = check(cache, superblock_offset(cache, offset), slow, super_block_only)
    most = None if extents else FEW_EXTENTS
    if as_json:
        _print_json(checked, most)
    elif not quiet:
        _print(checked, most)
    if checked.not_judged:
        return NOT_JUDGED
    return FINE if checked.is_fine else PROBLEMS


def _print_json(checked: Checked, most: int | None) -> None:
    """As one document, the extents as they come: millions would not fit the memory as a list."""
    text = json.dumps(checked_as_json(checked, 0), indent=1)
    head, place, tail = text.partition('"extents": []')
    if not place or checked.stale is None:
        print(text)
        return
    print(f'{head}"extents": [', end="")
    pairs = islice(zip(checked.stale.starts, checked.stale.lengths, strict=True), most)
    for number, (start, length) in enumerate(pairs):
        print(f"{',' * bool(number)}\n   [{start}, {length}]", end="")
    print(f"]{tail}")


def _print(checked: Checked, most: int | None) -> None:
    superblock, geometry = checked.superblock, checked.geometry
    if superblock is not None and geometry is not None:
        print(
            f"superblock at byte {geometry.offset}: {counted(superblock.n_blocks, 'block')} of "
            f"{superblock.block_size} bytes, sequence count {superblock.seq_count}, data from byte "
            f"{geometry.data_start}"
        )
    for problem in checked.problems:
        print(f"{problem.severity.value}: {problem.where}: {problem.what}")
        print(f"    {problem.consequence}")
    if not checked.problems:
        print("nothing is wrong")
    activation = checked.activation
    if activation is not None:
        verb = "a kernel" if activation.accepted else "a kernel refuses"
        code = f" ({activation.errno})" if activation.errno else ""
        words = activation.outcome if activation.accepted else f"{activation.outcome}{code}"
        joint = " " if activation.accepted else ": "
        print(f"activation: {verb}{joint}{words}")
        print(f"    table: 0 SECTORS writecache {activation.table}")
        if activation.status is not None:
            print(f"    status: {activation.status}; {activation.erased} entries are erased")
    if checked.picture is not None and checked.stale is not None:
        _print_answers(checked, checked.stale, most)


def _print_answers(checked: Checked, stale: Extents, most: int | None) -> None:
    picture, evidence = checked.picture, checked.evidence
    assert picture is not None
    assert checked.geometry is not None
    survey = picture.survey
    print("may the origin be mounted without the cache?")
    if survey.unreadable:
        print("    no: entries that cannot be read may tell of newer data")
    if not stale.starts:
        print("    yes: the cache has nothing newer" if not survey.unreadable else "")
    else:
        print(
            f"    no: {counted(sum(stale.lengths), 'sector')} in "
            f"{counted(len(stale.starts), 'extent')} would be stale (first sector, length):"
        )
        for start, length in islice(zip(stale.starts, stale.lengths, strict=True), most):
            print(f"      {start} {length}")
        if most is not None and len(stale.starts) > most:
            print(f"      ... and {len(stale.starts) - most:,} more (--extents)")
    if evidence is not None:
        print(f"is this the right origin?\n    {evidence.verdict}")
        for fact in evidence.speaks_for:
            print(f"      for: {fact}")
        for fact in evidence.weak:
            print(f"      agrees, as many others would: {fact}")
        for fact in evidence.speaks_against:
            print(f"      against: {fact}")
    print("what is lost if the cache is lost?")
    if not stale.starts:
        print("    nothing that can be read" if survey.unreadable else "    nothing")
        return
    size = len(survey.live_sectors) * checked.geometry.block_size
    print(
        f"    {counted(len(survey.live_sectors), 'block')} ({size / 2**20:,.1f} MiB) of what was "
        f"written last; {counted(picture.n_doubtful, 'block')} of them are in doubt already"
    )

"""`writecache vectors manifest`: what the shipped vectors are, written or compared."""

import difflib
import json
import sys
from pathlib import Path

import click

from writecache_impl.cli.covering import measured
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_models.fixtures import shipped_vectors
from writecache_models.manifest import document, manifest
from writecache_models.vectors import VectorError, check_writable, write_text

MOST_DIFFERENCES = 20


@click.command("manifest")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False),
    help="The file to be written; by default the one beside the vectors is compared.",
)  # fmt: skip
def manifest_command(output: Path | None) -> int:
    """Make the manifest of the shipped vectors anew, and compare it with the shipped one.

    It has each file's digest, each trace's seed and family, whether they still give its operations,
    the kernels that were recorded doing it, and what of the specification all of them reach.  The
    same files give the same manifest, byte for byte.  Exit code 1 if it is not the shipped one.

    \b
    Examples:
      writecache vectors manifest
      writecache vectors manifest -o tests/vectors/manifest.json
    """
    if output is not None:
        check_writable(output)
    files = shipped_vectors()
    if not files:
        raise VectorError("no vectors are shipped with this installation")
    modules = measured([str(file) for file in files])["modules"].values()
    coverage = {
        "branches": sum(one["branches"] for one in modules),
        "missed": sum(len(one["missed"]) for one in modules),
        "out_of_reach": sum(len(one["unrecorded"]) for one in modules),
    }
    content = manifest(files, coverage)
    text = document(content)
    print(f"{len(files)} files: {json.dumps({**content['totals'], **coverage})}")
    if output is not None:
        write_text(output, text)
        return FINE
    shipped = files[0].with_name("manifest.json")
    try:
        before = shipped.read_text()
    except OSError as error:
        raise VectorError(f"{shipped}: {error.strerror}") from None
    if before == text:
        print(f"{shipped.name} is the same, byte for byte")
        return FINE
    lines = difflib.unified_diff(before.splitlines(), text.splitlines(), lineterm="", n=0)
    for _, line in zip(range(MOST_DIFFERENCES), lines, strict=False):
        print(line[:200], file=sys.stderr)
    return PROBLEMS

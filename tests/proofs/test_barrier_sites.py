"""Each flush, FUA, fence and wait of the reference is the subject of a theorem, or listed here."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import writecache_spec
from writecache_proofs.catalogue import theorems

BARRIERS: Final = {
    "commit_flushed": "writes and flushes, or fences",
    "commit_regions": "writes and flushes",
    "disk_flush": "flushes",
    "Fence": "fences",
    "wait_for_reads": "waits",
    "wait_for_writes": "waits",
    "Sleep": "waits",
    "AwaitWorkQueue": "waits",
}
ELSEWHERE: Final = {
    ("commit", "commit_flushed", "Fence"): "left out where each of its callers is left out",
    ("commit", "commit_flushed", "commit_regions"): "left out where each of its callers is",
    ("construct", "format_device", "commit_flushed"): "see `formats`: a crash at any moment",
    ("messages", "_flush_message", "AwaitWorkQueue"): "what the message means, not an order",
    ("suspend", "suspend", "AwaitWorkQueue"): "what device-mapper's drain means, not an order",
    ("write_around", "sleep_for_free_block", "Sleep"): "there is no block to go on with",
}
"""What no edit leaves out, with the reason."""


def sites() -> Iterator[tuple[str, str, str]]:
    """Module, function and barrier."""
    for path in sorted(Path(writecache_spec.__file__).parent.glob("*.py")):
        if path.stem in ("transcript", "effects"):
            continue
        for function in ast.parse(path.read_text()).body:
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    name = getattr(getattr(node, "func", None), "id", None)
                    if name in BARRIERS:
                        yield path.stem, function.name, name
                    if isinstance(node, ast.keyword) and node.arg == "fua" and path.stem != "map":
                        yield path.stem, function.name, "fua"


def is_left_out(site: tuple[str, str, str]) -> bool:
    """Whether a theorem of the family `barriers` leaves this out, or the condition of a sleep."""
    module, function, barrier = site
    return any(
        edit.function.__module__.rpartition(".")[2] == module
        and edit.function.__name__ == function
        and (barrier == "Sleep" or barrier in edit.old)
        for theorem in theorems(("barriers",))
        for edit in theorem.edits
    )


def test_every_barrier_is_judged() -> None:
    found = set(sites())
    assert len(found) > 20
    missed = {site for site in found if not is_left_out(site)}
    assert missed == set(ELSEWHERE)


def test_a_barrier_that_nobody_judges_is_missed() -> None:
    assert not is_left_out(("commit", "flush", "wait_for_reads"))
    assert is_left_out(("commit", "flush", "wait_for_writes"))

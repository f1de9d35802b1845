"""Which effects an event can have: from the specification's own calls.

`step` dispatches each event to functions; those call others, and build effects.  Whatever can be
reached by name counts, so the table may name an effect that a condition rules out, and never leaves
one out.  Tests let the reference run and compare.
"""

import ast
from functools import cache
from typing import Final, NamedTuple

from writecache_docs.source import SPEC, members, tree

Place = tuple[str, str]
"""Module and name of a function."""
_BY_CALL: Final = {
    "report_error": ("Log",),
    "require": ("NotEnabled",),
    "wait_for_reads": ("NotEnabled",),
    "wait_for_writes": ("NotEnabled",),
    "bug_on": ("Broken",),
}
"""Built inside the transcript's helpers."""


class Branch(NamedTuple):
    """What the dispatcher does with an event."""

    event: str
    calls: tuple[str, ...]
    """Names of functions, as `step` knows them."""


@cache
def branches() -> dict[str, Branch]:
    """The branch of `step` that each event takes."""
    found = {}
    for node in ast.walk(tree("step")):
        match node:
            case ast.match_case(pattern=ast.MatchClass(cls=ast.Name(id=name)), body=body):
                calls = {
                    one.func.id
                    for statement in body
                    for one in ast.walk(statement)
                    if isinstance(one, ast.Call) and isinstance(one.func, ast.Name)
                }
                found[name] = Branch(name, tuple(sorted(calls)))
    return found


@cache
def names(module: str) -> dict[str, Place]:
    """What each name stands for in a module: its own functions, and those it imports."""
    found: dict[str, Place] = {}
    for node in tree(module).body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = (module, name)
            case ast.ImportFrom(module=str(origin), names=imported) if origin.startswith(
                "writecache_spec."
            ):
                for one in imported:
                    found[one.asname or one.name] = (origin.partition(".")[2], one.name)
    return found


@cache
def bodies() -> dict[Place, ast.AST]:
    """Every function and class of the specification."""
    return {
        (path.stem, node.name): node
        for path in sorted(SPEC.glob("*.py"))
        for node in tree(path.stem).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    }


def reached(starts: list[Place]) -> list[Place]:
    """All functions that can be reached from some, those included, in the order of discovery."""
    found, left = list[Place](), list(starts)
    while left:
        place = left.pop(0)
        body = bodies().get(place)
        if place in found or body is None:
            continue
        found.append(place)
        known = names(place[0])
        left += [known[name] for name in dict.fromkeys(_used(body)) if name in known]
    return found


def _used(body: ast.AST) -> list[str]:
    """Names that code calls or refers to; those of annotations and patterns build nothing."""
    if isinstance(body, ast.FunctionDef):
        return [name for statement in body.body for name in _used(statement)]
    if isinstance(body, ast.ClassDef):
        return []
    found = []
    for one in ast.walk(body):
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Name):
            found.append(one.func.id)
            found += [argument.id for argument in one.args if isinstance(argument, ast.Name)]
    return found


def effects_of(event: str) -> list[str]:
    """The effects that an event can have, in the order in which `effects` lists them."""
    known = names("step")
    starts = [known[name] for name in branches()[event].calls if name in known]
    every = members("effects", "Effect")
    built = {name for module, name in reached(starts) if module == "effects"}
    for module, name in reached(starts):
        if module == "transcript":
            built.update(_BY_CALL.get(name, ()))
    return [name for name in every if name in built]


def modules_of(event: str) -> list[str]:
    """The modules whose functions `step` calls for an event; its own among them."""
    known = names("step")
    calls = [known[name] for name in branches()[event].calls if name in known]
    direct = [place for place in calls if place[0] not in ("step", "transcript")]
    for place in calls:
        if place[0] == "step":
            inner = [one.id for one in ast.walk(bodies()[place]) if isinstance(one, ast.Name)]
            direct += [known[name] for name in inner if name in known]
    skipped = {"step", "transcript", "state", "effects", "events", "units"}
    return list(dict.fromkeys(module for module, _ in direct if module not in skipped))

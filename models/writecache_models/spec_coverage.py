"""Which branches of the specification are reached: by recorded traces, or by a tour of worlds.

Run as a program, which prints JSON, as measuring must begin before the specification is imported:

    python -m writecache_models.spec_coverage FILE...
    python -m writecache_models.spec_coverage --worlds

What cannot be reached is listed, with the reason, in `unrecorded` and `unwalked`; an entry there
that is reached after all, or describes no line, is *stale*.
"""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

Branch = tuple[int, int]
"""Line numbers: where a branch leaves, where it leads; negative: out of a function."""


class Excuses(NamedTuple):
    """What need not be reached, each with the reason."""

    modules: Mapping[str, str]
    places: Mapping[str, Mapping[str, str]]
    """By module, as `line that leaves -> line it leads to`."""
    marks: tuple[str, ...] = ()
    """Lines with one of these leave what a kernel does."""


def main(words: list[str]) -> None:
    """Do what is to be measured and print what was reached, as JSON."""
    if words == ["--worlds"]:
        files = measure(_tour)
        from writecache_models.unwalked import NO_WORLD, UNWALKED

        excuses = Excuses(NO_WORLD, UNWALKED)
    else:
        files = measure(lambda: _judge([Path(word) for word in words]))
        from writecache_models.unrecorded import NO_KERNEL, OF_REPAIRS, UNRECORDED

        excuses = Excuses(NO_KERNEL, UNRECORDED, OF_REPAIRS)
    print(json.dumps({"modules": summarize(files, excuses)}))


def measure(run: Callable[[], None]) -> Mapping[str, Mapping[str, Any]]:
    """What coverage.py reports of each file of the specification; `run` imports it."""
    try:
        from coverage import Coverage
    except ModuleNotFoundError:
        sys.exit("measuring needs the package coverage: pip install coverage")
    package = find_spec("writecache_spec")
    source = list((package and package.submodule_search_locations) or [])
    measured = Coverage(data_file=None, branch=True, source=source, config_file=False)
    measured.start()
    try:
        run()
    finally:
        measured.stop()
    with redirect_stdout(StringIO()) as printed:
        measured.json_report(outfile="-")
    files: Mapping[str, Mapping[str, Any]] = json.loads(printed.getvalue())["files"]
    return files


def _judge(files: list[Path]) -> None:
    from writecache_models.judge import judge
    from writecache_models.vectors import VectorError, read_traces

    try:
        for file in files:
            for trace in read_traces(file):
                judge(trace)
    except VectorError as error:
        sys.exit(str(error))


def _tour() -> None:
    from writecache_models.touring import tour

    print(tour(), file=sys.stderr)


def summarize(files: Mapping[str, Mapping[str, Any]], excuses: Excuses) -> dict[str, Any]:
    """What coverage.py reports of each file, as what counts by module."""
    return {
        Path(name).stem: _summary(Path(name), one, excuses)
        for name, one in files.items()
        if Path(name).stem not in excuses.modules
    }


def _summary(path: Path, one: Mapping[str, Any], excuses: Excuses) -> dict[str, Any]:
    """One module: branches, and lines, count alike, each once."""
    lines, listed = path.read_text().splitlines(), excuses.places.get(path.stem, {})

    def text(number: int) -> str:
        return lines[number - 1].strip() if number > 0 else "exit"

    found = dict(_missed(one))
    named = {place: f"{text(begin)} -> {text(end)}" for place, (begin, end) in found.items()}
    excused = {place: listed[name] for place, name in named.items() if name in listed}
    excused |= {
        place: "a repair: no kernel does it"
        for place, (begin, _) in found.items()
        if any(mark in text(begin) for mark in excuses.marks)
    }
    counted = ("executed_branches", "missing_branches", "executed_lines", "missing_lines")
    return {
        "branches": sum(len(one[key]) for key in counted),
        "missed": [f"{place}: {name}" for place, name in named.items() if place not in excused],
        "unrecorded": [f"{place}: {named[place]}: {reason}" for place, reason in excused.items()],
        "stale": [name for name in listed if name not in named.values()],
    }


def _missed(one: Mapping[str, Any]) -> Iterator[tuple[str, Branch]]:
    """Branches not taken, and lines not reached that no such branch leads to."""
    entered = {end for _, end in one["missing_branches"]}
    for begin, end in one["missing_branches"]:
        yield f"line {begin} to {end if end > 0 else 'exit'}", (begin, end)
    missing = set(one["missing_lines"])
    explained = False
    for line in range(1, max(missing, default=0) + 1):
        # What follows in a block that was not entered was not reached either.
        explained = line not in set(one["executed_lines"]) and (explained or line in entered)
        if line in missing and not explained:
            yield f"line {line}", (line, line)


if __name__ == "__main__":
    main(sys.argv[1:])

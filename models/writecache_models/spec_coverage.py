"""Which branches of the specification recorded traces reach.

Run as a program, `python -m writecache_models.spec_coverage FILE...`, which prints JSON: measuring
must begin before the specification is imported.  What no recorder can reach is listed, with the
reason, in `unrecorded`; an entry there that is reached after all, or describes no line, is *stale*.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

Branch = tuple[int, int]
"""Line numbers: where a branch leaves, where it leads; negative: out of a function."""


def main(files: list[Path]) -> None:
    """Judge the files' traces and print what was reached, as JSON."""
    try:
        from coverage import Coverage
    except ModuleNotFoundError:
        sys.exit("measuring needs the package coverage: pip install coverage")
    package = find_spec("writecache_spec")
    source = list((package and package.submodule_search_locations) or [])
    measured = Coverage(data_file=None, branch=True, source=source, config_file=False)
    measured.start()
    from writecache_models.judge import judge
    from writecache_models.vectors import VectorError, read_traces

    try:
        for file in files:
            for trace in read_traces(file):
                judge(trace)
    except VectorError as error:
        sys.exit(str(error))
    finally:
        measured.stop()
    with redirect_stdout(StringIO()) as printed:
        measured.json_report(outfile="-")
    report = json.loads(printed.getvalue())
    print(json.dumps({"modules": summarize(report["files"])}))


def summarize(files: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """What coverage.py reports of each file, as what counts by module."""
    from writecache_models.unrecorded import NO_KERNEL, UNRECORDED

    return {
        Path(name).stem: _summary(
            one, Path(name).read_text().splitlines(), UNRECORDED.get(Path(name).stem, {})
        )
        for name, one in files.items()
        if Path(name).stem not in NO_KERNEL
    }


def _summary(
    one: Mapping[str, Any], lines: list[str], unrecorded: Mapping[str, str]
) -> dict[str, Any]:
    """One module: branches, and lines, count alike, each once."""
    from writecache_models.unrecorded import OF_REPAIRS

    def text(number: int) -> str:
        return lines[number - 1].strip() if number > 0 else "exit"

    found = dict(_missed(one))
    named = {place: f"{text(begin)} -> {text(end)}" for place, (begin, end) in found.items()}
    excused = {place: unrecorded[name] for place, name in named.items() if name in unrecorded}
    excused |= {
        place: "a repair: no kernel does it"
        for place, (begin, _) in found.items()
        if any(mark in text(begin) for mark in OF_REPAIRS)
    }
    counted = ("executed_branches", "missing_branches", "executed_lines", "missing_lines")
    return {
        "branches": sum(len(one[key]) for key in counted),
        "missed": [f"{place}: {name}" for place, name in named.items() if place not in excused],
        "unrecorded": [f"{place}: {named[place]}: {reason}" for place, reason in excused.items()],
        "stale": [name for name in unrecorded if name not in named.values()],
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
    main([Path(name) for name in sys.argv[1:]])

"""Which branches of the specification recorded traces reach.

Run as a program, `python -m writecache_models.spec_coverage RESULT FILE...`: measuring must begin
before the specification is imported.  A line marked `# unrecorded: reason` is out of a recorder's
reach: an I/O error nobody injects, a death that no trace is known to lead to.
"""

import json
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

MARK = r"#\s*unrecorded:"


def main(result: Path, files: list[Path]) -> None:
    """Judge the files' traces and write what was reached, as JSON."""
    try:
        from coverage import Coverage
    except ModuleNotFoundError:
        sys.exit("measuring needs the package coverage: pip install coverage")
    package = find_spec("writecache_spec")
    source = list((package and package.submodule_search_locations) or [])
    measured = Coverage(data_file=None, branch=True, source=source, config_file=False)
    measured.exclude(MARK)
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
    with tempfile.NamedTemporaryFile(suffix=".json") as scratch:
        measured.json_report(outfile=scratch.name)
        report = json.loads(Path(scratch.name).read_text())
    modules = {Path(name).stem: _summary(one) for name, one in report["files"].items()}
    result.write_text(json.dumps({"modules": modules}))


def _summary(one: dict[str, Any]) -> dict[str, Any]:
    """One module: branches and lines count alike, each once."""
    branches = [*one["executed_branches"], *one["missing_branches"]]
    missed = [f"line {begin} to {end}" for begin, end in one["missing_branches"]]
    jumped_over = {end for _, end in one["missing_branches"]}
    missed += [f"line {line}" for line in one["missing_lines"] if line not in jumped_over]
    lines = [*one["executed_lines"], *one["missing_lines"]]
    return {
        "branches": len(branches) + len(lines),
        "missed": missed,
        "excluded": len(one["excluded_lines"]),
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), [Path(name) for name in sys.argv[2:]])

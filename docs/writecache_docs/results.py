"""The table of kernels and results in the README: made from a run of `writecache conform --json`.

    python -m writecache_docs.results RUN.json     keeps the run, with its date; writes the table

`make results` does the run, too.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from writecache_docs.markdown import table

ROOT: Final = Path(__file__).resolve().parents[2]
README: Final = ROOT / "README.md"
STORED: Final = ROOT / "bench" / "results" / "conform.json"
BEGIN: Final = "<!-- results: make results -->"
END: Final = "<!-- end of results -->"


def results_table(run: dict[str, Any]) -> str:
    """A row for each kernel, and where the numbers are from."""
    rows = [
        (
            f"Linux {one['release']}",
            one["target"],
            f"{one['steps']:,}",
            one["panics"] + one["hangs"],
            one["non_canonical"],
            one["divergences"],
        )
        for one in run["kernels"]
    ]
    columns = ["kernel", "target", "random steps", "it died", "another schedule", "divergences"]
    vectors = run["vectors"]["steps"]
    return (
        f"{table(columns, rows)}\n\n{run['date']}, seed `{run['seed']}`; with {vectors:,} recorded"
        f" steps of shipped vectors, {run['divergences']} divergences in all.\n*It died*: panics"
        " and hangs, on which the reference ends likewise. *Another schedule*: steps that the first"
        " one tried did not explain."
    )


def with_table(readme: str, run: dict[str, Any]) -> str:
    """A README with the table of a run; raises ValueError where it has no place for it."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not end:
        raise ValueError(f"no {BEGIN} ... {END}")
    return f"{before}{begin}\n{results_table(run)}\n{end}{after}"


def main(arguments: list[str]) -> int:
    """Keep a run and write its table; exit code 1 where a kernel was not judged."""
    (path,) = arguments
    run = json.loads(Path(path).read_text())
    if run["not_judged"]:
        print(f"not judged: {run['not_judged']}", file=sys.stderr)
        return 1
    run["date"] = datetime.fromtimestamp(Path(path).stat().st_mtime, UTC).date().isoformat()
    text = with_table(README.read_text(), run)
    STORED.write_text(json.dumps(run, indent=1) + "\n")
    README.write_text(text)
    print(results_table(run))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

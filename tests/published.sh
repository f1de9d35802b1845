#!/bin/sh
# Builds what would be published, source and wheel, and checks both: twice from the same tree, the
# wheel also from the source archive.  Exit code 0: their metadata and README are what an index takes.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The development environment has the build backend.
"$python" -m build --no-isolation --outdir "$work" "$root" >"$work/log" 2>&1 || {
    cat "$work/log" >&2
    exit 1
}
"$python" -m twine check --strict "$work"/*.tar.gz "$work"/*.whl

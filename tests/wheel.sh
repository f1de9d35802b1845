#!/bin/sh
# Builds the wheel, installs it into a new environment outside the checkout, and uses it there.
# Exit code 0: the wheel carries what it must and judges its own vectors.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
python=${PYTHON:-$root/.venv/bin/python}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m pip wheel --quiet --no-deps --wheel-dir "$work" "$root"
set -- "$work"/*.whl
wheel=$1

"$python" - "$wheel" "$root" <<'CONTENTS'
import sys
import zipfile
from email import message_from_bytes
from pathlib import Path

wheel = zipfile.ZipFile(sys.argv[1])
root = Path(sys.argv[2])
names = set(wheel.namelist())
for top in ("spec", "models", "proofs", "impl"):
    package = f"writecache_{top}"
    assert f"{package}/py.typed" in names, f"{package} is not marked as typed"
    for module in (root / top / package).rglob("*.py"):
        assert str(module.relative_to(root / top)) in names, f"{module} is missing"
for file in ("page.html", "page.css", "page.js"):
    assert f"writecache_impl/explorer/{file}" in names, f"the explorer's {file} is missing"
shipped = {name.rpartition("/")[2] for name in names if "/fixtures/" in name}
recorded = {path.name for path in (root / "tests/vectors").iterdir()}
assert shipped == recorded and recorded, f"vectors differ: {sorted(shipped ^ recorded)}"
(info,) = {name.partition("/")[0] for name in names if ".dist-info/" in name}
assert f"{info}/licenses/LICENSE" in names, "no licence text"
metadata = message_from_bytes(wheel.read(f"{info}/METADATA"))
assert metadata["License-Expression"] == "GPL-2.0-only", metadata["License-Expression"]
needed = [line for line in metadata.get_all("Requires-Dist") or [] if "extra ==" not in line]
assert not needed, f"the specification needs {needed}"
tops = {name.partition("/")[0] for name in names} - {info}
assert tops == {f"writecache_{top}" for top in ("spec", "models", "proofs", "impl")}, tops
CONTENTS

"$python" -m venv "$work/clean"
"$work/clean/bin/python" -m pip install --quiet "$wheel"
cd /
# Without its extras the specification imports, and the command line says what it needs.
"$work/clean/bin/python" -I -c 'import writecache_spec.step, writecache_models.judge'
status=0
said=$("$work/clean/bin/writecache" --version 2>&1) || status=$?
case "$status $said" in
"2 writecache: the command line needs "*) ;;
*) echo "without its extra the program said $said, $status" >&2; exit 1 ;;
esac

"$work/clean/bin/python" -m pip install --quiet "$wheel[cli,conformance]"
"$work/clean/bin/writecache" --version
"$work/clean/bin/writecache" vectors check
"$work/clean/bin/writecache" findings --html format-crash -o "$work/page.html"
grep -q '"name":"format-crash"' "$work/page.html"
"$work/clean/bin/writecache" conform --target reference
"$work/clean/bin/pytest" -q -p no:cacheprovider --pyargs writecache_models.conformance --target mmap

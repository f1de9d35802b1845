"""The import rule, as a program: exit code 1 names every import that goes the wrong way.

spec imports the standard library alone; models and proofs import spec (proofs models too); impl may
import all, but its engine (`writecache_impl.engine`) itself and what it shares with spec.
Third-party packages are allowed where the package's extra brings them.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {
    "writecache_spec": {"writecache_spec"},
    "writecache_models": {
        "writecache_spec",
        "writecache_models",
        "hypothesis",
        "pytest",
        "coverage",
    },
    "writecache_proofs": {
        "writecache_spec",
        "writecache_models",
        "writecache_proofs",
        "z3",
        "crosshair",
        "cvc5",
    },
    "writecache_impl": {
        "writecache_spec",
        "writecache_models",
        "writecache_proofs",
        "writecache_impl",
        "click",
        "rich",
        "numpy",
        "distributed",
    },
}


ENGINE = "writecache_impl.engine"
ENGINE_ALLOWED = {"writecache_spec", "numpy"}
"""Besides itself; what it shares with spec is how tables and sizes are read."""
SHARED_WITH_ENGINE = {"arguments", "codec", "layout", "numbers", "profile", "units"}


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and name of the module of every absolute import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module


def wrong_imports(package: str, source: str) -> list[tuple[int, str]]:
    """Imports that a module of this package must not have.

    >>> wrong_imports("writecache_spec", "import os\\nimport writecache_models.kernel")
    [(2, 'writecache_models')]
    """
    fine = ALLOWED[package] | sys.stdlib_module_names
    names = [(line, name.split(".")[0]) for line, name in imported(ast.parse(source))]
    return [(line, name) for line, name in names if name not in fine]


def wrong_in_engine(source: str) -> list[tuple[int, str]]:
    """Imports that a module of the engine must not have.

    >>> wrong_in_engine("import os\\nfrom writecache_spec.commit import flush")
    [(2, 'writecache_spec.commit')]
    """
    wrong = []
    for line, name in imported(ast.parse(source)):
        package, _, module = name.partition(".")
        if name == ENGINE or name.startswith(f"{ENGINE}.") or package in sys.stdlib_module_names:
            continue
        if package not in ENGINE_ALLOWED or (
            package == "writecache_spec" and module not in SHARED_WITH_ENGINE
        ):
            wrong.append((line, name))
    return wrong


def main() -> int:
    """Check every module of the four packages."""
    modules = wrong = 0
    for package in ALLOWED:
        for path in sorted(ROOT.glob(f"*/{package}/**/*.py")):
            modules += 1
            found = wrong_imports(package, path.read_text())
            if path.parent.name == "engine" and package == "writecache_impl":
                found += wrong_in_engine(path.read_text())
            for line, name in found:
                wrong += 1
                print(f"{path.relative_to(ROOT)}:{line}: must not import {name}")
    print(f"{modules} modules, {wrong} imports go the wrong way")
    return 1 if wrong or not modules else 0


if __name__ == "__main__":
    sys.exit(main())

"""The import rule, as a program: exit code 1 names every import that goes the wrong way.

spec imports the standard library alone; models and proofs import spec (proofs models too); impl may
import all, but its engine (`writecache_impl.engine`) spec alone.  Third-party packages are allowed
where the package's extra brings them.
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


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and top-level package of every absolute import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name.split(".")[0]
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.lineno, node.module.split(".")[0]


def wrong_imports(package: str, source: str) -> list[tuple[int, str]]:
    """Imports that a module of this package must not have.

    >>> wrong_imports("writecache_spec", "import os\\nimport writecache_models.kernel")
    [(2, 'writecache_models')]
    """
    fine = ALLOWED[package] | sys.stdlib_module_names
    return [(line, name) for line, name in imported(ast.parse(source)) if name not in fine]


def main() -> int:
    """Check every module of the four packages."""
    modules = wrong = 0
    for package in ALLOWED:
        for path in sorted(ROOT.glob(f"*/{package}/**/*.py")):
            modules += 1
            for line, name in wrong_imports(package, path.read_text()):
                wrong += 1
                print(f"{path.relative_to(ROOT)}:{line}: {package} must not import {name}")
    print(f"{modules} modules, {wrong} imports go the wrong way")
    return 1 if wrong or not modules else 0


if __name__ == "__main__":
    sys.exit(main())

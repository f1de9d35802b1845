"""What the specification's own source says of itself: classes, fields, and their docstrings.

A docstring behind a field is not kept by Python: it is read from the source.
"""

import ast
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import writecache_spec

SPEC: Final = Path(writecache_spec.__path__[0])


class Field(NamedTuple):
    """A field of a class, or a member of an enumeration."""

    name: str
    kind: str
    """Its annotation; empty for a member."""
    default: str
    """Of a member its value."""
    words: str


class Class(NamedTuple):
    """A class of the specification."""

    name: str
    words: str
    fields: tuple[Field, ...]


@cache
def tree(module: str) -> ast.Module:
    """The syntax tree of a module of the specification."""
    return ast.parse((SPEC / f"{module}.py").read_text())


def docstring(module: str) -> str:
    """Of a module."""
    text = ast.get_docstring(tree(module))
    assert text, f"{module} has no docstring"
    return text


@cache
def classes(module: str) -> dict[str, Class]:
    """The classes of a module, in its order."""
    return {
        node.name: Class(node.name, ast.get_docstring(node) or "", tuple(_fields(node)))
        for node in tree(module).body
        if isinstance(node, ast.ClassDef)
    }


def functions(module: str) -> dict[str, str]:
    """The public functions of a module, each with its docstring."""
    return {
        node.name: ast.get_docstring(node) or ""
        for node in tree(module).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    }


def constants(module: str) -> dict[str, str]:
    """The constants of a module that have a docstring."""
    return {one.name: one.words for one in _fields(tree(module)) if one.words}


def _fields(node: ast.ClassDef | ast.Module) -> list[Field]:
    found: list[Field] = []
    for statement in node.body:
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name), annotation=kind, value=value):
                found.append(
                    Field(name, ast.unparse(kind), ast.unparse(value) if value else "", "")
                )
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found.append(Field(name, "", ast.unparse(value), ""))
            case ast.Expr(value=ast.Constant(value=str(words))) if found:
                if not found[-1].words:
                    found[-1] = found[-1]._replace(words=words)
            case _:
                continue
    return found


def members(module: str, union: str) -> tuple[str, ...]:
    """The names in a union of types: `Event = Map | EndIo | ...`."""
    for statement in tree(module).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name == union:
                return tuple(_names(value))
    raise KeyError(union)


def _names(value: ast.expr) -> list[str]:
    match value:
        case ast.BinOp(left=left, right=right):
            return _names(left) + _names(right)
        case ast.Name(id=name):
            return [name]
    return []

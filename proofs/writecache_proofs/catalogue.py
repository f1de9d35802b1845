"""All theorems, by family."""

from collections.abc import Mapping, Sequence
from importlib import import_module

from writecache_proofs.families import FAMILIES, MODULES
from writecache_proofs.judging import judge_theorem as judge
from writecache_proofs.theorem import Family, Theorem

Modules = Mapping[str, Sequence[str]]
"""The modules of each family."""


def theorems(families: Sequence[str] = FAMILIES, modules: Modules = MODULES) -> list[Theorem]:
    """The theorems of some families."""
    found: list[Theorem] = []
    for family in families:
        for module in modules[family]:
            loaded = import_module(module)
            for value in vars(loaded).values():
                if isinstance(value, Family) and value.module == loaded.__name__:
                    found += value.theorems
    return found


def named(name: str, modules: Modules = MODULES) -> Theorem:
    """A theorem by its name; raises KeyError."""
    for theorem in theorems(tuple(modules), modules):
        if theorem.name == name:
            return theorem
    raise KeyError(name)


__all__ = ["Modules", "judge", "named", "theorems"]

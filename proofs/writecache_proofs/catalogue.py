"""All theorems, by family."""

from importlib import import_module

from writecache_proofs.families import FAMILIES, MODULES
from writecache_proofs.judging import Options, Outcome, judge_theorem
from writecache_proofs.theorem import Family, Theorem


def theorems(families: tuple[str, ...] = FAMILIES) -> list[Theorem]:
    """The theorems of some families."""
    found: list[Theorem] = []
    for family in families:
        for module in MODULES[family]:
            loaded = import_module(f"writecache_proofs.families.{module}")
            for value in vars(loaded).values():
                if isinstance(value, Family) and value.module == loaded.__name__:
                    found += value.theorems
    return found


def theorem_named(name: str) -> Theorem:
    """A theorem by its name; raises KeyError."""
    for theorem in theorems():
        if theorem.name == name:
            return theorem
    raise KeyError(name)


def judge_named(name: str, options: Options) -> Outcome:
    """Judge a theorem by its name: what another process can be asked."""
    return judge_theorem(theorem_named(name), options)

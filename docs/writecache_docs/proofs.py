"""The theorems as `writecache prove` has them, and what they rest on."""

from importlib import import_module
from itertools import groupby

from writecache_docs.markdown import code, one_line, prose, quoted, table
from writecache_impl.proving import ALL_MODULES
from writecache_proofs.assumptions import ASSUMPTIONS
from writecache_proofs.catalogue import theorems
from writecache_proofs.theorem import Kind, Theorem


def summary() -> str:
    """How many theorems of each kind, and twins."""
    every = theorems(tuple(ALL_MODULES), ALL_MODULES)
    rows = [(kind.value, sum(one.kind is kind for one in every)) for kind in Kind]
    n_twins = sum(len(one.twins) for one in every)
    n_deep = sum(one.deep for one in every)
    words = (
        f"{len(every)} theorems in {len(ALL_MODULES)} families, with {n_twins} twins; {n_deep} of "
        "them are judged with `--deep` only."
    )
    return f"{words}\n\n{table(['kind', 'theorems'], rows)}"


def assumptions() -> str:
    """What all proofs assume."""
    return table(["assumption", ""], [(name, quoted(words)) for name, words in ASSUMPTIONS])


def statements() -> str:
    """Every theorem, by family."""
    parts = []
    every = theorems(tuple(ALL_MODULES), ALL_MODULES)
    for family, group in groupby(every, key=lambda one: one.family):
        parts.append(f"### {family}")
        for module in ALL_MODULES[family]:
            loaded = import_module(module)
            parts.append(prose((loaded.__doc__ or "").split("\n\n")[0]))
        parts += [_theorem(one) for one in group]
        parts.append(code(f"writecache prove --family {family} --twins"))
    return "\n\n".join(parts)


def _theorem(one: Theorem) -> str:
    bound = f" *Bound:* {quoted(one.bound)}." if one.bound else ""
    deep = " Judged with `--deep` only." if one.deep else ""
    lines = [
        f"**{one.name.replace('_', ' ')}** ({one.kind.value})",
        f": {quoted(one_line(one.statement))}{bound}{deep}",
    ]
    if one.twins:
        lines += ["", "  Must be refuted, or, of something necessary, hold as it ships:", ""]
        for twin in one.twins:
            finding = f" ([{twin.finding}](findings/{twin.finding}.md))" if twin.finding else ""
            lines.append(f"  - {quoted(one_line(twin.words))}{finding}")
    return "\n".join(lines)

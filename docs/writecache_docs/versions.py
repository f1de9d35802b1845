"""What differs between the described kernels: from their profiles."""

from enum import Enum

from writecache_docs.markdown import quoted, table
from writecache_docs.source import classes
from writecache_spec.profile import PROFILES, Environment, Profile

_SKIPPED = {"name", "environment", "repairs"}


def differences() -> str:
    """A row for each property in which two profiles differ: its values, and who has which."""
    rows = []
    for owner in (Profile, Environment):
        words = {field.name: field.words for field in classes("profile")[owner.__name__].fields}
        for name in owner._fields:
            if name in _SKIPPED:
                continue
            having: dict[str, list[str]] = {}
            for profile in PROFILES.values():
                holder = profile if owner is Profile else profile.environment
                having.setdefault(_shown(getattr(holder, name)), []).append(profile.name)
            if len(having) > 1:
                rows.append((f"`{name}`", quoted(words[name]), _who(having)))
    return table(["property", "what it says", "values, and who has them"], rows)


def _who(having: dict[str, list[str]]) -> str:
    """The values, the rarest first; whoever is left has the last one."""
    *rare, (usual, _) = sorted(having.items(), key=lambda item: len(item[1]))
    parts = [f"{value}: {', '.join(f'`{name}`' for name in names)}" for value, names in rare]
    return "; ".join([*parts, f"{usual}: the others"])


def common() -> str:
    """What all profiles agree in, but could differ in."""
    rows = []
    for owner in (Profile, Environment):
        words = {field.name: field.words for field in classes("profile")[owner.__name__].fields}
        for name in owner._fields:
            values = {
                getattr(one if owner is Profile else one.environment, name)
                for one in PROFILES.values()
            }
            if name not in _SKIPPED and len(values) == 1:
                rows.append((f"`{name}`", quoted(words[name]), _shown(values.pop())))
    return table(["property", "", "value"], rows)


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Enum):
        return quoted(str(value.value))
    if isinstance(value, tuple):
        return ".".join(map(str, value))
    return str(value)

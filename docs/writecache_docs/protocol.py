"""Tables of the specification's own types, and a page for each operation."""

import re
from typing import Final, NamedTuple

from writecache_docs import prefixes_memory
from writecache_docs.markdown import one_line, prose, quoted, table
from writecache_docs.prefixes import SCENARIOS, prefixes
from writecache_docs.reach import effects_of, modules_of
from writecache_docs.source import Class, classes, constants, docstring, functions, members
from writecache_spec.repairs import Repair


class Operation(NamedTuple):
    """A page."""

    module: str
    title: str


OPERATIONS: Final = (
    Operation("arguments", "The table line"),
    Operation("construct", "Construct and format"),
    Operation("resume", "Resume and recovery"),
    Operation("map", "Map: where a request goes"),
    Operation("map_write", "Writes"),
    Operation("map_pmem", "Reads and writes of persistent memory"),
    Operation("write_around", "Past the cache"),
    Operation("remainder", "What is left of a request"),
    Operation("commit", "Commit"),
    Operation("discard", "Discard"),
    Operation("writeback", "Writeback: which blocks"),
    Operation("writeback_submit", "Writeback: the copies"),
    Operation("endio", "The end of writeback"),
    Operation("messages", "Messages"),
    Operation("suspend", "Suspend"),
    Operation("timers", "Timers"),
    Operation("status", "Status and table line"),
    Operation("entries", "Entries: the common moves"),
    Operation("transcript", "Errors and waiting"),
)
"""In the order of a cache's life."""


def page_of(module: str) -> str:
    """The path of the page about an operation."""
    return f"protocol/{module.replace('_', '-')}.md"


def _link(module: str, folder: str = "") -> str:
    return f"[{module}]({folder}{module.replace('_', '-')}.md)"


def events_table() -> str:
    """Each event, what it is, which operation describes it, and the effects that it can have."""
    known = {operation.module for operation in OPERATIONS}
    rows = []
    for name in members("events", "Event"):
        pages = [_link(one, "protocol/") for one in modules_of(name) if one in known]
        effects = ", ".join(f"`{effect}`" for effect in effects_of(name)) or "none"
        rows.append((f"`{name}`", _words(classes("events")[name]), ", ".join(pages), effects))
    return table(["event", "what happens", "described in", "effects it can have"], rows)


def effects_table() -> str:
    """Each effect, with its fields."""
    known = classes("effects")
    rows = [
        (f"`{name}`", _words(known[name]), ", ".join(f"`{one.name}`" for one in known[name].fields))
        for name in members("effects", "Effect")
    ]
    return table(["effect", "what happens", "fields"], rows)


def fields_table(module: str, name: str) -> str:
    """The fields of a class."""
    rows = [
        (f"`{field.name}`", f"`{field.kind}`", quoted(field.words))
        for field in classes(module)[name].fields
    ]
    return table(["field", "type", ""], rows)


def members_table(module: str, name: str) -> str:
    """The members of an enumeration, with their values where these are not their names."""
    rows = []
    for field in classes(module)[name].fields:
        value = field.default.strip("\"'").replace("\\'", "'")
        rows.append((field.name, value, quoted(field.words)))
    if all(name == value for name, value, _ in rows):
        return table(["name", "when"], [(f"`{name}`", words) for name, _, words in rows])
    named = [(f"`{name}`", quoted(value), words) for name, value, words in rows]
    return table(["name", "in words", ""], named)


def functions_table(module: str) -> str:
    """The functions of a module, each with its first sentence."""
    rows = [
        (f"`{name}`", quoted(one_line(words.split("\n\n")[0])))
        for name, words in functions(module).items()
    ]
    return table(["name", "what it says"], rows)


def repairs_table() -> str:
    """What each repair does."""
    rows = [(f"`{repair.name}`", quoted(repair.value)) for repair in Repair]
    return table(["repair", "what is done differently"], rows)


def state_tables() -> str:
    """The state of a cache, class by class."""
    parts = []
    for name in ("State", "Entry", "Config", "Stats"):
        words = prose(classes("state")[name].words)
        parts.append(f"### {name}\n\n{words}\n\n{fields_table('state', name)}")
    for name in ("Phase", "Waiter"):
        words = prose(classes("state")[name].words)
        parts.append(f"### {name}\n\n{words}\n\n{members_table('state', name)}")
    return "\n\n".join(parts)


def _words(one: Class) -> str:
    return quoted(one_line(one.words))


def _linked(text: str) -> str:
    """A text in which the names of other operations' modules lead to their pages.

    >>> _linked("see `map_write`, not `map_bio`")
    'see [`map_write`](map-write.md), not `map_bio`'
    """
    modules = {operation.module for operation in OPERATIONS}

    def replace(found: re.Match[str]) -> str:
        name = found[1]
        return f"[`{name}`]({name.replace('_', '-')}.md)" if name in modules else found[0]

    return re.sub(r"`(\w+)`", replace, text)


_DESCRIBES: Final = re.compile(r"(?:^|\n\n)(Describes .*)\Z", re.DOTALL)


def operation_page(operation: Operation) -> str:
    """A page: place, effects in order, what a crash leaves, kernel functions, functions here."""
    text = docstring(operation.module)
    found = _DESCRIBES.search(text)
    described = found[1] if found else ""
    body = text[: found.start()] if found else text
    first, _, rest = body.partition("\n\n")
    known = first.rstrip(".").lower() == operation.title.lower()
    parts = [f"# {operation.title}", "" if known else prose(first), _linked(prose(rest))]
    events = [e for e in members("events", "Event") if operation.module in modules_of(e)]
    rows = [
        (f"`{event}`", _words(classes("events")[event]),
         ", ".join(f"`{effect}`" for effect in effects_of(event)) or "none")
        for event in events
    ]  # fmt: skip
    if rows:
        parts += ["## Events", table(["event", "what happens", "effects it can have"], rows)]
    tables = [*map(prefixes, SCENARIOS.get(operation.module, ()))]
    tables += map(prefixes_memory.prefixes, prefixes_memory.SCENARIOS.get(operation.module, ()))
    if tables:
        parts += ["## What a crash leaves", _ABOUT_PREFIXES, *tables]
    if found_constants := constants(operation.module):
        named = [(f"`{name}`", quoted(one_line(words))) for name, words in found_constants.items()]
        parts += ["## Constants", table(["name", ""], named)]
    parts += ["## Functions"]
    for name, words in functions(operation.module).items():
        parts += [f"### `{name}`", prose(words)]
    parts += ["## In the kernel", quoted(described) if described else "Nothing of its own."]
    parts += [f"Source: `spec/writecache_spec/{operation.module}.py`. Which tests and proofs use"
              " it: [the map of kernel functions](../kernel_functions.md)."]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


_ABOUT_PREFIXES: Final = """\
Run on the reference, without repairs, when this page was built: 1.6.0, in SSD mode with blocks of
1 KiB, in persistent-memory mode with blocks of 512 bytes.
Each row is one effect. The last column is everything that recovery reads of that block if the power
fails just behind it, whichever sectors (or words of
8 bytes) the devices kept; all of them were looked at."""


def pages() -> dict[str, str]:
    """A page for each operation."""
    return {page_of(one.module): operation_page(one) for one in OPERATIONS}


def contents() -> str:
    """The list of operations, as a table of contents."""
    lines = "\n".join(page_of(one.module).removesuffix(".md") for one in OPERATIONS)
    return f"```{{toctree}}\n:maxdepth: 1\n\n{lines}\n```"

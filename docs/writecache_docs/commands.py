"""The manual of each command, from the command line itself."""

import re
from collections.abc import Iterator
from inspect import cleandoc
from typing import Final, NamedTuple

import click

from writecache_docs.markdown import code, quoted, table
from writecache_impl.cli.app import writecache

MOST_IN_LINE: Final = 4
"""Choices that stand behind an option's name; more are listed in its text."""
SECTION: Final = 8
"""Of the manual: system administration."""
_EXAMPLE: Final = re.compile(r"(?:\A|\n\n)(?:\x08\n)?Examples?:(.*)\Z", re.DOTALL)


class Command(NamedTuple):
    """One command, with where it stands."""

    words: tuple[str, ...]
    click: click.Command
    context: click.Context

    @property
    def name(self) -> str:
        """Of its manual page."""
        return "-".join(self.words)

    @property
    def line(self) -> str:
        """As it is typed."""
        return " ".join(self.words)

    @property
    def text(self) -> str:
        """Its help, but for the examples."""
        return _EXAMPLE.sub("", self._help())

    @property
    def summary(self) -> str:
        """The first sentence."""
        first = " ".join(self.text.split("\n\n")[0].split())
        return first.split(". ")[0].rstrip(".")

    @property
    def examples(self) -> list[str]:
        """Command lines that one can type; none where its help has none."""
        found = _EXAMPLE.search(self._help())
        if not found:
            return []
        lines = [line.strip() for line in found[1].strip().splitlines()]
        return [line for line in lines if line]

    def _help(self) -> str:
        return cleandoc(self.click.help or "")


def commands() -> list[Command]:
    """Every command that does something, in alphabetical order."""
    return sorted(_below(("writecache",), writecache, None), key=lambda one: one.words)


def _below(
    words: tuple[str, ...], command: click.Command, parent: click.Context | None
) -> Iterator[Command]:
    settings = command.context_settings
    context = click.Context(command, info_name=words[-1], parent=parent, **settings)
    if not isinstance(command, click.Group):
        yield Command(words, command, context)
        return
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from _below((*words, name), below, context)


def _options(command: Command) -> str:
    lines = []
    for parameter in command.click.get_params(command.context):
        if isinstance(parameter, click.Argument):
            continue  # the synopsis has it, and the description says what it is
        record = parameter.get_help_record(command.context)
        if record is not None:
            names, words = record
            if (
                isinstance(parameter.type, click.Choice)
                and len(parameter.type.choices) > MOST_IN_LINE
            ):
                names = f"{names.split(' [')[0]} NAME"
                words = f"{words}  One of {', '.join(map(str, parameter.type.choices))}."
            lines += [f"`{names}`", f": {quoted(words)}", ""]
    return "\n".join(lines)


def exit_codes() -> str:
    """What the exit codes mean: from the program's own help."""
    paragraph = cleandoc(writecache.help or "").split("Exit codes:")[1].split("\n\n")[0]
    text = " ".join(paragraph.split())
    pairs = [one.strip(" .") for one in re.split(r"[,;] ", text)]
    rows = []
    for pair in pairs:
        found = re.match(r"(\d+(?: and the number of another signal)?) (?:that )?(.*)", pair)
        rows.append((found[1], quoted(found[2])) if found else ("other", quoted(pair)))
    return table(["code", "meaning"], rows)


def page(command: Command) -> str:
    """A manual page."""
    usage = command.click.get_usage(command.context).removeprefix("Usage: ")
    paragraphs = [quoted(one) for one in command.text.split("\n\n")]
    parts = [
        f"# {command.name}",
        "## Synopsis", code(" ".join(usage.split())),
        "## Description", *paragraphs,
        "## Options", _options(command),
        "## Exit status", exit_codes(),
        "## Examples", code("\n".join(command.examples)),
    ]  # fmt: skip
    return "\n\n".join(parts) + "\n"


def pages() -> dict[str, str]:
    """All manual pages, by path."""
    return {f"tools/{command.name}.md": page(command) for command in commands()}


def index() -> str:
    """A table of all commands, and their table of contents."""
    listed = [(command, quoted(command.summary)) for command in commands()]
    linked = [(f"[{one.line}](tools/{one.name}.md)", summary) for one, summary in listed]
    plain = [(f"`{one.line}`", summary) for one, summary in listed]
    names = "\n".join(f"tools/{one.name}" for one, _ in listed)
    contents = f"```{{toctree}}\n:maxdepth: 1\n:hidden:\n\n{names}\n```"
    # On paper each page stands by itself, and nothing is a link.
    return (
        f"````{{only}} html\n{table(['command', ''], linked)}\n\n{contents}\n````\n\n"
        f"````{{only}} man\n{table(['command', ''], plain)}\n````"
    )


def man_pages() -> list[tuple[str, str, str, list[str], int]]:
    """What Sphinx's builder of manual pages is to be told."""
    about = "the checked reference of dm-writecache, and tools for its caches"
    return [
        ("tools", "writecache", about, [], SECTION),
        *(
            (f"tools/{one.name}", one.name, one.summary[:1].lower() + one.summary[1:], [], SECTION)
            for one in commands()
        ),
    ]

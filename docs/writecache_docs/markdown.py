"""Small pieces of Markdown."""

import re
from collections.abc import Iterable, Sequence
from textwrap import dedent


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; a cell is Markdown in one line.

    >>> print(table(["a", "b"], [["x|y", 1]]))
    | a | b |
    |---|---|
    | x\\|y | 1 |
    """
    lines = [_row(columns), "|" + "---|" * len(columns), *map(_row, rows)]
    return "\n".join(lines)


def _row(cells: Iterable[object]) -> str:
    return "| " + " | ".join(one_line(str(cell)).replace("|", "\\|") for cell in cells) + " |"


def one_line(text: str) -> str:
    """A text without its line breaks.

    >>> one_line("a\\n  b")
    'a b'
    """
    return " ".join(text.split())


def quoted(text: str) -> str:
    """A docstring's text as Markdown: what would be markup is not, but for lists and emphasis.

    Backquotes are kept, and what is between them as it is.

    >>> quoted("e < f, `a<b`, [x] and $y")
    'e \\\\< f, `a<b`, \\\\[x\\\\] and \\\\$y'
    """
    parts = text.split("`")
    for number in range(0, len(parts), 2):
        for mark in "\\<$[]":
            parts[number] = parts[number].replace(mark, "\\" + mark)
    return "`".join(parts)


def prose(docstring: str) -> str:
    """A docstring as Markdown: paragraphs, lists, and examples as code.

    >>> prose("Add.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['Add.', '', '```pycon', '>>> 1 + 1', '2', '```']
    """
    paragraphs = [one for one in docstring.split("\n\n") if one.strip()]
    return "\n\n".join(
        code(one, "pycon")
        if one.startswith(">>>")
        else code(dedent(one))
        if one.startswith("    ")
        else quoted(_lists_ended(one))
        for one in paragraphs
    )


def _lists_ended(paragraph: str) -> str:
    """A paragraph with a blank line where a text goes on, not indented, behind a list.

    >>> _lists_ended("Any:\\n  * one,\\n  * two;\\nbut not all.").splitlines()
    ['Any:', '  * one,', '  * two;', '', 'but not all.']
    """
    lines: list[str] = []
    in_list = False
    for line in paragraph.splitlines():
        is_item = re.match(r"\s*(\*|\d+\.) ", line) is not None
        if in_list and not is_item and not line.startswith(" "):
            lines.append("")
            in_list = False
        in_list = in_list or is_item
        lines.append(line)
    return "\n".join(lines)


def code(text: str, language: str = "text") -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```"

"""Small pieces of Markdown."""

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
        else quoted(one)
        for one in paragraphs
    )


def code(text: str, language: str = "text") -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```"

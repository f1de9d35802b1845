"""Exit codes: what each says, and what `git bisect run` shall make of it."""

from collections.abc import Sequence
from typing import Final

FINE: Final = 0
PROBLEMS: Final = 1
FAULTY_INPUT: Final = 2
"""Usage or input."""
NOT_JUDGED: Final = 3
INTERRUPTED: Final = 130
OUTPUT_CLOSED: Final = 141
"""Whoever read the output went away: what a shell calls a program that SIGPIPE ended."""

BISECT_SKIPS: Final = 125
BISECT_ABORTS: Final = 129
"""The least of the codes that end a bisection; 1 to 124, 126 and 127 would be a bad commit."""


def exit_code(code: int, arguments: Sequence[str]) -> int:
    """The code to exit with after a command line's arguments.

    With --bisect only what was judged speaks of the commit: what could not be judged skips it, and
    whatever else ends the bisection.

    >>> [exit_code(code, ["conform", "--bisect"]) for code in (0, 1, 2, 3, 130)]
    [0, 1, 129, 125, 130]
    >>> [exit_code(code, ["conform"]) for code in (0, 1, 2, 3, 130)]
    [0, 1, 2, 3, 130]
    """
    # Not by the parsed option: where parsing fails there is none, and that must not be a verdict.
    if "--bisect" not in arguments or arguments[0] in ("kernel", "vectors"):
        return code
    if code in (FINE, PROBLEMS) or code > BISECT_ABORTS:
        return code
    return BISECT_SKIPS if code == NOT_JUDGED else BISECT_ABORTS

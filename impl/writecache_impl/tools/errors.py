"""What ends a tool, in a line and with an exit code."""

from typing import Final

FAULTY_INPUT: Final = 2
NOT_JUDGED: Final = 3


class ToolError(Exception):
    """Why a tool cannot do what it was asked; `code` is what the program exits with."""

    code = FAULTY_INPUT


class InUseError(ToolError):
    """Somebody else has the device or the file."""


class TruncatedError(ToolError):
    """An image ends before what it must hold."""


class UnreadableError(ToolError):
    """Bytes that cannot be had: the device says so, or the map of a rescue does."""

    code = NOT_JUDGED

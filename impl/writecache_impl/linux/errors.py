"""What can go wrong with a real kernel: it cannot be had, it dies or hangs, the harness fails."""


class KernelUnavailable(Exception):  # noqa: N818 - a state of the world, not a mistake
    """No kernel to be had; the message is one line that says why."""


class KernelUnknown(KernelUnavailable):
    """It is nobody's name: neither a suite's, nor a fetched kernel's, nor a file's."""


class KernelDied(Exception):  # noqa: N818 - a result
    """The kernel ended by itself; `console` is the end of what it said."""

    def __init__(self, kind: str, console: str) -> None:
        super().__init__(f"{kind}: {last_words(console)}")
        self.kind = kind
        self.console = console


class KernelHung(Exception):  # noqa: N818 - a result
    """No answer within the bound; `console` is the end of what the kernel said."""

    def __init__(self, seconds: float, console: str) -> None:
        super().__init__(f"no answer within {seconds:g} s")
        self.console = console


class HarnessError(Exception):
    """The guest's program failed, not the kernel; the message holds its traceback."""


UNUSABLE = (KernelUnavailable, KernelDied, KernelHung, HarnessError)
"""All of them: there is no kernel to go on with."""


def one_line(error: BaseException) -> str:
    """Return the line of an error that says most.

    >>> one_line(HarnessError("the guest's program failed:\\nTraceback ...\\nOSError: full\\n"))
    'OSError: full'
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__


def last_words(console: str) -> str:
    """Return the line of a console log that says best why it ended.

    >>> last_words("a\\nKernel panic - not syncing: BUG!\\nCPU: 0\\n")
    'Kernel panic - not syncing: BUG!'
    >>> last_words("a\\nb\\n")
    'b'
    """
    lines = [line.strip() for line in console.splitlines() if line.strip()]
    panics = [line for line in lines if "Kernel panic" in line]
    return (panics or lines[-1:] or ["nothing on the console"])[0]

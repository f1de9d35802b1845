"""All commands, and what their errors become: one line and an exit code."""

import os
import sys
import traceback
from collections.abc import Sequence
from concurrent.futures import BrokenExecutor
from contextlib import nullcontext, suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any, Final, NoReturn, TextIO

import click
from click.exceptions import Exit, NoArgsIsHelpError

from writecache_impl.cli.common import escaped
from writecache_impl.cli.exits import (
    FAULTY_INPUT,
    FINE,
    INTERRUPTED,
    NOT_JUDGED,
    OUTPUT_CLOSED,
    exit_code,
)
from writecache_impl.cli.lazily import Commands
from writecache_impl.cli.signals import Ended, raised

_CLI: Final = "writecache_impl.cli"
_COMPLETION: Final = "_WRITECACHE_COMPLETE"
TOOLS: Final = {
    "check": f"{_CLI}.check:check_command",
    "dump": f"{_CLI}.dumping:dump_command",
    "explain": f"{_CLI}.telling:explain_command",
    "repair": f"{_CLI}.repairing:repair_command",
    "restore": f"{_CLI}.dumping:restore_command",
    "serve": f"{_CLI}.serve:serve_command",
    "size": f"{_CLI}.telling:size_command",
    "undo": f"{_CLI}.writing:undo_command",
    "view": f"{_CLI}.viewing:view_command",
    "writeback": f"{_CLI}.writing:writeback_command",
}
"""What needs nothing of the reference but a cache."""
JUDGES: Final = {
    name: f"{_CLI}.{name}:{name}"
    for name in ("conform", "crash", "explore", "findings", "fuzz", "kernel", "prove", "vectors")
}


@click.group(
    cls=Commands,
    places={**TOOLS, **JUDGES},
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="writecache-reference", message="%(version)s")
def writecache() -> None:
    """The checked reference of Linux's dm-writecache, and what judges by it.

    Exit codes: 0 fine, 1 problems found, 2 usage or input, 3 could not be judged, 130 interrupted,
    141 the output was closed; 128 and the number of another signal that ended a tool.

    \b
    Examples:
      writecache conform
      writecache check ssd.img --origin disk.img
      writecache findings fua-not-committed
      writecache COMMAND --help
    """


def run(arguments: Sequence[str]) -> int:
    """Run the command line as a program; the exit code."""
    _prepare_streams()
    # A server has its own way with signals.
    is_server = arguments[:1] == ["serve"]
    try:
        with nullcontext() if is_server else raised():
            code = _run(list(arguments))
    except Ended as ending:
        code = _complain(ending, ending.code)
    _end_streams(broken=code == OUTPUT_CLOSED)
    return exit_code(code, arguments)


def _run(arguments: list[str]) -> int:
    """Run a command; what it raises becomes a line on standard error."""
    try:
        if os.environ.get(_COMPLETION):  # a shell asks what may follow
            _complete(arguments)
        with writecache.make_context("writecache", arguments) as context:
            code = writecache.invoke(context)
            sys.stdout.flush()
        return code if isinstance(code, int) else FINE
    except Exit as ending:
        return ending.exit_code
    except NoArgsIsHelpError as error:
        return _complain(error.format_message(), FAULTY_INPUT, as_it_is=True)
    except click.ClickException as error:
        return _complain(_usage(error), FAULTY_INPUT)
    except (click.Abort, KeyboardInterrupt):
        return _complain("interrupted", INTERRUPTED)
    except Exception as error:
        return _failed(error)


def _complete(arguments: list[str]) -> NoReturn:
    """Say what may follow, or how to be asked for it."""
    try:
        writecache.main(arguments, "writecache", _COMPLETION)
    except KeyError as error:
        raise click.UsageError(f"{error.args[0]} is not set, which a shell does") from error
    except SystemExit as ending:
        sys.stdout.flush()
        raise Exit(ending.code if isinstance(ending.code, int) else FAULTY_INPUT) from None
    raise Exit(FINE)


def _failed(failure: Exception) -> int:
    """What a command could not go on with, in a line; the exit code."""
    # Whoever raises one of these has imported it.
    from writecache_impl.linux import UNUSABLE, KernelUnavailable, KernelUnknown, one_line
    from writecache_impl.tools.errors import ToolError
    from writecache_models.conformance.target import MalformedNameError, UnavailableError
    from writecache_models.vectors import VectorError

    try:
        raise failure
    except (VectorError, ToolError, KernelUnknown, MalformedNameError) as error:
        return _complain(error, getattr(error, "code", FAULTY_INPUT))
    except (KernelUnavailable, UnavailableError) as error:
        return _complain(error, NOT_JUDGED)
    except UNUSABLE as error:
        return _complain(f"the kernel could not be used: {one_line(error)}", NOT_JUDGED)
    except BrokenExecutor:
        return _complain("a judging process was ended from outside", NOT_JUDGED)
    except BrokenPipeError:
        return OUTPUT_CLOSED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _complain(f"{where}{error.strerror or error}", FAULTY_INPUT)
    except Exception:
        # A mistake of this program: no verdict, and to be reported with all that is known.
        with suppress(OSError):
            traceback.print_exc()
        return NOT_JUDGED


def _usage(error: click.ClickException) -> str:
    """A usage error in a line, with the command whose help says more."""
    message = error.format_message().rstrip(".")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "writecache"
    return f"{message} (see {path} --help)"


def _complain(message: object, code: int, as_it_is: bool = False) -> int:
    """Say on standard error why there is no more, in one line."""
    text = str(message)
    if not as_it_is:
        text = f"writecache: {escaped(' '.join(text.split()))}"
    with suppress(OSError):
        print(text, file=sys.stderr)
    return code


def _prepare_streams() -> None:
    """See to it that there are streams, and that any text can be printed to them."""
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if stream is None:  # it was closed before we began
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for the whole run
        elif name == "stdout" and stream is sys.__stdout__ and isinstance(stream, TextIOWrapper):
            sys.stdout = _naming(stream)
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


class _NamingFile(FileIO):
    """The standard output, whose errors say that they are its."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = "standard output"
            raise


def _naming(stream: TextIOWrapper) -> TextIOWrapper:
    """A stream like the standard output."""
    stream.flush()
    file = _NamingFile(stream.fileno(), "w", closefd=False)
    return TextIOWrapper(
        # Without a buffer where the interpreter was asked for none.
        file if stream.write_through else BufferedWriter(file),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _end_streams(broken: bool) -> None:
    """Lead what is left in the buffers to nowhere: the interpreter would complain at its end."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if not broken:
                stream.flush()
                continue
        except OSError:
            pass
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)

"""All commands, and what their errors become: one line and an exit code.

Exit codes: 0 fine, 1 problems found, 2 usage or input, 3 could not be judged.
"""

import os
import sys

import click

from writecache_impl.cli.common import FAULTY_INPUT, NOT_JUDGED
from writecache_impl.cli.conform import conform
from writecache_impl.cli.kernel import kernel
from writecache_impl.cli.vectors import vectors
from writecache_impl.linux import HarnessError, KernelDied, KernelHung, KernelUnavailable
from writecache_models.vectors import VectorError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="writecache-reference", message="%(version)s")
def writecache() -> None:
    """The checked reference of Linux's dm-writecache, and what judges by it."""


for command in (conform, vectors, kernel):
    writecache.add_command(command)


def run() -> None:
    """Run the command line as a program."""
    try:
        code = writecache.main(standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        sys.exit(FAULTY_INPUT)
    except VectorError as error:
        _complain(error, FAULTY_INPUT)
    except KernelUnavailable as error:
        _complain(error, NOT_JUDGED)
    except (KernelDied, KernelHung, HarnessError) as error:
        _complain(f"the kernel could not be used: {str(error).splitlines()[-1]}", NOT_JUDGED)
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted", 130)
    except BrokenPipeError:
        # Whoever read the output has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAULTY_INPUT)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _complain(f"{where}{error.strerror or error}", FAULTY_INPUT)
    else:
        sys.exit(code if isinstance(code, int) else 0)


def _complain(message: object, code: int) -> None:
    print(f"writecache: {message}", file=sys.stderr)
    sys.exit(code)

"""The command line `writecache`."""

import sys

from writecache_impl.cli.exits import FAULTY_INPUT, INTERRUPTED, exit_code


def main() -> None:
    """Run the command line; says what to install where its libraries are missing."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401

        from writecache_impl.cli.app import run
    except ModuleNotFoundError as error:
        print(
            f"writecache: the command line needs {error.name}: "
            "pip install 'writecache-reference[cli]'",
            file=sys.stderr,
        )
        sys.exit(exit_code(FAULTY_INPUT, sys.argv[1:]))
    except KeyboardInterrupt:
        print("writecache: interrupted", file=sys.stderr)
        sys.exit(INTERRUPTED)
    sys.exit(run(sys.argv[1:]))

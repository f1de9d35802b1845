"""The command line `writecache`."""

import sys


def main() -> None:
    """Run the command line; says what to install where its libraries are missing."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401

        from writecache_impl.cli.app import run
    except ModuleNotFoundError as error:
        from writecache_impl.cli.exits import FAULTY_INPUT, exit_code

        print(
            f"writecache: the command line needs {error.name}: "
            "pip install 'writecache-reference[cli]'",
            file=sys.stderr,
        )
        sys.exit(exit_code(FAULTY_INPUT, sys.argv[1:]))
    except KeyboardInterrupt:
        print("writecache: interrupted", file=sys.stderr)
        sys.exit(130)  # `exits.INTERRUPTED`, which may not have come yet
    sys.exit(run(sys.argv[1:]))

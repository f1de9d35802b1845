"""The command line `writecache`."""

import sys


def main() -> None:
    """Run the command line; says what to install where its libraries are missing."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
    except ModuleNotFoundError as error:
        print(
            f"writecache: the command line needs {error.name}: "
            "pip install 'writecache-reference[cli]'",
            file=sys.stderr,
        )
        sys.exit(2)
    from writecache_impl.cli.app import run

    run()

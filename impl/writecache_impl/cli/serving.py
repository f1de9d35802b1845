"""Serving to NBD clients: where to listen, and what ends it; and a merged picture, to be read."""

import signal
import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from writecache_impl.cli.common import print_json
from writecache_impl.cli.images import PATH
from writecache_impl.nbd import Export, Server, listen_tcp, listen_unix
from writecache_impl.nbd.sockets import inode_of, parse_address, unlink_own, uri
from writecache_impl.tools.merged import Merged


def _address(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """HOST:PORT."""
    try:
        return None if value is None else parse_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


SOCKET = click.option(
    "--socket", "path", type=PATH, help="The Unix socket to listen at; without --tcp nbd.sock."
)
TCP = click.option(
    "--tcp", callback=_address, metavar="[HOST:]PORT", help="Listen there; without HOST: loopback."
)


def listen(ends: ExitStack, path: Path | None, tcp: tuple[str, int] | None) -> list[socket.socket]:
    """Sockets at both places, or at nbd.sock where none is named; `ends` takes their paths away."""
    listening = []
    if tcp is not None:
        listening.append(ends.enter_context(listen_tcp(*tcp)))
    if path is not None or tcp is None:
        listening.append(listen_at(ends, path or Path("nbd.sock")))
    return listening


def listen_at(ends: ExitStack, path: Path) -> socket.socket:
    """A Unix socket; `ends` takes its path away."""
    unix = ends.enter_context(listen_unix(path))
    ends.callback(unlink_own, unix, inode_of(unix))
    return unix


def stop_on_signals(server: Server) -> None:
    """Let signals end it; a second one changes nothing, for nothing is waited for without need."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.stop()
        for number in (signal.SIGTERM, signal.SIGINT):
            # To the very end, when the interpreter's own way with them is back for a moment.
            signal.signal(number, signal.SIG_IGN)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def serve_merged(
    merged: Merged, path: Path | None, tcp: tuple[str, int] | None, as_json: bool
) -> None:
    """Serve a picture, to be read only, until a signal comes."""
    with ExitStack() as ends:
        listening = listen(ends, path, tcp)
        server = Server(Export.of(merged, read_only=True), listening, polls=True)
        stop_on_signals(server)
        uris = [uri(sock, "") for sock in listening]
        if as_json:
            print_json({"uris": uris, "size": merged.size, "block_size": merged.block_size})
        else:
            print(f"{merged.size:,} bytes, read-only: {' '.join(uris)}")
        sys.stdout.flush()
        server.run()

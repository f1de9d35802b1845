"""`writecache serve`: the engine as a network block device."""

import signal
import sys
from pathlib import Path
from types import FrameType

import click

from writecache_impl.cli.common import print_json
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_impl.cli.images import AS_JSON, PATH, Size
from writecache_impl.engine import Engine, EngineError
from writecache_impl.nbd import Export, Server, listen_tcp, listen_unix
from writecache_impl.nbd.sockets import parse_address, uri


def _address(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """HOST:PORT."""
    try:
        return None if value is None else parse_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error


@click.command("serve")
@click.option("--origin", type=PATH, required=True, help="The slow device, or an image of it.")
@click.option("--cache", type=PATH, required=True, help="The fast one; formatted if it is zeros.")
@click.option("--table", help="The table line, device names as one likes; instead of what follows.")
@click.option("--mode", type=click.Choice(["s", "p"]), default="s", show_default=True)
@click.option("--block-size", type=Size(), default=4096, show_default=True, help="Bytes.")
@click.option(
    "--option", "options", multiple=True, help="Of the table, as 'high_watermark 60'; repeatable."
)
@click.option("--socket", "path", type=PATH, help="The Unix socket to listen at; or nbd.sock.")
@click.option(
    "--tcp", callback=_address, metavar="[HOST:]PORT", help="Listen there; without HOST: loopback."
)
@click.option("--name", default="", help="Of the export; by default empty.")
@click.option(
    "--on-exit",
    type=click.Choice(["keep", "drain"]),
    default="keep",
    show_default=True,
    help="Leave a committed cache to go on with, or write everything back first.",
)
@AS_JSON
def serve_command(
    *,
    origin: Path,
    cache: Path,
    table: str | None,
    mode: str,
    block_size: int,
    options: tuple[str, ...],
    path: Path | None,
    tcp: tuple[str, int] | None,
    name: str,
    on_exit: str,
    as_json: bool,
) -> int:
    """Serve the cached device to NBD clients, until SIGTERM or SIGINT.

    Prints where it listens as soon as it does.  Ended by a signal it takes no more requests, ends
    those under way, and commits; killed otherwise, it goes on with what was flushed when it is
    started again.  Exit code 1 if not all could be committed or written back.

    The JSON object's keys: `uris`, and in bytes `size` and `block_size`; `table`.

    Example: writecache serve --origin disk.img --cache ssd.img --socket nbd.sock
    """
    if table is None:
        words = " ".join(options).split()
        table = " ".join([mode, "ORIGIN", "CACHE", str(block_size), str(len(words)), *words])
    engine = Engine.open(table, cache, origin)
    listening = []
    try:
        if tcp is not None:
            listening.append(listen_tcp(*tcp))
        if path is not None or tcp is None:
            listening.append(listen_unix(path or Path("nbd.sock")))
        export = Export.of(engine, name)
        server = Server(export, listening)
        _stop_on_signals(server)
        uris = [uri(sock, name) for sock in listening]
        if as_json:
            sizes = {"size": export.size, "block_size": export.block_size}
            print_json({"uris": uris, **sizes, "table": engine.table()})
        else:
            print(f"{export.size:,} bytes in blocks of {export.block_size}: {' '.join(uris)}")
        sys.stdout.flush()
        server.run()
    except BaseException:
        for sock in listening:
            sock.close()
        engine.abandon()
        raise
    try:
        engine.close(writeback=on_exit == "drain")
    except EngineError as error:
        click.echo(f"writecache: at the end: {error.message}", err=True)
        return PROBLEMS
    return FINE


def _stop_on_signals(server: Server) -> None:
    """Let signals end it; a second one changes nothing, for nothing is waited for without need."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)

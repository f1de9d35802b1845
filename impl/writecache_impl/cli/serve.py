"""`writecache serve`: the engine as a network block device."""

import sys
from contextlib import ExitStack
from os import SEEK_END
from pathlib import Path
from typing import Any

import click

from writecache_impl.cli.common import escaped, print_json
from writecache_impl.cli.exits import FINE, PROBLEMS
from writecache_impl.cli.images import AS_JSON, PATH, Size
from writecache_impl.cli.serving import SOCKET, TCP, listen, listen_at, stop_on_signals
from writecache_impl.cli.wrong_words import wrong_word
from writecache_impl.engine import Engine, EngineError
from writecache_impl.engine.bus_errors import end_in_a_line
from writecache_impl.engine.errors import RefusedError
from writecache_impl.nbd import Export, Server
from writecache_impl.nbd.control import Control, ask
from writecache_impl.nbd.negotiation import LONGEST_NAME
from writecache_impl.nbd.sockets import uri


def _name(context: click.Context, parameter: click.Parameter, name: str) -> str:
    """What can be sent to clients, and asked for by them."""
    if not name.isprintable() or len(name.encode(errors="surrogateescape")) > LONGEST_NAME:
        words = f"no name of up to {LONGEST_NAME} bytes that can be printed"
        raise click.BadParameter(words, context, parameter)
    return name


@click.command("serve")
@click.option("--origin", type=PATH, help="The slow device, or an image of it.")
@click.option("--cache", type=PATH, help="The fast one; formatted if it is zeros.")
@click.option("--table", help="The table line, device names as one likes; instead of what follows.")
@click.option(
    "--mode",
    type=click.Choice(["s", "p"]),
    default="s",
    show_default=True,
    help="The cache is an SSD, or persistent memory.",
)
@click.option("--block-size", type=Size(), default=4096, show_default=True, help="Bytes.")
@click.option(
    "--option", "options", multiple=True, help="Of the table, as 'high_watermark 60'; repeatable."
)
@SOCKET
@TCP
@click.option("--name", callback=_name, default="", help="Of the export; by default empty.")
@click.option(
    "--poll/--no-poll",
    default=True,
    show_default=True,
    help="Poll a busy client for up to 0.1 ms before waiting for it.",
)
@click.option(
    "--on-exit",
    type=click.Choice(["keep", "drain"]),
    default="keep",
    show_default=True,
    help="Leave a committed cache to go on with, or write everything back first.",
)
@click.option("--control", type=PATH, help="A Unix socket to listen at for what follows.")
@click.option("--status", type=PATH, metavar="CONTROL", help="Ask a server for its status line.")
@click.option(
    "--message",
    type=(PATH, str),
    metavar="CONTROL MESSAGE",
    help="Send a server a message (flush, cleaner, ...), and wait for its end.",
)
@AS_JSON
def serve_command(
    *,
    origin: Path | None,
    cache: Path | None,
    status: Path | None,
    message: tuple[Path, str] | None,
    as_json: bool,
    **serving: Any,
) -> int:
    """Serve the cached device to NBD clients, until SIGTERM or SIGINT.

    Prints where it listens as soon as it does.  Ended by a signal it takes no more requests, ends
    those under way, and commits; killed otherwise, it goes on with what was flushed when it is
    started again.  Exit code 1 if not all could be committed or written back.

    The JSON object's keys: `uris`, and in bytes `size` and `block_size`; `table`.

    With --control a second socket takes questions: --status and --message ask a running server.
    The JSON object's keys then: `status` and `table`, or `done`, an empty text.

    Example: writecache serve --origin disk.img --cache ssd.img --socket nbd.sock
    """
    if message is not None:
        return _tell(ask(message[0], "message", *message[1].split()), "done", as_json)
    if status is not None:
        return _tell(ask(status, "status"), "status", as_json)
    if origin is None or cache is None:
        raise click.UsageError("--origin and --cache are needed", click.get_current_context())
    return _serve(origin, cache, as_json=as_json, **serving)


def _tell(answer: dict[str, str], key: str, as_json: bool) -> int:
    """Print what a server has answered."""
    if "error" in answer:
        click.echo(f"writecache: {escaped(answer['error'])}", err=True)
        return PROBLEMS
    if as_json:
        print_json(answer)
    elif answer[key]:
        print(answer[key])
    return FINE


def _serve(
    origin: Path,
    cache: Path,
    *,
    table: str | None,
    mode: str,
    block_size: int,
    options: tuple[str, ...],
    control: Path | None,
    path: Path | None,
    tcp: tuple[str, int] | None,
    name: str,
    poll: bool,
    on_exit: str,
    as_json: bool,
) -> int:
    """Open the engine, serve it until a signal comes, and close it."""
    if table is None:
        words = " ".join(options).split()
        table = " ".join([mode, "ORIGIN", "CACHE", str(block_size), str(len(words)), *words])
    end_in_a_line(
        f"writecache: {cache}: it was cut, or cannot be read, while it was mapped: the server has "
        "ended as by a crash, and what had been flushed is there",
        PROBLEMS,
    )
    # Listening comes first: where that fails, nothing on the devices has changed.
    with ExitStack() as ends:
        listening = listen(ends, path, tcp)
        questions = None if control is None else listen_at(ends, control)
        engine = _opened(table, cache, origin)
        try:
            if questions is not None:
                ends.callback(Control(engine, questions).stop)
            server = Server(Export.of(engine, name), listening, polls=poll)
            stop_on_signals(server)
            _announce(engine, [uri(sock, name) for sock in listening], as_json)
            server.run()
        except BaseException:
            engine.abandon()
            raise
    try:
        engine.close(writeback=on_exit == "drain")
    except EngineError as error:
        click.echo(f"writecache: at the end: {error.message}", err=True)
        return PROBLEMS
    return FINE


def _opened(table: str, cache: Path, origin: Path) -> Engine:
    """The engine; what it says of a bad table names the word that is wrong."""
    try:
        return Engine.open(table, cache, origin)
    except RefusedError as error:
        with cache.open("rb") as file:
            wrong = wrong_word(table, file.seek(0, SEEK_END))
        if wrong is None:
            raise
        raise RefusedError(error.errno, f"{error.message}: {wrong}") from None


def _announce(engine: Engine, uris: list[str], as_json: bool) -> None:
    """Say that clients can come, and where."""
    size, block_size = engine.size, engine.block_size
    if as_json:
        sizes = {"size": size, "block_size": block_size}
        print_json({"uris": uris, **sizes, "table": engine.table()})
    else:
        print(f"{size:,} bytes in blocks of {block_size}: {' '.join(uris)}")
    sys.stdout.flush()

"""The control socket: the status of a running server, and messages to it.

A line is a question, `status` or `message WORD...`; a line of JSON is the answer, and the
connection ends.  An object with `error`, or with `status` and `table`, or with `done`, which comes
when what the message asked for has been done.
"""

import json
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from writecache_impl.engine import Engine, EngineError
from writecache_impl.nbd.sockets import inode_of, unlink_own
from writecache_impl.tools.errors import ToolError

LONGEST_LINE: Final = 1024
_PATIENCE_S: Final = 10.0


class Control:
    """Answers at a path of its own, from threads of its own, until it is stopped."""

    def __init__(self, engine: Engine, listening: socket.socket) -> None:
        """`listening` is a Unix socket, which becomes this one's."""
        self._engine = engine
        self._socket = listening
        self._inode = inode_of(listening)
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Take no more questions; what is asked already is answered while the engine lives."""
        unlink_own(self._socket, self._inode)
        # This is what wakes who waits in `accept`.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(_PATIENCE_S)
            with client.makefile("rb") as lines:
                line = lines.readline(LONGEST_LINE)
            answer = self._answer(line.decode("ascii", "replace").split())
            client.sendall(json.dumps(answer).encode() + b"\n")

    def _answer(self, words: list[str]) -> dict[str, str]:
        try:
            match words:
                case ["status"]:
                    return {"status": self._engine.status(), "table": self._engine.table()}
                case ["message", *rest]:
                    self._engine.message(*rest)
                    return {"done": ""}
                case _:
                    return {"error": "no such question"}
        except EngineError as error:
            return {"error": error.message}


def ask(path: Path, *words: str) -> dict[str, str]:
    """Ask a server; its answer.

    Raises OSError where none listens, or it ends meanwhile, and ToolError for what is no answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        try:
            sock.connect(os.fspath(path))
        except OSError as error:
            raise OSError(error.errno, error.strerror or str(error), os.fspath(path)) from error
        sock.sendall(" ".join(words).encode() + b"\n")
        with sock.makefile("rb") as lines:
            line = lines.readline()
    if not line:
        raise ConnectionResetError("the server has ended")
    with suppress(ValueError):
        answer: Any = json.loads(line)
        if isinstance(answer, dict):
            return answer
    raise ToolError(f"{path}: what listens there is no control socket")

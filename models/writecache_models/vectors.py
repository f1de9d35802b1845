"""Vectors: what an implementation of writecache does, step by step, as JSON Lines.

A file holds traces one after the other: a header line, then its step lines; `.xz` files are
compressed.  Readers ignore keys they do not know.  Every error names the file, and the line where
there is one.
"""

import io
import lzma
import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final

from writecache_models.trace import (
    BEGIN,
    FORMAT,
    NO_LOGS,
    OPERATIONS,
    Observation,
    Op,
    Trace,
    VectorError,
    op_problem,
    pack_image,
    unpack_image,
)
from writecache_models.vector_lines import parse_header, parse_object, parse_step

__all__ = [
    "FORMAT",
    "OPERATIONS",
    "Observation",
    "Op",
    "Trace",
    "VectorError",
    "check_writable",
    "op_problem",
    "pack_image",
    "read_traces",
    "unpack_image",
    "write_text",
    "write_traces",
    "write_whole",
]

LONGEST_LINE: Final = 2**28
"""In bytes; what is longer is no vector, and shall not fill the memory."""
_CHUNK: Final = 2**16


def read_traces(path: Path) -> Iterator[Trace]:
    """Read a file's traces one after the other; raises VectorError."""
    header: tuple[str, Trace] | None = None
    steps: list[tuple[Op, Observation]] = []
    for where, line in _lines(path):
        record = parse_object(line, where)
        if "trace" in record:
            if header is not None:
                yield _whole(*header, steps)
            header, steps = (where, parse_header(record, where)), []
        elif header is None:
            raise VectorError(f"{where}: a step before any header")
        else:
            steps.append(parse_step(record, where))
    if header is None:
        raise VectorError(f"{path}: no trace in it")
    yield _whole(*header, steps)


def _whole(where: str, header: Trace, steps: list[tuple[Op, Observation]]) -> Trace:
    if not steps:
        raise VectorError(f"{where}: a trace without steps")
    if not header.extra.get("origin_delay") and any(op[0] == BEGIN for op, _ in steps):
        raise VectorError(f"{where}: begin needs an origin_delay: without, what has run is chance")
    if header.extra.get("logs", NO_LOGS) != NO_LOGS and any(op[0] == "fail" for op, _ in steps):
        raise VectorError(f"{where}: fail has no place in a trace with logs")
    return replace(header, steps=tuple(steps))


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Where each line is that is not blank, and the line."""
    number = 0
    try:
        with _opened(path) as stream:
            while line := stream.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise VectorError(f"{path}:{number}: longer than {LONGEST_LINE} bytes")
                if not line.isspace():
                    yield f"{path}:{number}", line.decode()
    except OSError as error:
        raise VectorError(f"{path}: {error.strerror or error}") from error
    except (lzma.LZMAError, EOFError) as error:
        raise VectorError(f"{path}: damaged xz file: {error}") from error
    except UnicodeDecodeError as error:
        raise VectorError(f"{path}:{number}: not UTF-8: {error.reason}") from error


def _opened(path: Path) -> BinaryIO:
    raw = path.open("rb")
    return io.BufferedReader(_Unpacked(raw), _CHUNK) if path.suffix == ".xz" else raw


class _Unpacked(io.RawIOBase):
    """What is in an xz file.

    Unlike `lzma.open`, which ends without a word before junk that follows a stream, it raises
    LZMAError for anything but further streams and their padding.
    """

    def __init__(self, packed: BinaryIO) -> None:
        self._packed = packed
        self._rest = b""
        self._unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ)

    def readable(self) -> bool:
        return True

    def close(self) -> None:
        self._packed.close()
        super().close()

    def readinto(self, buffer: Any) -> int:
        room = memoryview(buffer).cast("B")
        while True:
            if self._unpacker.eof and not self._next_stream():
                return 0
            packed = b""
            if self._unpacker.needs_input:
                packed, self._rest = self._rest or self._packed.read(_CHUNK), b""
                if not packed:
                    raise EOFError("it ends within a stream")
            data = self._unpacker.decompress(packed, len(room))
            if data:
                room[: len(data)] = data
                return len(data)

    def _next_stream(self) -> bool:
        rest = self._unpacker.unused_data
        # Padding is zeros, four at a time.
        padding = 0
        while rest := rest or self._packed.read(_CHUNK):
            stripped = rest.lstrip(b"\0")
            padding += len(rest) - len(stripped)
            rest = stripped
            if rest:
                break
        if padding % 4 or (rest and not rest.startswith(b"\xfd7zXZ\0"[: len(rest)])):
            raise lzma.LZMAError("something follows that is no xz stream")
        if rest:
            self._rest, self._unpacker = rest, lzma.LZMADecompressor(lzma.FORMAT_XZ)
        return bool(rest)


def write_traces(path: Path, traces: Iterable[Trace]) -> None:
    """Write traces to a file, whole or not at all; raises VectorError."""
    write_text(path, "".join(line + "\n" for trace in traces for line in trace.lines()))


def write_text(path: Path, text: str) -> None:
    """The same with any text."""
    content = text.encode()
    if path.suffix == ".xz":
        content = lzma.compress(content, preset=9)
    write_whole(path, content)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; raises VectorError.

    A device or a pipe, which cannot be replaced, is written to.
    """
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as stream:
                stream.write(content)
        else:
            _replace(Path(os.path.realpath(path)), content)
    except OSError as error:
        raise VectorError(f"{path}: {error.strerror or error}") from error


def _replace(path: Path, content: bytes) -> None:
    """Write beside the file, then take its place."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with ExitStack() as undo:
        undo.callback(Path(temporary).unlink, missing_ok=True)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)
        Path(temporary).replace(path)
        undo.pop_all()


def check_writable(path: Path) -> None:
    """Raise VectorError unless a file could be written there, as far as one can tell before."""
    try:
        if path.is_dir():
            raise VectorError(f"{path}: Is a directory")
        if path.exists() and not path.is_file():
            if not os.access(path, os.W_OK):
                raise VectorError(f"{path}: Permission denied")
        else:
            folder = os.path.dirname(os.path.realpath(path))
            with tempfile.TemporaryFile(dir=folder, prefix=f".{path.name}."):
                pass
    except OSError as error:
        raise VectorError(f"{path}: {error.strerror or error}") from error

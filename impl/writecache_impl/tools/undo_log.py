"""The undo log: what was there before a change, durable before the change begins.

A line that says what it is, a line of JSON about the devices, then records: a header, and the bytes
that were there unless they were zeros.  Records are taken back from the last to the first, so that
of two about one place the older counts: a change that goes on after an interruption appends.

Records are made durable a batch at a time, and what a batch is about is written only then.  So the
last batch may be torn, and its change never began; anything else that is not whole is damage, and
a damaged log is not used.
"""

import json
import os
import struct
import zlib
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from writecache_impl.tools.before import is_whole
from writecache_impl.tools.errors import ToolError
from writecache_impl.tools.image import Image
from writecache_impl.tools.output import new_file
from writecache_impl.tools.undo_records import Described, Kind, Place, Places

FIRST_LINE: Final = b"writecache-undo 2\n"
_HEADER: Final = struct.Struct("<4sBBxxIIQQI")
"""Mark, kind, flags, batch, checksum of what was written over it, offset, length, checksum."""
_MARK: Final = b"WCUR"
_LONGEST: Final = 1 << 26
_LONGEST_TAIL: Final = 1 << 28
"""Bytes that one sync makes durable, at most: more than these cannot be torn."""
_TOGETHER: Final = 1000
"""Pieces that are written by one call: the kernel takes 1024."""
_ZEROS: Final = 1
"""Flag: the old bytes were zeros, and are left out."""
_LAST_WRITE: Final = 2
"""Flag: nothing is written over it later."""
_FIRST: Final = 4
"""Flag: begins a batch."""


class _Found(NamedTuple):
    """A record that is whole."""

    place: Place
    batch: int
    flags: int
    end: int


class UndoLog:
    """A log, read to its end, and to be appended to."""

    def __init__(
        self, image: Image, described: Described, places: Places, end: int, batch: int
    ) -> None:
        self.image, self.described, self.places, self.end = image, described, places, end
        self._batch = batch
        self.torn = image.size - end
        """Bytes at the end that are no record."""
        self._n_durable = batch - 1
        self._waiting: list[bytes | memoryview] = []

    @property
    def state(self) -> Kind | None:
        """Whether it is DONE, UNDOING or UNDONE; None: the change is under way."""
        last = self.places[len(self.places) - 1].kind if len(self.places) else Kind.BARRIER
        return last if last >= Kind.DONE else None

    @property
    def is_unused(self) -> bool:
        """Whether no record is durable: no change has begun."""
        return not self._n_durable

    def remove(self) -> None:
        """Remove the file: nothing has to be taken back."""
        with suppress(OSError):
            os.unlink(os.path.realpath(self.image.path))

    def close(self) -> None:
        """Close the file."""
        self.image.close()

    def keep(self, kind: Kind, offset: int, old: bytes, new: bytes, last: bool = True) -> None:
        """Take down what is about to be written over; `sync` makes it durable."""
        self.keep_summed(kind, offset, old, zlib.crc32(new), last)

    def keep_summed(
        self,
        kind: Kind,
        offset: int,
        old: bytes | memoryview,
        new_checksum: int,
        last: bool = True,
    ) -> None:
        """The same, by the checksum of what is to be written.

        The old bytes are not copied: they have to stay as they are until they are written.
        """
        flags = _LAST_WRITE * last
        if not any(old[:64]) and bytes(old) == bytes(len(old)):
            self._append(kind, flags | _ZEROS, offset, len(old), b"", new_checksum)
        else:
            self._append(kind, flags, offset, len(old), old, new_checksum)

    def mark(self, kind: Kind) -> None:
        """Append a record without data, and make it durable."""
        self._append(kind, 0, 0, 0, b"", 0)
        self.places.append(Place(kind, 0, 0, 0, None))
        self.sync()

    def _append(
        self,
        kind: Kind,
        flags: int,
        offset: int,
        length: int,
        data: bytes | memoryview,
        new_checksum: int,
    ) -> None:
        flags |= _FIRST * (not self._waiting)
        fields = _MARK, kind, flags, self._batch, new_checksum, offset, length, 0
        head = _HEADER.pack(*fields)[:-4]
        checksum = zlib.crc32(data, zlib.crc32(head))
        self._waiting += (head + checksum.to_bytes(4, "little"), data)

    def sync(self) -> None:
        """Write what waits, and make it durable."""
        self.write(self.batch())

    def batch(self) -> list[bytes | memoryview]:
        """What waits, to be given to `write`; from now on another batch is taken down."""
        taken, self._waiting = self._waiting, []
        self._batch += bool(taken)
        return taken

    def write(self, taken: list[bytes | memoryview]) -> None:
        """Write a batch, and make it durable.  Batches come here as they were taken."""
        if not taken:
            return
        begin = self.end
        for first in range(0, len(taken), _TOGETHER):
            some = taken[first : first + _TOGETHER]
            size = sum(map(len, some))
            try:
                done = os.pwritev(self.image.fd, some, self.end)
            except OSError as error:
                self.image.name(error)
                raise
            if done < size:
                self.image.write(self.end + done, b"".join(some)[done:])
            self.end += size
        self.image.sync()
        self._n_durable += 1
        # Nobody reads it soon: the next batch finds memory.
        os.posix_fadvise(self.image.fd, begin, self.end - begin, os.POSIX_FADV_DONTNEED)

    def old(self, place: Place) -> bytes:
        """The bytes that were there."""
        if not place.data_at:
            return bytes(place.length)
        return self.image.read(place.data_at, place.length)


def open_log(path: Path) -> UndoLog:
    """Read a log.  Raises ToolError for what is none."""
    image = Image(path, writable=True)
    try:
        begin = image.read(0, min(image.size, 1 << 16))
        first, _, rest = begin.partition(b"\n")
        line, newline, _ = rest.partition(b"\n")
        if first + b"\n" != FIRST_LINE or not newline:
            raise ToolError(f"{path}: no undo log")
        try:
            described = Described.parse(line)
        except ValueError:
            raise ToolError(f"{path}: an undo log with a damaged beginning") from None
        at, batch = len(FIRST_LINE) + len(line) + 1, 0
        places = Places()
        while found := _record_at(image, at):
            places.append(found.place)
            at, batch = found.end, found.batch
        if at < image.size and _is_damaged(image, at, batch):
            raise ToolError(f"{path}: damaged at byte {at}: it cannot be trusted")
    except BaseException:
        image.close()
        raise
    return UndoLog(image, described, places, at, batch + 1)


def _record_at(image: Image, at: int) -> _Found | None:
    """The record that begins there; None where none does, or not a whole one."""
    if at + _HEADER.size > image.size:
        return None
    head = image.read(at, _HEADER.size)
    mark, kind, flags, batch, new_checksum, offset, length, checksum = _HEADER.unpack(head)
    at += _HEADER.size
    stored = 0 if flags & _ZEROS else length
    if mark != _MARK or kind > Kind.UNDONE or length > _LONGEST or at + stored > image.size:
        return None
    data = image.read(at, stored)
    if zlib.crc32(data, zlib.crc32(head[:-4])) != checksum:
        return None
    final = new_checksum if flags & _LAST_WRITE else None
    place = Place(Kind(kind), offset, length, at if stored else 0, final)
    return _Found(place, batch, flags, at + stored)


def _is_damaged(image: Image, at: int, batch: int) -> bool:
    """Whether what is no record at `at` was one, made durable: a later batch is there."""
    if image.size - at > _LONGEST_TAIL:
        return True
    rest = image.read(at, image.size - at)
    place = rest.find(_MARK)
    while place >= 0:
        found = _record_at(image, at + place)
        if found and (found.batch > batch + 1 or (found.batch > batch and found.flags & _FIRST)):
            return True
        place = rest.find(_MARK, place + 1)
    return False


def start_log(path: Path, described: Described, cache: Image, modes: Iterable[int] = ()) -> UndoLog:
    """Begin a log, or go on with one of the same change; `modes` as for `new_file`.

    Raises ToolError where the file is something else, InUseError where it is locked.
    """
    if path.exists() and path.stat().st_size:
        log = open_log(path)
        is_same = log.described.is_same(described) and is_whole(log, cache)
        if log.state in (None, Kind.DONE) and is_same:
            os.ftruncate(log.image.fd, log.end)
            return log
        log.close()
        if log.state is not Kind.UNDONE:
            raise ToolError(f"{path}: {_why_not(is_same)}")
    return new_log(path, described, modes)


def new_log(path: Path, described: Described, modes: Iterable[int] = ()) -> UndoLog:
    """Begin a log, whatever is there under its name; `modes` as for `new_file`."""
    with new_file(path, force=True, modes=modes) as image:
        image.write(0, FIRST_LINE + json.dumps(described._asdict()).encode() + b"\n")
    return open_log(path)


def _why_not(is_same: bool) -> str:
    if not is_same:
        return "the undo log of another change; name another file with --undo-log"
    return "this change is being taken back: let `writecache undo` come to its end"

"""Files that a tool makes: under another name first, durable, then renamed.

Nothing is there under the name that was asked for before all of it is there.  A file that has
something in it is not replaced unless that is asked for, and none that somebody has open and
locked: the lock that inputs are checked by is held on it until the new one has its name.
"""

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from writecache_impl.tools.errors import InUseError, ToolError
from writecache_impl.tools.image import CHUNK, Image, same_file


def check_output(path: Path, force: bool = False) -> None:
    """Raise ToolError for a place where no new file can be put."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        if not path.parent.is_dir():
            raise ToolError(f"{path}: no such directory") from None
        return
    if stat.S_ISBLK(found.st_mode):
        raise ToolError(f"{path}: a device: write to a file, look at it, then copy it there")
    if not stat.S_ISREG(found.st_mode):
        raise ToolError(f"{path}: not a file that could be replaced")
    if found.st_size and not force:
        raise ToolError(f"{path}: there is something in it; --force replaces it")


@contextmanager
def new_file(path: Path, force: bool = False, modes: Iterable[int] = ()) -> Iterator[Image]:
    """A new file, under its name only when the block has ended without an exception.

    `modes`: permission bits of what its content is read from.  What they keep from the group or
    from others, it does too; a file that is replaced hands on its own.  Raises ToolError where no
    new file can be put, InUseError where somebody has the file there locked.
    """
    check_output(path, force)
    asked, path = path, Path(os.path.realpath(path))
    with ExitStack() as stack:
        mode = _held(path, stack)
        if mode is None:
            mode = _narrowed(modes)
        try:
            fd, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        except OSError as error:
            error.filename = str(asked)
            raise
        stack.callback(os.close, fd)
        try:
            with Image(Path(name), writable=True) as image:
                yield image
                os.fchmod(fd, mode)
                image.sync()
                os.rename(name, path)
        except BaseException as error:
            with suppress(OSError):
                os.unlink(name)
            if isinstance(error, OSError) and error.filename in (None, name):
                error.filename = str(asked)  # nobody knows the other name
            raise
    sync_directory(path.parent)


def _held(path: Path, stack: ExitStack) -> int | None:
    """The permission bits of the file there, which is locked from now on; None without one."""
    try:
        held = stack.enter_context(Image(path, writable=True))
    except FileNotFoundError:
        return None
    if not same_file(held, path):  # replaced between opening and locking
        raise InUseError(f"{path}: in use: another program has just replaced it")
    return held.mode


def _narrowed(modes: Iterable[int]) -> int:
    """Permission bits of a new file: the owner's own, and of the others' what all modes have."""
    mask = os.umask(0)
    os.umask(mask)
    mode = 0o666 & ~mask
    for other in modes:
        mode &= other | 0o600
    return mode


def sync_directory(directory: Path) -> None:
    """Make a name durable."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        with suppress(OSError):  # some filesystems cannot
            os.fsync(fd)
    finally:
        os.close(fd)


def copy_sparse(
    source: Image, target: Image, start: int = 0, end: int | None = None, holes: bool = False
) -> None:
    """Copy [start, end) of an image into a new file, leaving holes where there are zeros.

    `holes`: with what the image has where nobody could read.
    """
    for begin, stop in source.data_ranges(start, end):
        for at in range(begin, stop, CHUNK):
            length = min(CHUNK, stop - at)
            if holes:
                buffer = bytearray(length)
                source.read_into(memoryview(buffer), at)
                data = bytes(buffer)
            else:
                data = source.read(at, length)
            write_sparse(target, at, data)


def write_sparse(target: Image, at: int, data: bytes) -> None:
    """Write what is not zero into a file that reads as zeros so far."""
    kept = data.lstrip(b"\0")
    at += len(data) - len(kept)
    target.write(at, kept.rstrip(b"\0"))


def grow(target: Image, size: int) -> None:
    """Give a new file its size."""
    try:
        os.ftruncate(target.fd, size)
    except OSError as error:
        target.name(error)
        raise
    target.size = size

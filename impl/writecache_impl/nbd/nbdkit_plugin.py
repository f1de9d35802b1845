"""The engine under nbdkit: a file for nbdkit's python plugin.

    PYTHONPATH=... nbdkit python nbdkit_plugin.py cache=ssd.img origin=disk.img table='s O C 4096 0'

nbdkit speaks with the clients, and calls the functions here; its filters and TLS can be had so.
Without `table` blocks have 4096 bytes.  When nbdkit ends, the cache is committed, not written back.

Source: nbdkit-python-plugin(3), API version 2.  Offsets and sizes are bytes.
"""

import sys
from typing import Final

from writecache_impl.engine import Engine, EngineError

API_VERSION = 2
_FLAG_FUA: Final = 2
"""NBDKIT_FLAG_FUA."""
_FUA_NATIVE: Final = 2
"""NBDKIT_FUA_NATIVE."""
_LONGEST: Final = 2**25
_settings = {"table": "s ORIGIN CACHE 4096 0"}
_engines: list[Engine] = []


def config(key: str, value: str) -> None:
    """Take a word of nbdkit's command line; raises ValueError for what is not known."""
    if key not in ("cache", "origin", "table"):
        raise ValueError(f"no such setting: {key}")
    _settings[key] = value


def config_complete() -> None:
    """Raise ValueError where something is missing."""
    missing = {"cache", "origin"} - _settings.keys()
    if missing:
        raise ValueError(f"missing: {', '.join(sorted(missing))}")


def after_fork() -> None:
    """Open the engine: its thread would not live through nbdkit's fork."""
    table, cache, origin = (_settings[key] for key in ("table", "cache", "origin"))
    _engines.append(Engine.open(table, cache, origin))


def cleanup() -> None:
    """Commit and close, when the last client has gone."""
    while _engines:
        try:
            _engines.pop().close()
        except EngineError as error:
            print(f"writecache: at the end: {error.message}", file=sys.stderr)


def open(readonly: bool) -> Engine:
    """A client: all of them share the engine."""
    return _engines[0]


def get_size(engine: Engine) -> int:
    """The origin's."""
    return engine.size


def block_size(engine: Engine) -> tuple[int, int, int]:
    """The least, the preferred, and the greatest size of a request."""
    return engine.block_size, max(engine.block_size, 4096), _LONGEST


def can_multi_conn(engine: Engine) -> bool:
    """A flush is one for all clients."""
    return True


def can_fua(engine: Engine) -> int:
    """Writes can be durable by themselves."""
    return _FUA_NATIVE


def pread(engine: Engine, buffer: bytearray, offset: int, flags: int) -> None:
    """Read into a buffer."""
    buffer[:] = engine.read(offset, len(buffer))


def pwrite(engine: Engine, buffer: bytes, offset: int, flags: int) -> None:
    """Write."""
    engine.write(offset, buffer, fua=bool(flags & _FLAG_FUA))


def flush(engine: Engine, flags: int) -> None:
    """Make durable what was written."""
    engine.flush()


def trim(engine: Engine, size: int, offset: int, flags: int) -> None:
    """Forget a range."""
    engine.discard(offset, size)
    if flags & _FLAG_FUA:
        engine.flush()

"""The mmap engine: a writeback cache that one would put data on.

It has the on-disk format and the protocol of dm-writecache, and keeps the contract of a block
device; it shares with the reference how tables and sizes are read, and nothing else.  Begin with
`engine`; `state`, `commit` and `writeback` say how it works.
"""

from writecache_impl.engine.engine import Engine
from writecache_impl.engine.errors import (
    ClosedError,
    EngineError,
    RefusedError,
    RequestError,
    UnusableDeviceError,
)

__all__ = [
    "ClosedError",
    "Engine",
    "EngineError",
    "RefusedError",
    "RequestError",
    "UnusableDeviceError",
]

"""Machines for tests: small devices, quiet timers."""

from writecache_models.content import Content
from writecache_models.devices import Devices
from writecache_models.machine import Machine
from writecache_models.observations import perform
from writecache_models.vectors import Op, Trace
from writecache_spec.profile import PROFILES
from writecache_spec.state import State

QUIET = "autocommit_time 3600000"


def line(options: str = "", block_size: int = 512, profile: str = "1.6.0") -> str:
    words = f"{options} {QUIET}".split()
    if not profile.startswith("1.4") and "pause_writeback" not in words:
        words += ["pause_writeback", "0"]
    return f"s ORIGIN CACHE {block_size} {len(words)} {' '.join(words)}"


def trace(table: str, *ops: Op, cache_sectors: int = 9, origin_sectors: int = 64) -> Trace:
    return Trace(
        name="test",
        kernel=None,
        target=None,
        table=table,
        cache_sectors=cache_sectors,
        origin_sectors=origin_sectors,
        steps=tuple((op, {}) for op in ops),
    )


def closed(
    cache_sectors: int, origin_sectors: int = 64, image: bytes = b"", profile: str = "1.6.0"
) -> Machine:
    """A machine before its first table; `image` are the cache's first bytes."""
    devices = Devices(Content(512 * cache_sectors, image), Content(512 * origin_sectors))
    return Machine(PROFILES[profile], devices)


def machine(
    options: str = "", *, profile: str = "1.6.0", cache_sectors: int = 9, origin_sectors: int = 64
) -> Machine:
    """An open machine of 512-byte blocks: 8 of them on 9 sectors."""
    made = closed(cache_sectors, origin_sectors, profile=profile)
    outcome = made.open(line(options, profile=profile))
    assert outcome.errno is None, outcome
    return made


def live(made: Machine) -> State:
    assert made.wc is not None
    return made.wc


def tags(made: Machine, sector: int, n_sectors: int) -> list[int]:
    """What a read finds, as the tags of the writes that put it there; 0 is nobody's."""
    data = made.read(sector, n_sectors).data
    assert data is not None
    assert len(data) == 512 * n_sectors
    return [int.from_bytes(data[512 * i : 512 * i + 8], "little") for i in range(n_sectors)]


def play(made: Machine, table: str, *ops: Op) -> None:
    for op in ops:
        perform(made, op, table)

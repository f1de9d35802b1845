"""Images exchanged with the reference, both ways: what level 2 is judged by.

The reference here has all repairs and the profile 1.6.0.  Its images are Linux's: what it does is
compared with live kernels byte for byte.
"""

from random import Random
from typing import Final

from writecache_models.conformance.target import Devices
from writecache_models.content import Content
from writecache_models.devices import Devices as Disks
from writecache_models.machine import Machine
from writecache_models.observations import perform
from writecache_models.trace import Op
from writecache_spec.profile import PROFILES
from writecache_spec.units import bytes_of, sectors_of

PROFILE: Final = PROFILES["1.6.0"].repaired()


class UnreadableError(Exception):
    """The reference does not open these devices; the text says why."""


def read_by_reference(devices: Devices, table: str) -> bytes:
    """What a user reads of a cache that Linux activates; raises UnreadableError."""
    machine = _machine(devices)
    outcome = machine.open(table)
    if outcome.errno:
        raise UnreadableError(f"{outcome.errno} {outcome.message or ''}".rstrip())
    status = machine.status() or ""
    if not status.startswith("0 "):
        raise UnreadableError(f"its status is {status}")
    data = machine.read(0, sectors_of(len(devices.origin))).data
    if data is None:
        raise UnreadableError("a read fails")
    return data


def left_by_reference(sizes: tuple[int, int], table: str, ops: list[Op]) -> Devices:
    """What the reference leaves of new devices of these sizes, in sectors, after operations."""
    cache, origin = (bytes(bytes_of(sectors)) for sectors in sizes)
    machine = _machine(Devices(cache, origin))
    for op in ops:
        perform(machine, op, table)
    return Devices(bytes(machine.devices.cache), bytes(machine.devices.origin))


def _machine(devices: Devices) -> Machine:
    contents = (Content(len(one), one) for one in devices)
    return Machine(PROFILE, Disks(*contents))


def begin_used(random: Random, block_sectors: int, n_places: int, first_tag: int) -> list[Op]:
    """Operations after which the cache is in use: some blocks committed, some not, some home."""
    ops: list[Op] = [["open"]]
    for tag in range(first_tag, first_tag + random.choice((1, 4, 12, 30))):
        place = random.randrange(n_places)
        length = min(random.choice((1, 1, 1, 2, 3)), n_places - place)
        ops.append(["write", place * block_sectors, length * block_sectors, tag])
        if random.random() < 0.3:
            ops.append(["flush"])
        elif random.random() < 0.05:
            ops.append(["message", "flush"])
    return ops

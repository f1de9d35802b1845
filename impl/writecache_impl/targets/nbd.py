"""A network block device as a target: level 1, without crashes, for the server is not ours.

It has its size and what it holds; a few windows of it are used.  What they held is put back in the
end, as far as the server lives.
"""

import threading
from contextlib import suppress
from typing import Final

from writecache_impl.nbd import protocol as nbd
from writecache_impl.targets.nbd_client import Address, Connection, Request
from writecache_models.conformance.target import (
    Ability,
    Devices,
    Facts,
    Level,
    LostError,
    RefusedError,
    Target,
    UnavailableError,
)
from writecache_models.devices import pattern
from writecache_models.trace import Op
from writecache_spec.units import SECTOR_SIZE

MOST_CONNECTIONS: Final = 4
READ_ONLY: Final = 1 << 1
"""NBD_FLAG_READ_ONLY."""
_ABILITIES: Final = {
    nbd.SEND_FUA: Ability.FUA,
    nbd.SEND_TRIM: Ability.DISCARD,
    nbd.SEND_WRITE_ZEROES: Ability.ZEROES,
}


def nbd_target(name: str, operation_seconds: float) -> Target:
    """The target of an NBD URI; raises UnavailableError."""
    return NbdTarget(name, operation_seconds)


class NbdTarget(Target):
    """An export, by one connection, or by several if the server says that flushes are for all."""

    def __init__(self, uri: str, operation_seconds: float) -> None:
        """Connect; raises UnavailableError."""
        address = Address.of(uri)
        self._connections = [Connection(address, operation_seconds)]
        try:
            self._take_facts(uri)
            if self._flags & nbd.CAN_MULTI_CONN:
                while len(self._connections) < MOST_CONNECTIONS:
                    self._connections.append(Connection(address, operation_seconds))
        except UnavailableError:
            self._leave()
            raise
        self._turn = 0
        self._first = 0
        self._held: dict[int, bytes] = {}
        """What sectors held that are used, by their number."""

    def _take_facts(self, uri: str) -> None:
        first = self._connections[0]
        self._flags = first.flags
        if first.flags & READ_ONLY:
            raise UnavailableError(f"{uri}: the export is read-only")
        abilities = {ability for flag, ability in _ABILITIES.items() if first.flags & flag}
        self.facts = Facts(uri, Level.CONTRACT, frozenset({*abilities, Ability.TOGETHER}))
        self.block_size = max(SECTOR_SIZE, first.block_size)
        self.fixed_sectors = first.size // self.block_size * self.block_size // SECTOR_SIZE
        if not self.fixed_sectors:
            raise UnavailableError(f"{uri}: {first.size} bytes are less than a block")

    def window(self, first_sector: int) -> None:
        """Use the sectors from there on."""
        self._first = first_sector

    def start(self, devices: Devices) -> None:
        """Remember what the window holds."""
        n_sectors = len(devices.origin) // SECTOR_SIZE
        try:
            data = self.read(0, n_sectors)
        except LostError as error:
            where = f"{n_sectors} sectors from sector {self._first} on"
            raise LostError(f"what it holds cannot be read, {where}: {error}") from None
        for number in range(n_sectors):
            place = slice(number * SECTOR_SIZE, (number + 1) * SECTOR_SIZE)
            self._held.setdefault(self._first + number, data[place])

    def open(self, table: str) -> None:
        """It is open."""

    def read(self, sector: int, n_sectors: int) -> bytes:
        """Read."""
        return self._ask(self._of(["read", sector, n_sectors]))

    def write(self, sector: int, data: bytes, fua: bool = False) -> None:
        """Write."""
        flags = nbd.FLAG_FUA if fua else 0
        offset = (self._first + sector) * SECTOR_SIZE
        self._ask(Request(nbd.CMD_WRITE, offset, len(data), flags, data))

    def flush(self) -> None:
        """Flush, where the server knows that."""
        if self._flags & nbd.SEND_FLUSH:
            self._ask(Request(nbd.CMD_FLUSH))

    def discard(self, sector: int, n_sectors: int) -> None:
        """Trim."""
        self._ask(self._of(["discard", sector, n_sectors]))

    def zeroes(self, sector: int, n_sectors: int) -> None:
        """Write zeros."""
        self._ask(self._of(["zeroes", sector, n_sectors]))

    def together(self, requests: list[Op]) -> list[bytes | RefusedError | None]:
        """Ask for everything at once, dealt to all connections; LostError if one is lost."""
        asked = [(number, self._of(op)) for number, op in enumerate(requests)]
        if not self._flags & nbd.SEND_FLUSH:
            asked = [one for one in asked if one[1].command != nbd.CMD_FLUSH]
        results: dict[int, bytes | RefusedError] = {}
        lost: list[LostError] = []

        def exchange(connection: Connection, hand: list[tuple[int, Request]]) -> None:
            try:
                replies = connection.exchange([request for _, request in hand])
                results.update(zip((number for number, _ in hand), replies, strict=True))
            except LostError as error:
                lost.append(error)

        n_hands = len(self._connections)
        threads = [
            threading.Thread(target=exchange, args=(connection, hand))
            for number, connection in enumerate(self._connections)
            if (hand := asked[number::n_hands])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if lost:
            raise lost[0]
        return [self._result(op, results.get(number)) for number, op in enumerate(requests)]

    def _result(self, op: Op, result: bytes | RefusedError | None) -> bytes | RefusedError | None:
        return result if op[0] == "read" or isinstance(result, RefusedError) else None

    def _of(self, op: Op) -> Request:
        """An operation as a request."""
        name, *arguments = op
        if name == "flush":
            return Request(nbd.CMD_FLUSH)
        sector, n_sectors = arguments[:2]
        offset, length = (self._first + sector) * SECTOR_SIZE, n_sectors * SECTOR_SIZE
        match name:
            case "read":
                return Request(nbd.CMD_READ, offset, length)
            case "discard":
                return Request(nbd.CMD_TRIM, offset, length)
            case "zeroes":
                return Request(nbd.CMD_WRITE_ZEROES, offset, length)
        flags = nbd.FLAG_FUA if name in ("write_fua", "write_dsync") else 0
        return Request(nbd.CMD_WRITE, offset, length, flags, pattern(*arguments))

    def _ask(self, request: Request) -> bytes:
        """Ask on the connection whose turn it is."""
        self._turn = (self._turn + 1) % len(self._connections)
        return self._connections[self._turn].ask(request)

    def close(self) -> None:
        """Put back what was there, and leave."""
        self._first = 0
        with suppress(LostError, RefusedError):
            for sector, data in sorted(self._joined().items()):
                self.write(sector, data)
            self.flush()
        self._leave()

    def _joined(self) -> dict[int, bytes]:
        """What was there, sectors that follow each other together: requests are whole blocks."""
        joined: dict[int, bytes] = {}
        begin = end = -1
        for sector, data in sorted(self._held.items()):
            if sector != end:
                begin, end = sector, sector
                joined[begin] = b""
            joined[begin] += data
            end += 1
        return joined

    def _leave(self) -> None:
        for connection in self._connections:
            connection.close(politely=True)

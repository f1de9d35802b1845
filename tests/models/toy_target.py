"""A target that is no cache: contents in memory, which a crash takes back to the last flush."""

from random import Random

from writecache_models.conformance import Ability, Devices, Facts, Level, Target
from writecache_models.conformance.target import PowerFailedError


class Toy(Target):
    """Right, at level 1.  Each write is an I/O for each sector, a flush is one."""

    facts = Facts(
        "toy", Level.CONTRACT, frozenset({Ability.CRASH, Ability.CRASH_WITHIN, Ability.FUA})
    )
    tears = 512
    """Bytes that are written whole."""

    def start(self, devices: Devices) -> None:
        self.now, self.durable = bytearray(devices.origin), bytearray(devices.origin)
        self.random, self.left, self.is_open = Random(0), 0, False

    def open(self, table: str) -> None:
        self.is_open = True

    def read(self, sector: int, n_sectors: int) -> bytes:
        assert self.is_open
        return bytes(self.now[512 * sector :][: 512 * n_sectors])

    def write(self, sector: int, data: bytes, fua: bool = False) -> None:
        assert self.is_open
        for at in range(0, len(data), self.tears):
            begin = 512 * sector + at
            self.now[begin : begin + self.tears] = data[at : at + self.tears]
            self._count()
        if fua:
            self.flush()

    def flush(self) -> None:
        self._count()
        self.durable = bytearray(self.now)

    def crash(self, seed: int, after: int = 0) -> None:
        self.random, self.left = Random(seed), after
        if not after:
            self._fail()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._fail()
            raise PowerFailedError

    def _fail(self) -> None:
        for at in range(0, len(self.now), self.tears):
            if self.random.random() < 0.5:
                self.now[at : at + self.tears] = self.durable[at : at + self.tears]
        self.durable, self.is_open, self.left = bytearray(self.now), False, 0


class Torn(Toy):
    """Wrong: its medium keeps 16 bytes, not sectors."""

    tears = 16


class Careless(Toy):
    """Wrong: what is written with FUA is not flushed."""

    def write(self, sector: int, data: bytes, fua: bool = False) -> None:
        super().write(sector, data)


class Off(Toy):
    """Wrong: a long read is one sector off."""

    def read(self, sector: int, n_sectors: int) -> bytes:
        data = super().read(sector, n_sectors)
        return data[512:] + data[:512] if n_sectors > 20 else data


class Short(Toy):
    """Wrong: a read leaves the last byte out."""

    def read(self, sector: int, n_sectors: int) -> bytes:
        return super().read(sector, n_sectors)[:-1]


BUGS: tuple[type[Toy], ...] = (Torn, Careless, Off, Short)

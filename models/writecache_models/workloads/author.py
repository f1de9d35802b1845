"""What every workload is written with: places, sizes, and operations one after the other."""

from random import Random
from typing import Final

from writecache_models.images import Geometry
from writecache_models.trace import Op

QUIET: Final = ("autocommit_time", "3600000")
"""Options that keep a timer out of the way."""
LARGEST_REQUEST: Final = 2048
"""Sectors."""


class Author:
    """Writes one trace."""

    def __init__(self, random: Random, geometry: Geometry, has_pause: bool) -> None:
        self.random = random
        self.geometry = geometry
        self.has_pause = has_pause
        self.ops: list[Op] = []
        self.image = b""
        """What the cache device holds at first."""
        self.extra: dict[str, int] = {}
        """Other keys of the trace's header."""
        self._tag = random.randrange(1, 1000) * 1000
        self._hot = [self._place() for _ in range(random.choice((2, 4, 8)))]

    def _place(self) -> int:
        return self.random.randrange(self.geometry.origin_sectors // self.geometry.block_sectors)

    def range(self, longest: int) -> tuple[int, int]:
        """First sector and length of a request of up to `longest` blocks."""
        block_sectors = self.geometry.block_sectors
        n_places = self.geometry.origin_sectors // block_sectors
        near_hot = self.random.random() < 0.7
        place = self.random.choice(self._hot) if near_hot else self._place()
        place = min(n_places - 1, max(0, place + self.random.choice((-2, -1, 0, 0, 0, 1, 2, 3))))
        longest = min(longest, n_places - place, LARGEST_REQUEST // block_sectors)
        count = self.random.choice((1, 1, self.random.randint(1, longest), longest))
        return place * block_sectors, count * block_sectors

    def new_tag(self) -> int:
        """A tag that no write of the trace has had."""
        self._tag += 1
        return self._tag

    def write(self, longest: int = 1) -> None:
        """Append a write, now and then one with RWF_DSYNC."""
        tag = self.new_tag()
        name = "write_dsync" if self.random.random() < 0.04 else "write"
        self.ops.append([name, *self.range(longest), tag])

    def read(self, longest: int = 4) -> None:
        """Append a read."""
        self.ops.append(["read", *self.range(longest)])

    def discard(self, longest: int = 6) -> None:
        """Append a discard."""
        self.ops.append(["discard", *self.range(longest)])

    def do(self, *op: object) -> None:
        """Append any operation."""
        self.ops.append(list(op))

    def table(self, *options: str, quiet: bool = True, count: int | None = None) -> str:
        """A table line with these options and those that keep timers away."""
        words = [*options]
        if self.geometry.start_sector:
            words = ["start_sector", str(self.geometry.start_sector), *words]
        if quiet:
            words += [*QUIET, *(("pause_writeback", "0") if self.has_pause else ())]
        size = self.geometry.block_size
        return " ".join(["s ORIGIN CACHE", str(size), str(count or len(words)), *words])

    def mixed(self, steps: int, longest: int = 1) -> None:
        """Append reads, writes, flushes and discards."""
        for _ in range(steps):
            kind = self.random.choices(("write", "read", "flush", "discard"), (60, 18, 14, 8), k=1)[
                0
            ]
            match kind:
                case "write":
                    self.write(longest)
                case "read":
                    self.read(max(4, longest))
                case "flush":
                    self.do("flush")
                case _:
                    self.discard()

    def together(self, clients: int, longest: int = 1) -> None:
        """Append what `mixed` would, of as many clients at once."""
        before = len(self.ops)
        self.mixed(clients, longest)
        self.ops[before:] = [["together", *self.ops[before:]]]

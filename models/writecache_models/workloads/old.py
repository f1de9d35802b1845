"""Workloads: random traces, each family aimed at a part of the target.

A workload is decided by its seed alone, never by what an implementation answers.  Operations that
cannot be done (the device is not there, because an open was refused) are left out by whoever plays
it.  Every write has a tag of its own, so that a lost or a stale sector shows.
"""

from collections.abc import Callable
from random import Random
from typing import Final

from writecache_models.images import DAMAGES, Geometry, crafted_cache
from writecache_models.vectors import Op, Trace

QUIET: Final = ("autocommit_time", "3600000")
"""Options that keep a timer out of the way."""
_LARGEST_REQUEST: Final = 2048
"""Sectors."""


class _Author:
    """Writes one trace."""

    def __init__(self, random: Random, geometry: Geometry, has_pause: bool) -> None:
        self.random = random
        self.geometry = geometry
        self.has_pause = has_pause
        self.ops: list[Op] = []
        self.suspended = False
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
        longest = min(longest, n_places - place, _LARGEST_REQUEST // block_sectors)
        count = self.random.choice((1, 1, self.random.randint(1, longest), longest))
        return place * block_sectors, count * block_sectors

    def write(self, longest: int = 1) -> None:
        """Append a write, now and then one with RWF_DSYNC."""
        self._tag += 1
        name = "write_dsync" if self.random.random() < 0.04 else "write"
        self.ops.append([name, *self.range(longest), self._tag])

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


def _geometry(random: Random, tiny: bool = False) -> Geometry:
    block_size = random.choice((512, 1024, 2048, 4096, 4096, 4096))
    n_blocks = random.choice((2, 3, 4, 6, 8)) if tiny else random.choice((8, 16, 31, 63, 100))
    sectors = block_size // 512
    metadata = -(-(64 + 16 * n_blocks) // block_size) * sectors
    cache_sectors = (n_blocks * sectors + metadata + 7) // 8 * 8
    origin_sectors = max(16, random.choice((12, 24, 64)) * sectors)
    return Geometry(block_size, cache_sectors, origin_sectors)


_Story = Callable[[_Author], str]
"""Appends a trace's operations and returns its table."""


def _plain(author: _Author) -> str:
    author.do("open")
    author.mixed(60)
    return author.table()


def _requests(author: _Author) -> str:
    author.do("open")
    author.mixed(60, longest=author.random.choice((3, 8, 40)))
    return author.table()


def _watermarks(author: _Author) -> str:
    high = author.random.choice((0, 20, 50, 80, 99, 100))
    low = author.random.choice((0, high // 2, high))
    author.do("open")
    for _ in range(70):
        author.write(author.random.choice((1, 1, 5)))
        if author.random.random() < 0.2:
            author.do("flush")
        if author.random.random() < 0.15:
            author.read()
    options = ["high_watermark", str(high), "low_watermark", str(low)]
    if author.random.random() < 0.4:
        options += ["writeback_jobs", str(author.random.choice((0, 1, 2, 5)))]
    return author.table(*options)


def _autocommit(author: _Author) -> str:
    author.do("open")
    author.mixed(70, longest=author.random.choice((1, 3)))
    return author.table("autocommit_blocks", str(author.random.choice((0, 1, 2, 3, 7))))


def _messages(author: _Author) -> str:
    author.do("open")
    good = ("flush", "FLUSH", "flush_on_suspend", "clear_stats", "cleaner")
    bad = (("flush", "now"), ("nonsense",), ("cleaner", "1"), ("flush_on_suspend", "x"), ("Clear",))
    for _ in range(12):
        author.mixed(author.random.randint(1, 6), longest=3)
        draw = author.random.random()
        if draw < 0.5:
            author.do("message", author.random.choice(good[:4]))
        elif draw < 0.6:
            author.do("message", "cleaner")
        elif draw < 0.8:
            author.do("message", *author.random.choice(bad))
        elif draw < 0.9:
            author.do("suspend")
            author.do("message", author.random.choice(good))
            author.do("resume")
    return author.table()


def _suspends(author: _Author) -> str:
    author.do("open")
    for _ in range(9):
        author.mixed(author.random.randint(1, 6), longest=4)
        if author.random.random() < 0.3:
            author.do("message", "flush_on_suspend")
        author.do("suspend")
        if author.random.random() < 0.2:
            author.do("suspend")
        author.do("resume")
        if author.random.random() < 0.2:
            author.do("resume")
    options = ["cleaner"] if author.random.random() < 0.2 else []
    return author.table(*options)


def _reloads(author: _Author) -> str:
    author.do("open")
    for _ in range(7):
        author.mixed(author.random.randint(1, 8), longest=4)
        if author.random.random() < 0.25:
            author.do("suspend")
        draw = author.random.random()
        if draw < 0.3:
            author.do("open")
        elif draw < 0.6:
            high = author.random.choice((10, 50, 90))
            author.do("open", author.table("high_watermark", str(high), "low_watermark", "0"))
        elif draw < 0.75:
            author.do("open", author.table("cleaner"))
        else:
            author.do("open", author.random.choice(_malformed(author)))
        author.do("resume")
    return author.table()


def _malformed(author: _Author) -> list[str]:
    """Tables that are wrong, or look it."""
    size = author.geometry.block_size
    head = f"s ORIGIN CACHE {size}"
    quiet = author.table().split(" ", 4)[4]
    count, options = quiet.split(" ", 1)
    numbers = (
        "-1",
        "0x10",
        "007",
        "4294967296",
        "18446744073709551616",
        "99999999999999999999999",
        "1e3",
        "+5",
        "5k",
        "-0",
        "65536",
        "100",
    )
    number = author.random.choice(numbers)
    last = author.geometry.cache_sectors - 1
    names = (
        "high_watermark",
        "low_watermark",
        "writeback_jobs",
        "autocommit_blocks",
        "max_age",
        "autocommit_time",
        "start_sector",
    )
    name = author.random.choice(names)
    if name == "max_age":
        # What is accepted must not fire.
        number = author.random.choice(("-1", "0x10", "86400000", "86400001", "+5", "5k"))
    return [
        "",
        "s",
        "s ORIGIN",
        "s ORIGIN CACHE",
        "x ORIGIN CACHE 4096 0",
        "p ORIGIN CACHE 4096 0",
        "s NOSUCH CACHE 4096 0",
        "s ORIGIN NOSUCH 4096 0",
        head,
        f"{head} x",
        f"{head} 1",
        f"{head} 17 {options}",
        f"{head} 19 {options}",
        f"{head} -1",
        f"{head} 1 cleaner extra",
        f"{head} {int(count) + 2} start_sector {last} {options}",
        f"s ORIGIN CACHE \\{size} {quiet}",
        f"s ORIGIN CACHE \\ {size} {quiet}",
        f"s ORIGIN\\ CACHE {size} {quiet}",
        f"{head} 1 fua",
        f"{head} 1 nofua",
        f"{head} 1 unknown",
        f"{head} 1 high_watermark",
        f"{head} 2 high_watermark 101",
        f"{head} 4 high_watermark 10 low_watermark 20",
        f"{head} 2 max_age 86400001",
        f"{head} 2 autocommit_time 3600001",
        f"{head} 2 start_sector 99999999",
        f"{head} 3 HIGH_WATERMARK 60 CLEANER",
        f"S ORIGIN CACHE 0{size} {count} {options}",
        f"{head} {count} {options} tail of words",
        f"s ORIGIN CACHE 256 {quiet}",
        f"s ORIGIN CACHE 8192 {quiet}",
        f"s ORIGIN CACHE 1000 {quiet}",
        f"s ORIGIN CACHE {number} {quiet}",
        f"{head} {int(count) + 2} {name} {number} {options}",
        f"{head} {int(count) + 2} {name} {number} {options}",
        f"{head} {int(count) + 4} {name} 3 {name} {number} {options}",
        f"{head} {int(count) + 1} cleaner {options}",
        f"{head} {int(count) + 1} metadata_only {options}",
    ]


def _tables(author: _Author) -> str:
    for _ in range(author.random.choice((0, 6))):
        author.do("open", author.random.choice(_malformed(author)))
        author.do("resume")
    author.do("open")
    for _ in range(8):
        author.mixed(3)
        author.do("open", author.random.choice(_malformed(author)))
    return author.table()


def _crafted(author: _Author) -> str:
    author.do("open")
    for _ in range(3):
        author.read(8)
    author.mixed(20, longest=4)
    author.do("message", "flush")
    author.read(8)
    author.do("suspend")
    author.do("resume")
    author.mixed(10, longest=4)
    return author.table(*author.random.choice(((), ("cleaner",), ("high_watermark", "100"))))


def _sweep(author: _Author) -> str:
    """Large requests over the whole origin: what a pass's 64 steps and a full cache do."""
    author.do("open")
    sectors = author.geometry.origin_sectors
    chunk = min(_LARGEST_REQUEST, sectors)
    for _ in range(10):
        author._tag += 1
        draw = author.random.random()
        first = author.random.randrange(0, sectors - chunk + 1, author.geometry.block_sectors)
        if draw < 0.5:
            author.do("write", first, chunk, author._tag)
        elif draw < 0.6:
            author.do("discard", first, chunk)
        elif draw < 0.7:
            author.do("read", first, chunk)
        elif draw < 0.8:
            author.do("message", "flush")
        else:
            author.mixed(4, longest=6)
        author.do("flush")
    return author.table()


def _metadata_only(author: _Author) -> str:
    author.do("open")
    author.mixed(20, longest=4)
    author.do("open", author.table())
    author.mixed(20, longest=4)
    return author.table(*(("metadata_only",) if author.has_pause else ("cleaner",)))


def _sleeps(author: _Author) -> str:
    """Timers, with wide margins around every moment at which one fires."""
    author.do("open")
    for _ in range(4):
        author.write(3)
        if author.random.random() < 0.4:
            author.do("flush")
        author.do("sleep", author.random.choice((150, 1200)))
        author.read()
    options = author.random.choice(
        (
            ("autocommit_time", "600"),
            ("max_age", "600"),
            ("max_age", "600", "autocommit_time", "50"),
        )
    )
    quiet = ["pause_writeback", "0"] if author.has_pause else []
    if "autocommit_time" not in options:
        quiet += QUIET
    return author.table(*options, *quiet, quiet=False)


def _pauses(author: _Author) -> str:
    """Writes past a full cache, which make writeback pause."""
    author.do("open")
    for _ in range(3):
        for _ in range(author.random.randint(4, 12)):
            author.write(4)
        author.do("flush")
        author.do("sleep", author.random.choice((200, 2000)))
        author.read()
        if author.random.random() < 0.4:
            author.do("message", author.random.choice(("flush", "cleaner")))
    return author.table(*QUIET, "pause_writeback", "900", "high_watermark", "60", quiet=False)


FAMILIES: Final[dict[str, tuple[_Story, int]]] = {
    "plain": (_plain, 10),
    "requests": (_requests, 16),
    "watermarks": (_watermarks, 12),
    "autocommit": (_autocommit, 8),
    "messages": (_messages, 8),
    "suspends": (_suspends, 8),
    "reloads": (_reloads, 8),
    "tables": (_tables, 6),
    "crafted": (_crafted, 14),
    "sweep": (_sweep, 3),
    "metadata_only": (_metadata_only, 2),
    "sleeps": (_sleeps, 1),
    "pauses": (_pauses, 0),
}
"""Families of workloads, with how often each is drawn."""


def generate(seed: str, family: str | None = None, target: str = "1.6.0") -> Trace:
    """The trace that a seed stands for, its steps without observations.

    >>> generate("1").table == generate("1").table
    True
    """
    random = Random(seed)
    names = list(FAMILIES)
    # Drawn only where the target has the option, and by name: its sleeps are long.
    family = family or random.choices(names, [FAMILIES[name][1] for name in names], k=1)[0]
    geometry = _geometry(random, tiny=random.random() < 0.3)
    if family == "sweep":
        geometry = random.choice(
            (Geometry(512, 20480, 4096), Geometry(4096, 1304, 2048), Geometry(4096, 2608, 4096))
        )
    elif random.random() < 0.12:
        start = random.choice((1, 8, 24, 64))
        geometry = geometry._replace(
            start_sector=start, cache_sectors=geometry.cache_sectors + -(-start // 8) * 8
        )
    image = b""
    if family == "crafted":
        image = crafted_cache(random, geometry, random.choice(DAMAGES))
    author = _Author(random, geometry, has_pause=target != "1.4.0")
    table = FAMILIES[family][0](author)
    return Trace(
        name=f"{family}-{seed}",
        kernel=None,
        target=target,
        table=table,
        cache_sectors=geometry.cache_sectors,
        origin_sectors=geometry.origin_sectors,
        cache_image=image,
        extra={"family": family, "seed": seed},
        steps=tuple((op, {}) for op in author.ops),
    )

"""Stories: random traces for any target, asking only what it can do.

Small caches over few places, so that they are full most of the time and the same places come again;
requests of many blocks; crashes between operations and within them, also while one is recovered;
and at level 2 caches that the reference has left in use.  A seed decides the story.
"""

from random import Random
from typing import Final

from writecache_models.conformance.exchange import begin_used, left_by_reference
from writecache_models.conformance.target import Ability, Devices, Facts, Level
from writecache_models.trace import TOGETHER, Op, Trace
from writecache_spec.layout import ENTRY_SIZE, SUPERBLOCK_SIZE, round_up
from writecache_spec.units import SECTOR_SIZE, sectors_of

N_OPS: Final = 60
_WEIGHTS: Final = (
    # name, weight, what it needs
    ("write", 44, None),
    ("read", 12, None),
    ("flush", 14, None),
    ("write_fua", 6, Ability.FUA),
    ("discard", 5, Ability.DISCARD),
    ("zeroes", 4, Ability.ZEROES),
    ("message", 3, Ability.MESSAGE),
    ("suspend", 2, Ability.SUSPEND),
    ("reload", 2, Ability.SUSPEND),
    ("snapshot", 3, Ability.SNAPSHOT),
    ("crash", 4, Ability.CRASH),
    ("crash_within", 8, Ability.CRASH_WITHIN),
    (TOGETHER, 10, Ability.TOGETHER),
)
_MOST_SECTORS: Final = 1024
"""Of a device whose size is not ours to choose: a window of it is used."""
N_WINDOWS: Final = 6
"""That are used of such a device: what they held is kept in memory."""


def draw(seed: str, facts: Facts, fixed_sectors: int | None = None, block_size: int = 0) -> Trace:
    """The story that a seed stands for, for a target that says this of itself.

    With `fixed_sectors` the device is there already, and has requests of whole `block_size` bytes.
    """
    return _Story(seed, facts, fixed_sectors, block_size).trace()


class _Story:
    """A story being written."""

    def __init__(self, seed: str, facts: Facts, fixed_sectors: int | None, block_size: int) -> None:
        self.seed, self.facts = seed, facts
        self.random = random = Random(seed)
        block_size = block_size or random.choice((512, 512, 1024, 4096))
        self.block_sectors = sectors = max(1, block_size // SECTOR_SIZE)
        n_blocks = random.choice((2, 3, 4, 7, 15))
        metadata = round_up(SUPERBLOCK_SIZE + ENTRY_SIZE * n_blocks, block_size)
        self.cache_sectors = sectors_of(metadata) + n_blocks * sectors
        self.n_places = n_blocks + random.choice((0, 3, 10))
        if fixed_sectors is not None:
            most = min(fixed_sectors, random.choice((64, 256, _MOST_SECTORS))) // sectors
            self.n_places = max(1, most)
        self.extra: dict[str, int] = {}
        if fixed_sectors is not None:
            last = (fixed_sectors - self.n_places * sectors) // sectors
            windows = (0, last, *(last * number // N_WINDOWS for number in range(1, N_WINDOWS)))
            self.extra = {"first_sector": random.choice(windows) * sectors}
        self.table = f"s ORIGIN CACHE {block_size} 0"
        self.ops: list[Op] = []
        self.tag = 0

    def trace(self) -> Trace:
        """Write it."""
        devices = self._devices_in_use() or Devices(b"", b"")
        whole = ["read", 0, self.n_places * self.block_sectors]
        self.ops += [["open"], whole]
        names = [one for one in _WEIGHTS if one[2] is None or one[2] in self.facts.abilities]
        for name, _, _ in self.random.choices(names, [one[1] for one in names], k=N_OPS):
            self._append(name)
        self.ops += [whole, ["flush"]]
        if self.facts.level >= Level.IMAGES:
            self.ops.append(["snapshot"])
        if Ability.CRASH in self.facts.abilities:
            self._crash(0)
        self.ops.append(whole)
        return Trace(
            name=f"story-{self.seed}",
            kernel=None,
            target=None,
            table=self.table,
            cache_sectors=self.cache_sectors,
            origin_sectors=self.n_places * self.block_sectors,
            cache_image=devices.cache,
            origin_image=devices.origin,
            extra={"seed": self.seed, **self.extra},
            steps=tuple((op, {}) for op in self.ops),
        )

    def _devices_in_use(self) -> Devices | None:
        """What the reference has left, of every other story at level 2."""
        if self.facts.level < Level.IMAGES or self.random.random() < 0.5:
            return None
        ops = begin_used(self.random, self.block_sectors, self.n_places, 10**6)
        sizes = self.cache_sectors, self.n_places * self.block_sectors
        return left_by_reference(sizes, self.table, ops)

    def _append(self, name: str) -> None:
        match name:
            case "flush" | "snapshot":
                self.ops.append([name])
            case "message":
                self.ops.append(["message", "flush"])
            case "suspend":
                self.ops += [["suspend"], ["resume"]]
            case "reload":
                self.ops.append(["open"])
            case "crash":
                self._crash(0)
            case "crash_within":
                self._crash_within()
            case "together":
                kinds = [one for one in ("write", "write", "read", "flush", "write_fua", "zeroes")
                         if one in ("write", "read", "flush")
                         or one.removeprefix("write_") in self.facts.abilities]  # fmt: skip
                requests = [self._request(kind) for kind in self.random.choices(kinds, k=4)]
                self.ops.append([TOGETHER, *requests])
            case _:
                self.ops.append(self._request(name))

    def _request(self, name: str) -> Op:
        if name == "flush":
            return [name]
        place = self.random.randrange(self.n_places)
        length = self.random.choice((1, 1, 1, 2, 5, self.n_places))
        at = [place * self.block_sectors, min(length, self.n_places - place) * self.block_sectors]
        if not name.startswith("write"):
            return [name, *at]
        self.tag += 1
        return [name, *at, self.tag]

    def _crash(self, after: int) -> None:
        """The power fails; what is left is looked at, and opened."""
        self.ops.append(["crash", self.random.getrandbits(31), after])
        if after:
            return
        if self.facts.level >= Level.IMAGES and self.random.random() < 0.5:
            self.ops.append(["snapshot"])
        if Ability.CRASH_WITHIN in self.facts.abilities and self.random.random() < 0.3:
            # While it is recovered, and then for good.
            self.ops += [["crash", self.random.getrandbits(31), self.random.randint(1, 6)],
                         ["open"], ["crash", self.random.getrandbits(31), 0]]  # fmt: skip
        self.ops += [["open"], ["read", 0, self.n_places * self.block_sectors]]

    def _crash_within(self) -> None:
        """The power fails at some I/O of what comes next."""
        self._crash(self.random.choice((1, 2, 3, 4, 6, 9, 15, 25)))
        for name in self.random.choices(("write", "flush", "read"), (6, 3, 1), k=5):
            self.ops.append(self._request(name))
        self.ops.append(["flush"])
        self._crash(0)

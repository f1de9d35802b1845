"""Recovery: what becomes of an image that a crash has left, and whether the contract allows it.

An image is activated and read to its end.  Its recovery, too, can crash, at each of its effects,
and so can the recovery after that.  What it comes to does not depend on how the image came about:
so every image is recovered once, however many crashes leave it.
"""

from collections.abc import Hashable, Iterator
from typing import Any, NamedTuple

from writecache_models.alike import Counts
from writecache_models.contract import ZERO, Contract
from writecache_models.stage import Moment
from writecache_models.symbolic import Disk, Image, Remains, Symbol
from writecache_models.turns import turn
from writecache_models.world import Setting, World, visible

Values = tuple[Symbol, ...]
"""What a whole device reads as."""


class Recovered(NamedTuple):
    """What an image comes to."""

    reads: tuple[Values, ...]
    """As what the device can be read, the first one where no recovery crashes."""
    problems: tuple[str, ...] = ()
    """Where it does not come to a device that can be read, or not to the same one twice."""


class Recoveries:
    """Recoveries of one setting's images, each made once."""

    def __init__(
        self, setting: Setting, depth: int = 2, limit: int = 1_000_000, crashes: int | None = None
    ) -> None:
        self.setting = setting
        self.crashes = crashes
        """How many contents of one crash of a recovery are recovered again; None: all of them."""
        self.depth = depth
        """How often recovery may crash before it comes through."""
        self.limit = limit
        self._known: dict[tuple[Image, int], Recovered] = {}

    @property
    def n_images(self) -> int:
        """Images recovered so far."""
        return len(self._known)

    def of(self, image: Image, depth: int | None = None) -> Recovered:
        """Recover an image."""
        depth = self.depth if depth is None else depth
        known = self._known.get((image, depth))
        if known is None:
            known = self._recover(image, depth)
            if len(self._known) < self.limit:
                self._known[image, depth] = known
        return known

    def _recover(self, image: Image, depth: int) -> Recovered:
        cache, origin = image
        world = World(None, Disk.of(cache), Disk.of(origin), Contract())
        # What it reads as is for who asks to compare: this contract knows nothing of it.
        after = turn(self.setting, world, ("open",), reads=False)
        assert after is not None
        if after.world.wc is None or after.panic:
            return Recovered((), after.violations[:1] or ("activation fails",))
        if after.world.wc.error:
            return Recovered((), ("activation ends with an error",))
        values = tuple(value for _, value in visible(self.setting, after.world))
        reads: dict[Values, None] = {values: None}
        problems: dict[str, None] = {}
        if depth:
            for again in self._images(after.moments[:-1]):
                if again == image:
                    continue
                other = self.of(again, depth - 1)
                reads |= dict.fromkeys(other.reads)
                problems |= dict.fromkeys(other.problems)
            for again in self._images(after.moments[-1:]):
                # Read to its end: the next crash must not change what was read.
                if again != image and self.of(again, depth - 1).reads[:1] != (values,):
                    problems["a second crash changes what was read after the first"] = None
        return Recovered(tuple(reads), tuple(problems))

    def _images(self, moments: tuple[Moment, ...]) -> dict[Image, None]:
        found = (moment.remains.some(self.crashes) for moment in moments)
        return {image: None for images in found for image in images}


class Judge:
    """Lets the power fail at moments, and asks the contract."""

    def __init__(
        self,
        setting: Setting,
        depth: int = 2,
        limit: int | None = None,
        recovery_limit: int | None = None,
    ) -> None:
        self.limit = limit
        """How many contents of one crash are judged; None: all of them."""
        self.recoveries = Recoveries(setting, depth, crashes=recovery_limit)
        self._sectors = range(setting.origin_sectors)
        self.n_states = 0
        """Contents that crashes left, one by one."""
        self.new_pairs: list[int] = []
        """Distinct ones, each with what the contract allows of it: digests, as they come."""
        self.new_named: list[int] = []
        """Those that are distinct up to names."""
        self.met: set[tuple[int, int]] = set()
        """Digests of worlds whose moments were judged, and how much was begun in them, for whoever
        asks."""
        self._moments: dict[object, tuple[str, ...]] = {}
        self._named: set[int] = set()
        self._wrong: dict[int, tuple[str, ...]] = {}
        self._pairs: set[int] = set()
        self._left: set[int] = set()

    def fail_at(self, moment: Moment) -> tuple[str, ...]:
        """What is wrong with what a crash at this moment may leave."""
        remains, contract = moment
        n_images = remains.n_images()
        self.n_states += n_images if self.limit is None else min(n_images, self.limit)
        allowed = tuple(contract.survivors(sector) for sector in self._sectors)
        key = remains, allowed
        known = self._moments.get(key)
        if known is None:
            known = tuple(dict.fromkeys(self._problems(remains, allowed)))
            self._moments[key] = known
        return known

    def left_by(self, moment: Moment) -> Iterator[tuple[int, Image]]:
        """What a crash at this moment may leave that no crash has left yet: number and content.

        What counts, besides the content up to names, is what is allowed and what was ever written.
        """
        remains, contract = moment
        zeros: frozenset[Hashable] = frozenset({ZERO})
        known = tuple(contract.survivors(sector) for sector in self._sectors)
        known += tuple(contract.ever.get(sector, zeros) for sector in self._sectors)
        whole = hash((remains, known))
        if whole in self._left:
            return
        self._left.add(whole)
        for number, image in enumerate(remains.some(self.limit)):
            named = hash(without_names(image, known))
            if named not in self._left:
                self._left.add(named)
                yield number, image

    def _problems(self, remains: Remains, allowed: tuple[frozenset[Hashable], ...]) -> list[str]:
        found: list[str] = []
        for image in remains.some(self.limit):
            pair = hash((image, allowed))
            if pair in self._pairs:
                found += self._wrong.get(pair, ())
                continue
            self._pairs.add(pair)
            self.new_pairs.append(pair)
            named = hash(without_names(image, allowed))
            if named not in self._named:
                self._named.add(named)
                self.new_named.append(named)
            if wrong := self._judge(image, allowed):
                self._wrong[pair] = wrong
                found += wrong
        return found

    def _judge(self, image: Image, allowed: tuple[frozenset[Hashable], ...]) -> tuple[str, ...]:
        """What is wrong with one content."""
        reads, problems = self.recoveries.of(image)
        kept = all(
            value in one for values in reads for value, one in zip(values, allowed, strict=True)
        )
        lost = () if kept else ("after a crash, what is read is not what was promised",)
        return (*problems, *lost)


def without_names(image: Image, allowed: tuple[frozenset[Hashable], ...]) -> Hashable:
    """A pair of image and contract, equal for those that differ in names of values only."""
    names: dict[Any, int] = {0: 0}
    counts = Counts.of(image[0], (), ())

    def symbol(one: Symbol) -> Hashable:
        if isinstance(one, int):
            return names.setdefault(one, len(names))
        superblock, entries = one
        return (
            tuple(
                (block.magic, block.version, counts.commits[block.seq_count])
                for block in superblock
            ),
            tuple(counts.entry(entry) for entry in entries),
        )

    disks = tuple(tuple(symbol(one) for one in disk) for disk in image)
    held = frozenset(one for disk in image for one in disk if isinstance(one, int))
    return disks, tuple(
        tuple(names[value] for value in sorted(values & held, key=names.__getitem__))
        for values in allowed
    )

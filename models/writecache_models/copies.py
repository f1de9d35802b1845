"""Copies under way, and the order in which they end.

The copies that one pass of writeback submits are queued together: the block layer merges them, and
they end pass after pass.
"""

from bisect import insort
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from itertools import accumulate, product
from typing import Final

from writecache_models.faults import Faults
from writecache_spec.effects import Copy, WriteOrigin
from writecache_spec.events import Device

Homing = Copy | WriteOrigin
"""What brings blocks home to the origin; called a copy in both modes."""

MOST_SWEPT: Final = 40
"""Of more copies than this, sweeps are not looked at."""
MOST_BEFORE: Final = 2
"""Copies whose reads came before the sweep."""
MOST_LEFT: Final = 2
"""Writes that were not through."""


def merged(copies: list[Homing], start: Callable[[Homing], int], any_request: bool) -> list[Homing]:
    """Copies in the order in which the block layer ends their reads, or their writes.

    Of those queued together each is merged with the last request, or with any, if it lies directly
    before or behind it; the parts of a merged request end in the order of their sectors.
    """
    requests: list[list[Homing]] = []
    for copy in copies:
        for request in reversed(requests) if any_request else requests[-1:]:
            if start(request[-1]) + request[-1].n_sectors == start(copy):
                request.append(copy)
                break
            if start(copy) + copy.n_sectors == start(request[0]):
                request.insert(0, copy)
                break
        else:
            requests.append([copy])
    return [copy for request in requests for copy in request]


def place_on_cache(copy: Homing) -> int:
    """Where a copy reads; persistent memory is not read by requests: then in no certain place."""
    return copy.cache_sector if isinstance(copy, Copy) else copy.origin_sector


def merged_copies(copies: list[Homing], any_request: bool) -> list[Homing]:
    """Copies in the order in which they end: their writes follow the order of their reads.

    The block layer merges nothing that is written with FUA.
    """
    if any(isinstance(copy, WriteOrigin) and copy.fua for copy in copies):
        return list(copies)
    reads = merged(copies, place_on_cache, any_request)
    return merged(reads, lambda copy: copy.origin_sector, any_request)


def entangled(copies: Sequence[Homing]) -> list[int]:
    """Numbers of the copies whose order with the first one shows, itself the first.

    Entries of a damaged cache can be misaligned: two copies may write the same place, and each of
    them a place that a third one writes.
    """
    order = sorted(range(len(copies)), key=lambda number: copies[number].origin_sector)
    chain: list[int] = []
    end = 0
    for number in order:
        copy = copies[number]
        if copy.origin_sector >= end:
            if 0 in chain:
                break
            chain = []
        chain.append(number)
        end = max(end, copy.origin_sector + copy.n_sectors)
    return sorted(chain)


@lru_cache(maxsize=64)
def sweeps(copies: tuple[Homing, ...]) -> tuple[tuple[int, ...], ...]:
    """Numbers of the copies that may have ended when one fails that was submitted with them.

    The device reads upwards from wherever it is, and begins again at the bottom; the first one or
    two may have come before all others.  What has been read is written, upwards, and of that the
    last writes may not be through.
    """
    n_copies = len(copies)
    if not 1 < n_copies <= MOST_SWEPT:
        return ()
    upwards = sorted(range(n_copies), key=lambda number: place_on_cache(copies[number]))
    found: dict[tuple[int, ...], None] = {}
    for n_before, start in product(range(MOST_BEFORE + 1), range(n_copies)):
        ended: list[int] = []
        place = partial(_place_on_origin, copies)
        for number in (*range(n_before), *(upwards * 2)[start : start + n_copies]):
            if number not in ended:
                insort(ended, number, key=place)
            for n_left in range(min(MOST_LEFT, len(ended) - 1) + 1):
                found[tuple(ended[: len(ended) - n_left])] = None
    return tuple(found)


def _place_on_origin(copies: Sequence[Homing], number: int) -> int:
    return copies[number].origin_sector


class Copies:
    """Copies submitted and not ended."""

    def __init__(self, any_request: bool, origin_sectors: int) -> None:
        self.any_request = any_request
        """Whether the block layer merges with any request queued together (`Environment`)."""
        self.origin_sectors = origin_sectors
        self.faults: Faults = {}
        """Of both devices; they change while none is under way."""
        self._passes: list[list[Homing]] = []
        # Those of each pass of writeback together, submitted and not begun.
        self._ending: tuple[Homing, ...] = ()
        # Left of passes that have begun to end.
        self._order: tuple[Homing, ...] | None = ()
        # All of them as `in_order` has them, as long as that is known.

    def fork(self) -> "Copies":
        """An independent copy."""
        fork = Copies(self.any_request, self.origin_sectors)
        fork._passes = [list(copies) for copies in self._passes]
        fork._ending, fork._order = self._ending, self._order
        fork.faults = self.faults
        return fork

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._ending) + sum(map(len, self._passes))

    @property
    def fresh(self) -> bool:
        """Whether none has ended since a pass submitted some."""
        return any(self._passes)

    def batches(self) -> list[int]:
        """How many have ended when one pass's have, and the next one's, and so on."""
        sizes = [len(copies) for copies in (self._ending, *self._passes) if copies]
        return list(accumulate(sizes))

    def key(self) -> tuple[object, ...]:
        """What decides how it goes on."""
        return (*map(tuple, self._passes), None, *self._ending)

    def begin_pass(self) -> None:
        """What is submitted from now on belongs to a new pass."""
        self._passes.append([])

    def submit(self, copy: Homing) -> None:
        """One more; a pass that was throttled goes on after its first copies have ended."""
        if not self._passes:
            self.begin_pass()
        self._passes[-1].append(copy)
        self._order = None

    def in_order(self) -> tuple[Homing, ...]:
        """Those under way, in the order in which they end canonically: pass after pass."""
        if self._order is None:
            begun = [
                copy for copies in self._passes for copy in merged_copies(copies, self.any_request)
            ]
            # What cannot be done is refused at once, while others are under way.
            begun.sort(key=self.fits)
            self._order = (*self._ending, *begun)
        return self._order

    def fits(self, copy: Homing) -> bool:
        """Whether it writes within the origin, and meets no fault."""
        if copy.origin_sector + copy.n_sectors > self.origin_sectors:
            return False
        return not (self.faults and self._meets_fault(copy))

    def _meets_fault(self, copy: Homing) -> bool:
        n_sectors = copy.n_sectors
        source, home = self.faults.get(Device.CACHE), self.faults.get(Device.ORIGIN)
        if source and isinstance(copy, Copy) and source.hit(copy.cache_sector, n_sectors, False):
            return True
        return home is not None and bool(home.hit(copy.origin_sector, n_sectors, True))

    def end(self, which: int) -> Homing:
        """One of them ends."""
        order = self.in_order()
        self._ending = self._order = (*order[:which], *order[which + 1 :])
        self._passes = []
        return order[which]

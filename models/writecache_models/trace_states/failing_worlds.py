"""Crashes at a moment of a path, and what recovery makes of each."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

from writecache_models.contract import Contract
from writecache_models.recovery import Recoveries
from writecache_models.symbolic import Image
from writecache_models.trace_states.contents import Reader
from writecache_models.trace_states.failing import (
    BROKEN,
    Crash,
    Recovered,
    gather,
    judged,
)
from writecache_models.trace_states.labels import label, rank
from writecache_models.turns import turn
from writecache_models.world import Setting, World, after_crash, remains, visible


class WorldCrashes:
    """Crashes of a path."""

    def __init__(self, setting: Setting, limit: int) -> None:
        self.setting, self.limit = setting, limit
        self.recoveries = Recoveries(setting, depth=1 if setting.pmem_mode else 2, crashes=64)

    def at(self, reader: Reader, world: World) -> Crash:
        """What crashes leave, each recovered."""
        left = remains(world, self.setting.shape)
        places = [(number, ways) for number, ways in enumerate((*left.cache, *left.origin))]
        images = sorted(
            islice(left.some(self.limit), self.limit),
            key=lambda image: rank(
                (ways.index((*image[0], *image[1])[number]), len(ways))
                for number, ways in places
                if len(ways) > 1
            ),
        )
        contract = world.contract.fork()
        contract.crash()
        recovered = (self._recover(reader, world, image, contract) for image in images)
        return gather(left.n_images(), recovered)

    def _recover(self, reader: Reader, world: World, image: Image, contract: Contract) -> Recovered:
        left = remains(world, self.setting.shape)
        named = label(
            [
                (device, place, ways.index(held), len(ways))
                for device, places, kept in zip(("cache", "origin"), left, image, strict=True)
                for place, (ways, held) in enumerate(zip(places, kept, strict=True))
                if len(ways) > 1
            ],
            lambda device, place, count: reader.name(device, place, count)[0],
        )
        again = turn(self.setting, after_crash(world, image), ("open",), reads=False)
        assert again is not None
        wc = again.world.wc
        if wc is None or again.panic:
            said = "; ".join(again.violations) or "activation fails"
            return Recovered(named, said, None, [], BROKEN, (said,))
        values = dict(enumerate(value for _, value in visible(self.setting, again.world)))
        deeper = self.recoveries.of(image)
        problems = list(deeper.problems)
        how, n_sectors = _how(wc.error), len(values)
        first = judged(reader, named, how, wc, values, n_sectors, contract, tuple(problems))
        return self._after_crashes_of_recovery(first, deeper.reads, contract)

    def _after_crashes_of_recovery(
        self, first: Recovered, reads: Sequence[Sequence[Any]], contract: Contract
    ) -> Recovered:
        """Recovery may crash, too, and come to something else."""
        if first.verdict == BROKEN:
            return first
        for values in reads[1:]:
            for sector, value in enumerate(values):
                if value not in contract.survivors(sector):
                    why = f"a crash of recovery, too, leaves sector {sector} as is not allowed"
                    return first._replace(verdict=BROKEN, problems=(*first.problems, why))
        return first


def _how(error: bool) -> str:
    return "it comes up with an error" if error else "it comes up"

"""Crashes at a moment of a trace, and what recovery makes of each.

Of all contents that a crash may leave so many are judged, those first that are known to matter
(nothing kept, everything, all but one sector, one alone).  Of those `SHOWN` are shown, and beside
them the first that break the contract.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from random import Random
from typing import Any, Final, NamedTuple

from writecache_models.actions import HangError, PanicError
from writecache_models.contract import Contract
from writecache_models.crashing import Setting, name_of
from writecache_models.trace_states.contents import Reader, in_words
from writecache_models.trace_states.labels import label, rank
from writecache_models.trace_states.reading import read_rows, read_sparsely, told_of
from writecache_models.trace_states.words import sectors
from writecache_models.volatile import Left, Volatile, crashes
from writecache_spec.profile import Profile
from writecache_spec.state import State

SHOWN: Final = 12
"""Crashes of a moment that are shown in any case."""
BREAKING: Final = 4
"""Further ones that break the contract."""
ALLOWED: Final = "allowed"
BROKEN: Final = "broken"
UNJUDGED: Final = "unjudged"


class Recovered(NamedTuple):
    """What became of one content that a crash left."""

    label: str
    """What was kept, and what was lost."""
    outcome: str
    """Of the activation."""
    wc: State | None
    reads: list[list[Any]]
    """Rows `[sectors, what is read, what was allowed or None, whether that is fine]`."""
    verdict: str
    problems: tuple[str, ...] = ()


class Crash(NamedTuple):
    """A crash at one moment."""

    total: int
    """Contents that it may leave."""
    judged: int
    broken: int
    """How many of those that were judged break the contract."""
    shown: list[Recovered]


def gather(total: int, recovered: Iterable[Recovered]) -> Crash:
    """A crash of those that were judged."""
    shown: list[Recovered] = []
    judged = broken = 0
    for one in recovered:
        judged += 1
        breaks = one.verdict == BROKEN
        broken += breaks
        if judged <= SHOWN or (breaks and len(shown) < SHOWN + BREAKING):
            shown.append(one)
    return Crash(total, judged, broken, shown)


class ByteCrashes:
    """Crashes of a trace of operations."""

    def __init__(self, profile: Profile, sizes: tuple[int, int], limit: int) -> None:
        self.profile, self.sizes, self.limit = profile, sizes, limit

    def at(
        self, reader: Reader, disks: tuple[Volatile, ...], contract: Contract | None, table: str
    ) -> Crash:
        """What crashes leave, each recovered."""
        survived = None if contract is None else contract.fork()
        if survived is not None:
            survived.crash()
        ways = [
            (number, sector, disk.ways(sector))
            for number, disk in enumerate(disks)
            for sector in sorted(disk.pending)
        ]
        ways = [one for one in ways if len(one[2]) > 1]
        total = 1
        for _, _, contents in ways:
            total *= len(contents)
        setting = Setting(self.profile, table, *self.sizes)
        left = sorted(
            crashes(disks, self.limit, Random(1)),
            key=lambda one: rank(
                (contents.index(one.disks[number].durable.get(sector)), len(contents))
                for number, sector, contents in ways
            ),
        )
        return gather(total, (self._recover(setting, reader, one, ways, survived) for one in left))

    def _recover(
        self,
        setting: Setting,
        reader: Reader,
        left: Left,
        ways: Sequence[tuple[int, int, list[Hashable]]],
        contract: Contract | None,
    ) -> Recovered:
        named = label(
            [
                (_DISKS[number], sector, contents.index(left.disks[number].durable.get(sector)),
                 len(contents))
                for number, sector, contents in ways
            ]
        )  # fmt: skip
        machine, journal = setting.machine(left.disks, Contract())
        broken = UNJUDGED if contract is None else BROKEN
        try:
            outcome = machine.open(setting.table)
            if outcome.errno:
                said = f"activation fails: {outcome.errno}"
                why = f"{said}: {outcome.message}" if outcome.message else said
                return Recovered(named, why, None, [], broken, (said,))
            wc = machine.wc
            assert wc is not None
            n_sectors = self.sizes[1] - self.sizes[1] % wc.config.block_sectors
            values = read_sparsely(machine, wc, told_of(journal.disks[1], contract), n_sectors)
        except (PanicError, HangError) as death:
            said = f"activation ends in {name_of(death)}"
            return Recovered(named, said, machine.wc, [], broken, (said,))
        if values is None:
            said = "it comes up, and cannot be read"
            return Recovered(named, said, wc, [], broken, (said,))
        problems = ("activation ends with an error",) if wc.error else ()
        outcome_said = "it comes up with an error" if wc.error else "it comes up"
        return judged(reader, named, outcome_said, wc, values, n_sectors, contract, problems)


_DISKS: Final = ("cache", "origin")


def judged(
    reader: Reader,
    named: str,
    outcome: str,
    wc: State | None,
    values: Mapping[int, Hashable],
    n_sectors: int,
    contract: Contract | None,
    problems: tuple[str, ...],
) -> Recovered:
    """A device that was recovered and read: does the contract allow it?

    A sector that `values` does not name reads as zeros, and the contract has never heard of it.
    """
    within = range(n_sectors)
    if contract is None:
        rows = read_rows(reader, values, None, within)
        return Recovered(named, outcome, wc, rows, UNJUDGED, problems)
    allowed = {sector: contract.survivors(sector) for sector in values}
    rows = read_rows(reader, values, allowed, within)
    wrong = [(sector, value) for sector, value in values.items() if value not in allowed[sector]]
    if wrong:
        problems = (*problems, _wrong_words(reader, wrong))
    return Recovered(named, outcome, wc, rows, BROKEN if problems else ALLOWED, problems)


def _wrong_words(reader: Reader, wrong: Sequence[tuple[int, Hashable]]) -> str:
    sector, value = wrong[0]
    kind = reader.kind("origin", sector, value)
    more = f", and {len(wrong) - 1} sectors more" if len(wrong) > 1 else ""
    return f"{sectors(sector, 1)} reads as {in_words(kind, at=sector)}, which is not allowed{more}"

"""How blocks, and the writeback function, change: seen while recorded vectors are played.

Nothing here is drawn by hand: a change that never happens is not shown, and one that does is.
"""

from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Final

from writecache_docs.markdown import table
from writecache_docs.svg import Figure
from writecache_docs.timeline import block_kind
from writecache_models.actions import HangError, PanicError
from writecache_models.content import Content
from writecache_models.devices import Devices
from writecache_models.fixtures import shipped_vectors
from writecache_models.machine import Machine
from writecache_models.observations import perform
from writecache_models.vectors import read_traces
from writecache_spec.effects import Effect
from writecache_spec.events import Event
from writecache_spec.profile import Profile, profile_for_kernel
from writecache_spec.state import State
from writecache_spec.step import Step
from writecache_spec.units import SECTOR_SIZE

FILE: Final = "trixie.jsonl.xz"
N_TRACES: Final = 200
KINDS: Final = ("free", "uncommitted", "committed", "writeback")
Changes = dict[tuple[str, str], set[str]]
"""From one state to another: the events that did it."""


class _Observed(Machine):
    """A machine that notes changes."""

    def __init__(
        self, profile: Profile, devices: Devices, blocks: Changes, phases: Changes
    ) -> None:
        super().__init__(profile, devices)
        self._blocks, self._phases = blocks, phases
        self._event = ""

    def _outcome(self, event: Event) -> Step:
        self._event = type(event).__name__
        return super()._outcome(event)

    def _take(self, wc: State, effects: tuple[Effect, ...]) -> None:
        before = self.wc
        if before is not None and before.config is wc.config and self._event != "Resume":
            for index in _touched(before, wc):
                change = block_kind(before, index), block_kind(wc, index)
                if change[0] != change[1]:
                    self._blocks[change].add(self._event)
            phases = _phase(before), _phase(wc)
            if phases[0] != phases[1]:
                self._phases[phases].add(self._event)
        super()._take(wc, effects)


def _touched(before: State, after: State) -> list[int]:
    """Blocks whose entries have changed, or mean something else."""
    if before.seq_count != after.seq_count:
        return list(range(after.config.n_blocks))
    if before.entries is after.entries:
        return []
    pairs = zip(before.entries, after.entries, strict=True)
    return [index for index, (old, new) in enumerate(pairs) if old is not new]


def _phase(wc: State) -> str:
    return "not running" if wc.writeback is None else wc.writeback.phase.name


@cache
def seen() -> tuple[int, Changes, Changes]:
    """How many operations were played, and the changes of blocks and of the writeback function."""
    blocks: Changes = defaultdict(set)
    phases: Changes = defaultdict(set)
    (path,) = [path for path in shipped_vectors() if path.name == FILE]
    n_operations = 0
    for trace, _ in zip(read_traces(path), range(N_TRACES), strict=False):
        assert trace.kernel is not None
        assert trace.target is not None
        sizes = trace.cache_sectors * SECTOR_SIZE, trace.origin_sectors * SECTOR_SIZE
        profile = profile_for_kernel(trace.kernel, trace.target)
        machine = _Observed(profile, Devices(*map(Content, sizes)), blocks, phases)
        for op, _seen in trace.steps:
            n_operations += 1
            try:
                perform(machine, op, trace.table)
            except (PanicError, HangError):
                break
    return n_operations, blocks, phases


def _matrix(names: list[str], changes: Changes, shown: Callable[[str], str]) -> str:
    rows = [
        [shown(before)]
        + [", ".join(f"`{one}`" for one in sorted(changes.get((before, after), ())))
           for after in names]
        for before in names
    ]  # fmt: skip
    return table(["from \\ to", *map(shown, names)], rows)


def blocks_matrix() -> str:
    """Which event takes a block from one state to another."""
    return _matrix(list(KINDS), seen()[1], str)


def phases_matrix() -> str:
    """Which event takes the writeback function from one phase to another."""
    names = ["not running", "RESTART", "SUBMIT", "THROTTLE", "NO_PROGRESS", "DRAIN"]
    used = {name for change in seen()[2] for name in change}
    return _matrix([name for name in names if name in used], seen()[2], lambda name: f"`{name}`")


def blocks_figure() -> str:
    """The life of a block: an arrow for each change that was seen."""
    n_operations, changes, _ = seen()
    return _arrows(
        "The life of a cache block", KINDS, set(changes),
        f"Every change of a block's state seen in {n_operations:,} recorded operations of Linux"
        f" 6.12 played on the reference. The table says which event does it.",
    )  # fmt: skip


def _arrows(title: str, names: tuple[str, ...], changes: set[tuple[str, str]], text: str) -> str:
    width, gap, top = 120.0, 60.0, 96.0
    figure = Figure(len(names) * (width + gap) - gap + 20, 210, title)
    for number, name in enumerate(names):
        figure.box(10 + number * (width + gap), top, width, 34, name, name)
    for before, after in sorted(changes):
        first, last = names.index(before), names.index(after)
        forward = last > first
        offset = 18 if forward else -18
        x1, x2 = (10 + n * (width + gap) + width / 2 + offset for n in (first, last))
        edge = top if forward else top + 34
        height = (-22 if forward else 22) * abs(last - first) - (8 if forward else -8)
        figure.arrow(x1, edge, x2 - 2 * offset / 1.5, edge, height)
    return figure.html(text)

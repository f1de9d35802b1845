"""A finding's picture: its trace on the faithful reference, a line for each step.

Time goes down.  Each line shows the cache blocks with their entries, the superblock's count in
memory, and how many sectors of each device are pending: written, and not covered by a flush.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

from writecache_docs.svg import CHARACTER, Figure
from writecache_docs.watching import Setting
from writecache_models.actions import HangError, PanicError
from writecache_models.crashing import name_of
from writecache_models.finding import Finding, Path, Trace, faithful, show, table_for
from writecache_models.observations import perform
from writecache_models.recovery import Judge
from writecache_models.turns import turn
from writecache_models.volatile import Volatile
from writecache_models.walking import Bounds, Walker
from writecache_models.world import new_world
from writecache_spec.entries import is_free
from writecache_spec.state import State, entry_is_committed
from writecache_spec.units import BlockIndex


class Cell(NamedTuple):
    """What is known of a block, or of something else."""

    kind: str
    """`free`, `uncommitted`, `committed`, `writeback`; empty for what is no block."""
    text: str


class Line(NamedTuple):
    """After a step."""

    label: str
    blocks: tuple[Cell, ...]
    """Empty where there is no cache."""
    seq_count: str = ""
    pending: tuple[int, int] | None = None
    """Sectors of cache and origin."""


_HEIGHT: Final = 26.0
_LEAST_CELL: Final = 62.0


def block_kind(wc: State, index: int) -> str:
    """How far a block is in its life."""
    entry = wc.entries[index]
    if entry.write_in_progress:
        return "writeback"
    if is_free(wc, BlockIndex(index)):
        return "free"
    return "committed" if entry_is_committed(wc, entry) else "uncommitted"


def cells(wc: State) -> tuple[Cell, ...]:
    """The blocks of a cache."""
    found = []
    for index in range(wc.config.n_blocks):
        kind, entry = block_kind(wc, index), wc.entries[index]
        text = "" if kind == "free" else f"s{entry.original_sector} #{entry.seq_count}"
        found.append(Cell(kind, text))
    return tuple(found)


def lines_of(finding: Finding) -> list[Line]:
    """A finding's trace, step by step, and what comes of it."""
    profile = faithful(finding)
    if isinstance(finding.shown_by, Trace):
        lines = list(_operations(finding.shown_by, finding))
    else:
        lines = list(_events(finding.shown_by, finding))
    shown = show(finding, profile)
    assert shown is not None, f"{finding.name} keeps the contract"
    last = lines[-1].label if lines else ""
    if shown.what not in last:
        crashed = finding.symptom.name in ("LOSS", "DEAD", "ERROR")
        lines.append(Line(("power fails: " if crashed else "") + shown.what, ()))
    return lines


def _operations(trace: Trace, finding: Finding) -> Iterator[Line]:
    profile = faithful(finding)
    setting = Setting(table_for(trace, profile), trace.cache_sectors, trace.origin_sectors, profile)
    size = 512
    image = trace.cache_image.ljust(-(-len(trace.cache_image) // size) * size, b"\0")
    sectors = {at // size: image[at : at + size] for at in range(0, len(image), size)}
    machine = setting.machine((Volatile(sectors), Volatile({})))
    for op in trace.ops:
        label = " ".join(map(str, op))
        try:
            outcome = perform(machine, op, setting.table)
        except (PanicError, HangError) as death:
            yield Line(f"{label}: {op[0]} ends in {name_of(death)}", ())
            return
        if outcome.errno:
            label = f"{label}: {outcome.errno}"
        disks = machine.journal.disks
        pending = len(disks[0].pending), len(disks[1].pending)
        wc = machine.wc
        yield Line(label, () if wc is None else cells(wc), _count(wc), pending)


def _events(path: Path, finding: Finding) -> Iterator[Line]:
    setting = path.setting(faithful(finding))
    walker = Walker(setting, Bounds((), 9, 9), Judge(setting))
    world = new_world(setting)
    for event in path.events:
        if not walker.possible(world, event):
            continue
        after = turn(setting, world, event)
        if after is None:
            continue
        world = after.world
        label = " ".join(map(str, event))
        cache, origin = (sum(1 for one in disk.pending if one) for disk in world[1:3])
        wc = world.wc
        yield Line(label, () if wc is None else cells(wc), _count(wc), (cache, origin))
        if after.violations:
            yield Line(after.violations[0], ())
            return


def _count(wc: State | None) -> str:
    return "" if wc is None else str(wc.seq_count)


def draw(title: str, lines: list[Line]) -> str:
    """The picture."""
    n_blocks = max(len(line.blocks) for line in lines)
    labels = [len(line.label) for line in lines if line.pending is not None]
    left = max(labels, default=0) * CHARACTER + 44
    texts = [len(cell.text) for line in lines for cell in line.blocks]
    cell = max(_LEAST_CELL, max(texts, default=0) * CHARACTER + 14)
    grid = n_blocks * cell
    width = left + grid + 176
    longest = max(len(line.label) for line in lines) * CHARACTER + 60
    figure = Figure(max(width, longest), (len(lines) + 1) * _HEIGHT + 8, title)
    heads = [f"block {number}" for number in range(n_blocks)]
    for number, head in enumerate(heads):
        figure.text(left + (number + 0.5) * cell, 16, head, "quiet", "middle")
    for offset, head in ((30, "count"), (88, "cache"), (146, "origin")):
        figure.text(left + grid + offset, 16, head, "quiet", "middle")
    for number, line in enumerate(lines):
        _draw_line(figure, number, line, left, (cell, grid))
    return figure.html(_CAPTION)


_CAPTION: Final = (
    "Time goes down. A cell is a cache block: s is its sector on the origin, # the sequence count"
    " of its entry. Yellow: not committed; blue: committed; violet: being copied to the origin;"
    " dashed: free. To the right: the superblock's count in memory, and how many sectors of each"
    " device are pending (no flush has covered them)."
)


def _draw_line(
    figure: Figure, number: int, line: Line, left: float, grid: tuple[float, float]
) -> None:
    y = (number + 1) * _HEIGHT
    width, right = grid
    last = line.pending is None
    if last:
        figure.box(2, y + 1, figure.width - 4, _HEIGHT - 3, "crash")
    figure.text(8, y + 17, f"{number + 1:>2} {line.label}", "loud" if last else "")
    for block, cell in enumerate(line.blocks):
        x = left + block * width
        figure.box(x + 2, y + 2, width - 4, _HEIGHT - 5, cell.kind, cell.text)
    if line.pending is not None:
        texts = (line.seq_count, *map(str, line.pending))
        for offset, text in zip((30, 88, 146), texts, strict=True):
            figure.text(left + right + offset, y + 17, text, "", "middle")

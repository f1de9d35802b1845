"""The same as `prefixes`, in persistent-memory mode: a crash keeps any words of 8 bytes."""

from typing import Final, NamedTuple

from writecache_docs.markdown import table
from writecache_docs.prefixes import LIMIT, effect_words
from writecache_models.recovery import Recoveries
from writecache_models.turns import Playing, turn
from writecache_models.walking import events_of
from writecache_models.world import Setting, World, new_world, remains, with_memory
from writecache_spec.effects import Effect
from writecache_spec.events import Event
from writecache_spec.profile import PROFILES

_SETTING: Final = Setting(
    with_memory(PROFILES["1.6.0-6.1-amd64"]), "0", n_entries=3, origin_sectors=2, pmem_mode=True
)


class MemoryScenario(NamedTuple):
    """Events of a world of blocks of 512 bytes."""

    title: str
    before: str
    """Events, each but the last with a semicolon behind it."""
    events: str
    names: dict[int, str]
    """What the content of sector 0 is called by the number of the request that wrote it; -1 is
    zeros."""


_WRITTEN: Final = "open; begin write 0 1; map 0; begin flush; map 1"
SCENARIOS: Final = {
    "construct": (MemoryScenario("First activation", "", "open", {-1: "zeros"}),),
    "map_pmem": (
        MemoryScenario("A write of a new block", "open", "begin write 0 1; map 0",
                       {-1: "old", 0: "new"}),
        MemoryScenario("A write over a committed block", _WRITTEN, "begin write 0 1; map 2",
                       {0: "old", 2: "new"}),
        MemoryScenario("A write with FUA", "open", "begin write_fua 0 1; map 0",
                       {-1: "old", 0: "new"}),
    ),
    "commit": (
        MemoryScenario("A flush after one write", "open; begin write 0 1; map 0",
                       "begin flush; map 1", {-1: "old", 0: "new"}),
        MemoryScenario("A flush after a write over a committed block",
                       f"{_WRITTEN}; begin write 0 1; map 2", "begin flush; map 3",
                       {0: "old", 2: "new"}),
    ),
    "discard": (
        MemoryScenario("A discard of a committed block", _WRITTEN, "begin discard 0 1; map 2",
                       {-1: "the origin's", 0: "the cache's"}),
    ),
}  # fmt: skip
"""By the module that describes the operation."""


class _Watching(Playing):
    """An event being played, watched."""

    def __init__(self, setting: Setting, world: World) -> None:
        super().__init__(setting, world)
        self.seen: list[tuple[str, Effect, World]] = []
        self._event = ""

    def _step(self, event: Event, failing: frozenset[int] = frozenset()) -> None:
        self._event = type(event).__name__
        super()._step(event, failing)
        self._event = ""

    def _play(self, effect: Effect, failing: frozenset[int] = frozenset()) -> None:
        super()._play(effect, failing)
        self.seen.append((self._event, effect, self.world))


class Row(NamedTuple):
    """After an effect."""

    event: str
    effect: Effect | None
    """None: before the first one."""
    found: list[str]


def rows(scenario: MemoryScenario) -> list[Row]:
    """What a crash leaves before the first effect, and after each."""
    world = new_world(_SETTING)
    for event in events_of(scenario.before) if scenario.before else ():
        after = turn(_SETTING, world, event)
        assert after is not None, f"{event} cannot happen"
        assert not after.violations, after.violations
        world = after.world
    recoveries = Recoveries(_SETTING, depth=0)
    result = [Row("", None, _found(recoveries, world, scenario.names))]
    for event in events_of(scenario.events):
        player = _Watching(_SETTING, world)
        played = player.play(event)
        assert played is not None, f"{event} cannot happen"
        result += [
            Row(name, effect, _found(recoveries, then, scenario.names))
            for name, effect, then in player.seen
        ]
        world = played.world
    return result


def _found(recoveries: Recoveries, world: World, names: dict[int, str]) -> list[str]:
    contents = {_content(tag): name for tag, name in names.items()}
    found: set[str] = set()
    left = remains(world, _SETTING.shape)
    assert left.n_images() <= LIMIT, "not all that a crash may leave can be looked at"
    for image in left.some(LIMIT):
        recovered = recoveries.of(image)
        found.update(recovered.problems)
        for values in recovered.reads:
            assert values[0] in contents, f"nobody wrote {values[0]}"
            found.add(contents[values[0]])
    return sorted(found)


def _content(tag: int) -> int:
    """Of sector 0, as the worlds number what was written."""
    return 0 if tag < 0 else 1 + tag * _SETTING.origin_sectors


def prefixes(scenario: MemoryScenario) -> str:
    """A scenario's table."""
    lines = [
        (
            number,
            f"`{row.event}`" if row.event else "",
            "(before)" if row.effect is None else effect_words(row.effect),
            "; ".join(row.found),
        )
        for number, row in enumerate(rows(scenario))
    ]
    columns = ["", "event", "effect", "a crash here: recovery reads"]
    return f"### Persistent memory: {scenario.title[0].lower()}{scenario.title[1:]}\n\n" + table(
        columns, lines
    )

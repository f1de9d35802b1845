"""Tests of a target, to be subclassed; needs the extra `conformance`.

    class TestMine(ConformanceTests):
        @pytest.fixture
        def target(self) -> Iterator[Target]:
            with closing(MyTarget()) as mine:
                yield mine

What the target does not claim is skipped.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import ClassVar

import pytest

from writecache_models.conformance.exact import draw_exact, play_exact
from writecache_models.conformance.playing import play
from writecache_models.conformance.stories import draw
from writecache_models.conformance.target import Ability, Devices, Level, Target
from writecache_models.conformance.verdicts import Verdict
from writecache_models.shrink import shrink
from writecache_models.trace import Op, Trace

BLOCK = 8
"""Sectors."""
N_PLACES = 12
TABLE = f"s ORIGIN CACHE {512 * BLOCK} 0"
WHOLE: Op = ["read", 0, N_PLACES * BLOCK]
N_STORIES = 20


class ConformanceTests:
    """What every writecache keeps; give it a fixture `target`."""

    seed: ClassVar[str] = "conformance"
    """Decides the stories."""

    @pytest.fixture
    def target(self) -> Iterator[Target]:
        """Yours: override it."""
        raise NotImplementedError("a subclass gives the fixture `target`")

    @pytest.fixture
    def raw(self, target: Target) -> Callable[[], Devices]:
        """What the two devices hold, read past the target; skips where it cannot be had."""
        need(target, Ability.SNAPSHOT)
        return target.snapshot

    def test_new_devices_read_as_they_are(self, target: Target) -> None:
        """A cache that is new hides nothing."""
        check(target, ["open"], WHOLE)

    def test_the_last_write_is_read(self, target: Target) -> None:
        """Also where the cache is full, and one write covers others."""
        ops = [["write", at * BLOCK, BLOCK, 1 + at] for at in range(N_PLACES)]
        check(target, ["open"], *ops, ["write", BLOCK, 9 * BLOCK, 99], WHOLE, ["flush"], WHOLE)

    def test_what_is_flushed_is_durable(self, target: Target) -> None:
        """A flush, then the power fails."""
        need(target, Ability.CRASH)
        for seed in range(8):
            check(target, ["open"], ["write", 0, 3 * BLOCK, 1], ["flush"],
                  ["write", BLOCK, BLOCK, 2], ["crash", seed, 0], ["open"], WHOLE)  # fmt: skip

    def test_what_is_written_with_fua_is_durable(self, target: Target) -> None:
        """A write with FUA, then the power fails."""
        need(target, Ability.CRASH, Ability.FUA)
        for seed in range(8):
            check(target, ["open"], ["write_fua", 0, 3 * BLOCK, 1], ["crash", seed, 0],
                  ["open"], WHOLE)  # fmt: skip

    @pytest.mark.parametrize("after", range(1, 25))
    def test_a_commit_that_the_power_cuts_leaves_old_or_new(
        self, target: Target, after: int
    ) -> None:
        """The power fails at each I/O, and at each I/O of the recovery."""
        need(target, Ability.CRASH_WITHIN)
        for seed in range(4):
            check(target, ["open"], ["write", 0, 4 * BLOCK, 1], ["flush"], ["crash", seed, after],
                  ["write", BLOCK, 5 * BLOCK, 2], ["flush"], ["write", 0, 9 * BLOCK, 3], ["flush"],
                  ["crash", seed, 0], ["crash", seed, 1 + after % 5], ["open"],
                  ["crash", seed, 0], ["open"], WHOLE)  # fmt: skip

    def test_a_flush_message_brings_everything_home(
        self, target: Target, raw: Callable[[], Devices]
    ) -> None:
        """Afterwards the origin alone has it."""
        need(target, Ability.MESSAGE)
        check(target, ["open"], ["write", 0, 3 * BLOCK, 1], ["message", "flush"])
        assert len(raw().origin) == N_PLACES * BLOCK * 512

    def test_discards_leave_zeros_or_what_was(self, target: Target) -> None:
        """And nothing else changes."""
        need(target, Ability.DISCARD)
        check(target, ["open"], ["write", 0, 9 * BLOCK, 1], ["flush"],
              ["discard", 2 * BLOCK, 3 * BLOCK], WHOLE, ["message", "flush"], WHOLE)  # fmt: skip

    def test_zeroes_are_zeros(self, target: Target) -> None:
        """In the cache and in the origin."""
        need(target, Ability.ZEROES)
        check(target, ["open"], ["write", 0, 9 * BLOCK, 1], ["zeroes", 2 * BLOCK, 3 * BLOCK], WHOLE,
              ["flush"], WHOLE)  # fmt: skip

    def test_a_reload_and_a_suspend_lose_nothing(self, target: Target) -> None:
        """The same table again; suspended and resumed."""
        need(target, Ability.SUSPEND)
        check(target, ["open"], ["write", 0, 3 * BLOCK, 1], ["open"], WHOLE,
              ["write", BLOCK, BLOCK, 2], ["suspend"], ["resume"], WHOLE)  # fmt: skip

    def test_linux_reads_what_the_target_leaves(self, target: Target) -> None:
        """The reference opens its devices."""
        need(target, level=Level.IMAGES)
        check(target, ["open"], ["write", 0, 3 * BLOCK, 1], ["flush"], ["snapshot"],
              ["write", BLOCK, 9 * BLOCK, 2], ["snapshot"], ["flush"], ["snapshot"])  # fmt: skip

    def test_the_target_reads_what_linux_leaves(self, target: Target) -> None:
        """It opens the reference's devices."""
        need(target, level=Level.IMAGES)
        stories = (draw(f"{self.seed}-image-{number}", target.facts) for number in range(200))
        for trace in islice((one for one in stories if one.cache_image), 5):
            judged(target, trace)

    @pytest.mark.parametrize("number", range(N_STORIES))
    def test_stories(self, target: Target, number: int) -> None:
        """At random, shrunk where one fails."""
        seed = f"{self.seed}-{number}"
        judged(target, draw(seed, target.facts, target.fixed_sectors, target.block_size))

    @pytest.mark.parametrize("number", range(N_STORIES))
    def test_it_does_what_linux_does(self, target: Target, number: int) -> None:
        """Byte for byte."""
        need(target, level=Level.EXACT)
        judged(target, draw_exact(f"{self.seed}-{number}", target), play_exact)


def need(target: Target, *abilities: Ability, level: Level = Level.CONTRACT) -> None:
    """Skip the test where a target does not claim so much."""
    if target.facts.level < level:
        pytest.skip(f"the target claims level {target.facts.level:d}")
    missing = [one.value for one in abilities if one not in target.facts.abilities]
    if missing:
        pytest.skip(f"the target cannot do it: {', '.join(missing)}")


def check(target: Target, *ops: Op) -> None:
    """Do these operations on new devices; fails with the smallest trace that shows a violation."""
    judged(
        target,
        Trace(
            name="test",
            kernel=None,
            target=None,
            table=TABLE,
            cache_sectors=(1 + 7) * BLOCK,
            origin_sectors=N_PLACES * BLOCK,
            steps=tuple((op, {}) for op in ops),
        ),
    )


def judged(target: Target, trace: Trace, how: Callable[[Target, Trace], Verdict] = play) -> None:
    """Play a trace; fails with the smallest part of it that shows a violation."""
    verdict = how(target, trace)
    if verdict.violation is None:
        assert verdict.steps, "nothing was judged"
        return
    best = verdict

    def shows(ops: list[Op]) -> bool:
        nonlocal best
        if best.violation is not None and best.violation.is_lost:
            return False
        again = how(target, replace(trace, steps=tuple((op, {}) for op in ops)))
        if again.violation is not None:
            best = again
        return again.violation is not None

    shrink(verdict.trace.ops, shows, tries=200)
    assert best.violation is not None
    pytest.fail("\n".join([best.violation.what, *best.trace.lines()]), pytrace=False)

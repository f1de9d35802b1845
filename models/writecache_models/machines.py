"""Hypothesis state machines over worlds, to be subclassed.

Each step draws one of the events that may be next: a request begins, a disk has done its part, a
thread runs, a timer ends, an I/O fails.  At every moment the power fails, and what is left is
judged.  A failing example prints the path, which `walking.Walker.replay` follows:

    class Mine(WorldMachine):
        setting = Setting(PROFILES["1.6.0"].repaired(), "0", 4, 6, ByteCount(1024))

    TestMine = Mine.TestCase

Needs the extra `conformance`.
"""

from typing import ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from writecache_models.candidates import Turn, candidates
from writecache_models.walking import HANG, Bounds, Walker, usual_ops
from writecache_models.world import Setting, World, new_world
from writecache_spec.profile import PROFILES


class ContractError(AssertionError):
    """The contract is broken."""


class WorldMachine(RuleBasedStateMachine):
    """One world, in which anything may happen next."""

    setting: ClassVar[Setting] = Setting(PROFILES["1.6.0"].repaired(), "0", 3, 3)
    """The table, the sizes, the profile."""
    n_clients: ClassVar[int] = 2
    """Requests at once."""
    failures: ClassVar[int] = 0
    """I/Os that may fail."""

    def __init__(self) -> None:
        super().__init__()
        self.bounds = Bounds(usual_ops(self.setting), self.n_clients, self.failures)
        self.walker = Walker(self.setting, self.bounds)
        self.world: World = new_world(self.setting)
        self.path: list[Turn] = []

    @initialize()
    def activate(self) -> None:
        """The first table."""
        self.let(("open",))

    @precondition(lambda self: self.world.wc is not None)
    @rule(data=st.data())
    def go_on(self, data: st.DataObject) -> None:
        """One event of what is under way, or a new operation."""
        ops = self.bounds.ops if len(self.world.clients) < self.bounds.n_clients else ()
        options = list(candidates(self.setting, self.world, ops, self.bounds.failures))
        if not options:
            if self.world.clients or self.world.control:
                raise ContractError(f"{HANG}: {self.path}")
            return
        self.let(data.draw(st.sampled_from(options), label="event"))

    def let(self, event: Turn) -> None:
        """Let an event happen where it can; raises ContractError."""
        happened = self.walker.happen(self.world, event)
        if happened is None:
            return
        self.world, what = happened
        self.path.append(event)
        if what is not None:
            note(f"path: {self.path}")
            raise ContractError(f"{what}: {self.path}")

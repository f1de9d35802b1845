"""A Hypothesis state machine over a target, to be subclassed; needs the extra `conformance`.

    class MyMachine(TargetMachine):
        @classmethod
        def new_target(cls) -> Target:
            return MyTarget()

    TestMine = MyMachine.TestCase

Each rule asks the target for one operation and judges what it shows.  Rules of your own can be
added: `self.do(["flush"])` does any operation of a vector.
"""

from typing import ClassVar

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from writecache_models.conformance.asking import BrokenError
from writecache_models.conformance.playing import Play
from writecache_models.conformance.strategies import Geometry, geometries, operations
from writecache_models.conformance.target import LostError, RefusedError, Target
from writecache_models.trace import Op


class ViolationError(AssertionError):
    """The target breaks what it claims."""


class TargetMachine(RuleBasedStateMachine):
    """One target, asked for one operation after the other."""

    shapes: ClassVar[st.SearchStrategy[Geometry]] = geometries()
    """Sizes of its devices."""

    def __init__(self) -> None:
        super().__init__()
        self.target = self.new_target()
        self.geometry = Geometry(512, 2, 2)
        self.play = Play(self.target, self.geometry.trace([]))

    @classmethod
    def new_target(cls) -> Target:
        """Your target: override it."""
        raise NotImplementedError("a subclass makes the target")

    @initialize(data=st.data())
    def begin(self, data: st.DataObject) -> None:
        """New devices, which are opened."""
        self.geometry = data.draw(self.shapes, label="geometry")
        self.play = Play(self.target, self.geometry.trace([]))
        try:
            self.play.begin()
        except (LostError, RefusedError) as error:
            raise ViolationError(str(error)) from None
        self.do(["open"])

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        """Any operation; a device that the power has left is opened first."""
        if not self.play.is_open:
            self.do(["open"])
        asked = operations(self.target.facts, self.geometry, tag=1 + len(self.play.steps))
        self.do(data.draw(asked, label="operation"))

    @rule()
    def read_it_all(self) -> None:
        """Nothing is wrong anywhere."""
        if not self.play.is_open:
            self.do(["open"])
        self.do(["read", 0, self.geometry.n_places * self.geometry.block_sectors])

    def do(self, op: Op) -> None:
        """Do an operation of a vector; raises ViolationError."""
        try:
            self.play.do(op)
        except (BrokenError, LostError) as error:
            trace = self.geometry.trace([done for done, _ in self.play.steps])
            note("\n".join(trace.lines()))
            raise ViolationError(str(error)) from None

    def teardown(self) -> None:
        """Let go of the target."""
        self.target.close()

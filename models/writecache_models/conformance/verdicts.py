"""What becomes of a trace that a target plays, and what is said of it."""

from collections import Counter
from collections.abc import Sequence, Sized
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from writecache_models.conformance.target import Ability, RefusedError
from writecache_models.contract import ZERO, Value
from writecache_models.digests import content_digest
from writecache_models.trace import Observation, Op, Trace
from writecache_spec.units import SECTOR_SIZE

_ZEROS: Final = bytes(SECTOR_SIZE)


class Violation(NamedTuple):
    """How a target breaks what it claims."""

    step: int | None
    """Of the verdict's trace, from 0; None: at the opening, when it is given its devices."""
    what: str
    is_lost: bool = False
    """The target is gone."""

    @classmethod
    def at_last(cls, steps: Sized, what: str, is_lost: bool = False) -> "Violation":
        """At the last of the steps done, or at the opening if there is none."""
        return cls(len(steps) - 1 if len(steps) else None, what, is_lost)


@dataclass(slots=True, kw_only=True)
class Tally:
    """How much was judged, and what it cost."""

    operations: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    """Operations that the target cannot do, or for which there was no device."""
    sectors: int = 0
    """That were compared with what they may hold."""
    used: set[Ability] = field(default_factory=set)
    """Of what it can do."""
    crashes: int = 0
    images: int = 0
    """That were opened by the reference, or came from it."""
    target_seconds: float = 0.0
    """That passed while the target was asked."""
    own_seconds: float = 0.0
    """Of a processor, for judging."""

    @property
    def steps(self) -> int:
        """Judged."""
        return self.operations.total()

    def add(self, other: "Tally") -> None:
        """Count another one in."""
        self.operations += other.operations
        self.left_out += other.left_out
        self.sectors += other.sectors
        self.used |= other.used
        self.crashes += other.crashes
        self.images += other.images
        self.target_seconds += other.target_seconds
        self.own_seconds += other.own_seconds


@dataclass(slots=True, kw_only=True)
class Verdict(Tally):
    """What became of one trace."""

    trace: Trace
    """With what was seen, up to the violation; of one at the opening the first step, not done."""
    violation: Violation | None = None


def with_done(trace: Trace, steps: Sequence[tuple[Op, Observation]]) -> Trace:
    """The trace as far as it was done; its first step where none was, as files want one."""
    return replace(trace, steps=tuple(steps) or tuple((op, {}) for op in trace.ops[:1]))


def values_of(data: bytes) -> list[Value]:
    """Contents as the contract names them, sector by sector."""
    pieces = (data[at : at + SECTOR_SIZE] for at in range(0, len(data), SECTOR_SIZE))
    return [ZERO if piece == _ZEROS else piece for piece in pieces]


def returned(result: bytes | RefusedError | None) -> Observation:
    """What one of several requests returned."""
    if isinstance(result, RefusedError):
        return {"errno": result.errno}
    return {} if result is None else {"read": content_digest(result)}

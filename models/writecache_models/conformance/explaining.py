"""What a violation is told with: what a sector holds, what it may hold, and since which step.

Steps are counted from 0, `write N` is the write with the tag N.  Only the steps that were done are
looked at, once something is wrong.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from writecache_models.contract import ZERO, Value
from writecache_models.devices import pattern
from writecache_models.trace import LARGEST_DEVICE, TOGETHER, Observation, Op, script_of

_MOST_NAMED: Final = 3
"""Values that are named of those that a sector may hold."""
_SHOWN: Final = 16
"""Bytes of what nobody wrote."""
_WRITES: Final = ("write", "write_fua", "write_dsync")
_CLEARS: Final = ("zeroes", "discard")
_FLUSHES: Final = ("flush", "write_dsync")
Holds = Callable[[Op, Observation], bool]


class History(NamedTuple):
    """What a target was asked so far."""

    steps: Sequence[tuple[Op, Observation]]
    at_first: Mapping[int, Value]
    """What sectors held; those not named: zeros."""

    def found(self, sector: int, value: Value) -> str:
        """What a sector holds.

        >>> history = History([(["open"], {}), (["write", 0, 8, 5], {})], {})
        >>> history.found(8, pattern(0, 1, 5)), history.found(0, pattern(0, 1, 6))
        ('what write 5 put in sector 0 (step 1)', 'the pattern of tag 6, which nobody wrote')
        """
        if not isinstance(value, bytes):
            return "zeros"
        tag, place = (int.from_bytes(value[at : at + 8], "little") for at in (0, 8))
        step = self._written(place, tag)
        whole = pattern(place, 1, tag) if place < LARGEST_DEVICE else b""
        if value == whole and step is not None:
            return f"what write {tag} put in sector {place} (step {step})"
        if value == self.at_first.get(sector):
            return "what it held at first"
        if value == whole:
            at = "" if place == sector else f" and sector {place}"
            return f"the pattern of tag {tag}{at}, which nobody wrote"
        if step is not None:
            same = next(n for n, (a, b) in enumerate(zip(value, whole, strict=True)) if a != b)
            if same > _SHOWN:
                rest = value[same : same + _SHOWN].hex()
                return f"the first {same} bytes of write {tag} (step {step}), then {rest}..."
        return f"what nobody wrote: {value[:_SHOWN].hex()}..."

    def expected(self, sector: int, values: Iterable[Value], crashes_now: bool = False) -> str:
        """What a sector may hold, and why; `crashes_now`: it is asked as if the power failed now.

        >>> ops = [["open"], ["write", 0, 8, 5], ["flush"], ["crash", 1, 0]]
        >>> History([(op, {}) for op in ops], {}).expected(0, {pattern(0, 1, 5)})
        'write 5 (step 1, flushed at step 2)'
        """
        origins = [self._origin(sector, value, crashes_now) for value in values]
        named = [text for _, text in sorted(origins, reverse=True)]
        more = len(named) - _MOST_NAMED
        if more > 0:
            named = [*named[:_MOST_NAMED], f"{more} older"]
        return " or ".join(named)

    def _origin(self, sector: int, value: Value, crashes_now: bool) -> tuple[int, str]:
        """Where a value comes from: the step, -1 for none, and in words."""
        for number in reversed(range(len(self.steps))):
            for op in _requests(self.steps[number][0]):
                if _left(op, sector) == value:
                    name = "zeros" if value == ZERO else f"write {op[3]}"
                    return number, f"{name} ({self._reason(sector, number, op[0], crashes_now)})"
        return -1, "zeros (as at first)" if value == ZERO else "what it held at first"

    def _reason(self, sector: int, number: int, name: str, crashes_now: bool) -> str:
        """Why what a step wrote is there still."""
        step = f"step {number}" if name in _WRITES else f"{name} at step {number}"
        crash = next(self._after(number, _is_crash), len(self.steps) if crashes_now else None)
        if crash is None:
            return step
        if name == "write_fua":
            return f"{step}, with FUA"
        flush = number if name == "write_dsync" else next(self._after(number, _is_flush), crash)
        if flush < crash:
            return f"{step}, flushed at step {flush}"
        reads = self._after(crash, lambda op, _: op[0] == "read" and _covers(op, sector))
        read = next(reads, len(self.steps) - 1)
        return f"{step}, " + (
            f"read at step {read}" if read < len(self.steps) - 1 else "not flushed"
        )

    def _after(self, number: int, holds: Holds) -> Iterator[int]:
        later = enumerate(self.steps[number + 1 :], number + 1)
        return (at for at, (op, seen) in later if holds(op, seen))

    def _written(self, sector: int, tag: int) -> int | None:
        """The last step that wrote a sector with a tag."""
        for number in reversed(range(len(self.steps))):
            for op in _requests(self.steps[number][0]):
                if op[0] in _WRITES and _covers(op, sector) and op[3] == tag:
                    return number
        return None


def _requests(op: Op) -> list[Op]:
    """The requests of an operation."""
    if op[0] != TOGETHER:
        return [op]
    return [request for client in op[1:] for request in script_of(client)]


def _covers(op: Op, sector: int) -> bool:
    return bool(op[1] <= sector < op[1] + op[2])


def _left(op: Op, sector: int) -> Value | None:
    """What a request leaves in a sector; None: it leaves it alone, or is no write."""
    if op[0] in (*_WRITES, *_CLEARS) and _covers(op, sector):
        return ZERO if op[0] in _CLEARS else pattern(sector, 1, op[3])
    return None


def _is_crash(op: Op, seen: Observation) -> bool:
    return bool(seen.get("crashed")) or (op[0] == "crash" and op[2] == 0)


def _is_flush(op: Op, seen: Observation) -> bool:
    ends = not seen.get("crashed")
    return ends and any(request[0] in _FLUSHES for request in _requests(op))

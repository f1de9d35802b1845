"""What a violation is told with names the write, the step and the reason that are right."""

import pytest
from toy_target import Toy

from writecache_models.conformance import (
    Ability,
    Devices,
    Facts,
    Level,
    RefusedError,
    Target,
    Violation,
    play,
)
from writecache_models.conformance.explaining import History
from writecache_models.contract import ZERO
from writecache_models.devices import pattern
from writecache_models.trace import Op, Trace


def told(target: Target, *ops: Op, origin: bytes = b"") -> str:
    """What is said of the violation at the last of these operations."""
    trace = Trace(
        name="told", kernel=None, target=None, table="s ORIGIN CACHE 512 0", cache_sectors=8,
        origin_sectors=4, origin_image=origin, steps=tuple((op, {}) for op in ops),
    )  # fmt: skip
    violation = play(target, trace).violation
    assert isinstance(violation, Violation)
    assert violation.step == len(ops) - 1
    return violation.what


class Forgets(Toy):
    """Wrong: a flush keeps nothing, and every crash takes all."""

    def flush(self) -> None:
        pass

    def crash(self, seed: int, after: int = 0) -> None:
        self.now = bytearray(self.durable)
        self.is_open = False


class Says(Toy):
    """Wrong: it always reads this."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def read(self, sector: int, n_sectors: int) -> bytes:
        return self.data


WRITE: Op = ["write", 1, 1, 5]
READ: Op = ["read", 1, 1]
CRASH: list[Op] = [["crash", 1, 0], ["open"]]


def test_what_was_flushed_is_expected_with_the_step_of_its_flush() -> None:
    what = told(Forgets(), ["open"], WRITE, ["flush"], *CRASH, READ)
    assert what == (
        "sector 1: a read finds zeros after a crash; expected write 5 (step 1, flushed at step 2)"
    )


def test_what_was_written_with_fua_is_expected_for_that() -> None:
    what = told(Forgets(), ["open"], ["write_fua", 1, 1, 5], *CRASH, READ)
    assert what.endswith("; expected write 5 (step 1, with FUA)")


def test_without_a_crash_the_last_write_is_expected() -> None:
    what = told(Says(pattern(1, 1, 5)), ["open"], WRITE, ["write", 1, 1, 6], READ)
    assert what == (
        "sector 1: a read finds what write 5 put in sector 1 (step 1); expected write 6 (step 2)"
    )


def test_what_a_read_has_shown_after_a_crash_is_expected_for_that() -> None:
    class Changes(Says):
        """Wrong: the second read finds zeros."""

        def read(self, sector: int, n_sectors: int) -> bytes:
            data, self.data = self.data, bytes(512)
            return data

    what = told(Changes(pattern(1, 1, 5)), ["open"], WRITE, *CRASH, READ, READ)
    assert what.endswith("finds zeros after a crash; expected write 5 (step 1, read at step 4)")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pattern(1, 1, 99), "finds the pattern of tag 99, which nobody wrote; expected"),
        (pattern(3, 1, 99), "the pattern of tag 99 and sector 3, which nobody wrote"),
        (pattern(0, 1, 5), "finds the pattern of tag 5 and sector 0, which nobody wrote"),
        (b"?" * 512, "finds what nobody wrote: 3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f3f...; expected"),
        (b"\xff" * 512, "finds what nobody wrote: ffff"),
        (bytes(511) + b"x", "finds what nobody wrote: 0000"),
        (pattern(1, 1, 5)[:256] + bytes(256), "the first 256 bytes of write 5 (step 1), then 0000"),
        (b"o" * 512, "finds what it held at first; expected write 5 (step 1)"),
        (bytes(512), "finds zeros; expected write 5 (step 1)"),
    ],
)  # fmt: skip
def test_what_is_found_is_named(data: bytes, says: str) -> None:
    assert says in told(Says(data), ["open"], WRITE, READ, origin=b"o" * 2048)


def test_of_many_values_the_latest_are_named() -> None:
    steps = [(["open"], {}), *((["write", 0, 1, tag], {}) for tag in range(1, 7))]
    values = [ZERO, *(pattern(0, 1, tag) for tag in range(1, 7))]
    expected = History(steps, {}).expected(0, values)
    assert expected == "write 6 (step 6) or write 5 (step 5) or write 4 (step 4) or 4 older"


def test_zeros_and_discards_are_named_as_such() -> None:
    steps = [(["open"], {}), (["discard", 0, 1], {}), (["together", ["zeroes", 1, 1]], {})]
    history = History(steps, {2: b"x" * 512})
    assert history.expected(0, [ZERO]) == "zeros (discard at step 1)"
    assert history.expected(1, [ZERO]) == "zeros (zeroes at step 2)"
    assert history.expected(3, [ZERO]) == "zeros (as at first)"
    assert history.expected(2, [b"x" * 512]) == "what it held at first"


class Several(Toy):
    """Right: it does one request after the other."""

    facts = Facts("several", Level.CONTRACT, frozenset({Ability.TOGETHER, Ability.FUA}))

    def together(self, requests: list[Op]) -> list[bytes | RefusedError | None]:
        results: list[bytes | RefusedError | None] = []
        for name, *place in requests:
            if name == "read":
                results.append(self.read(*place))
            else:
                self.write(place[0], pattern(*place), fua=name != "write")
                results.append(None)
        return results


class Deaf(Several):
    """Wrong: it does not write among others."""

    def together(self, requests: list[Op]) -> list[bytes | RefusedError | None]:
        return super().together([op if op[0] == "read" else ["read", 0, 1] for op in requests])


@pytest.mark.parametrize("name", ["write", "write_fua", "write_dsync"])
def test_what_is_written_among_others_is_written(name: str) -> None:
    ops: tuple[Op, ...] = (["open"], WRITE, ["together", [name, 1, 1, 6], ["read", 0, 1]], READ)
    trace = Trace(
        name="several", kernel=None, target=None, table="s ORIGIN CACHE 512 0", cache_sectors=8,
        origin_sectors=4, steps=tuple((op, {}) for op in ops),
    )  # fmt: skip
    verdict = play(Several(), trace)
    assert verdict.violation is None
    assert verdict.steps == 4
    assert told(Deaf(), *ops).endswith("expected write 6 (step 2)")


def test_the_origin_after_a_message_is_told_of_too() -> None:
    class Lazy(Toy):
        """Wrong: a message does nothing."""

        facts = Facts("lazy", Level.CONTRACT, frozenset({Ability.MESSAGE, Ability.SNAPSHOT}))

        def message(self, *words: str) -> None:
            pass

        def snapshot(self) -> Devices:
            return Devices(bytes(8 * 512), bytes(4 * 512))

    what = told(Lazy(), ["open"], WRITE, ["message", "flush"])
    assert what == ("sector 1: after the message the origin has zeros; expected write 5 (step 1)")

"""The executor: mistakes that it must find, and what it must refuse to call proved."""

from itertools import product

import pytest

from writecache_proofs.symbolic import (
    Limits,
    NotDecidedError,
    Run,
    UnboundedError,
    UnsupportedError,
    all_of,
    any_of,
    either,
    implies,
    replay,
    verify,
)
from writecache_proofs.symbolic.verifying import DisagreementError
from writecache_spec.units import signed32, wrap32, wrap64


def test_a_planted_mistake_is_found_and_replayed() -> None:
    def absolute(value: int) -> int:
        # Wrong for one number of four thousand million.
        return value if value >= 0 or value == -123456789 else -value

    def check(run: Run) -> None:
        run.claim(absolute(run.integer("value", -(2**31), 2**31)) >= 0, "not negative")

    found = verify(check).counterexample
    assert found == ("not negative", {"value": -123456789})
    assert replay(check, found.values) == "not negative"


def test_what_raises_is_a_counterexample() -> None:
    def check(run: Run) -> None:
        value = run.integer("value", 0, 100)
        if value * 7 == 84:
            raise KeyError("twelve")
        run.claim(True, "does not raise")

    found = verify(check).counterexample
    assert found == ("KeyError: 'twelve'", {"value": 12})


def test_all_paths_are_met() -> None:
    def check(run: Run) -> None:
        a, b, c = (run.integer(name, 0, 9) for name in "abc")
        ordered = sorted([a, b, c])
        run.claim(all_of([ordered[0] <= ordered[1], ordered[1] <= ordered[2]]), "sorted")
        run.claim(ordered[0] + ordered[1] + ordered[2] == a + b + c, "nothing is lost")

    verdict = verify(check)
    assert verdict.counterexample is None
    assert verdict.n_paths >= 6
    assert verdict.claims == {"sorted": verdict.n_paths, "nothing is lost": verdict.n_paths}


def test_a_loop_without_end_is_a_failure() -> None:
    def check(run: Run) -> None:
        value = run.integer("value", 0, 2**62)
        while value != 1:
            value = value + 1
        run.claim(True, "it ends")

    with pytest.raises(UnboundedError, match="decisions on one path"):
        verify(check, Limits(decisions=50))


def test_a_loop_that_ends_is_gone_through() -> None:
    def check(run: Run) -> None:
        value = run.integer("value", 0, 7)
        turns = 0
        while value > turns:
            turns += 1
        run.claim(value == turns, "as many turns")

    assert verify(check).n_paths == 8


def test_premises_that_contradict_each_other_leave_nothing() -> None:
    def check(run: Run) -> None:
        value = run.integer("value", 0, 9)
        run.suppose(value > 5)
        run.suppose(value < 5)
        run.claim(False, "vacuous")

    verdict = verify(check)
    assert verdict.counterexample is None
    assert verdict.witness is None
    assert not verdict.claims


def test_time_is_limited() -> None:
    def check(run: Run) -> None:
        run.claim(run.integer("value", 0, 9) < 10, "small")

    with pytest.raises(NotDecidedError):
        verify(check, Limits(seconds=-1.0))


def test_what_cannot_be_symbolic_is_refused() -> None:
    def bits(run: Run) -> None:
        run.claim((run.integer("value", 0, 9) & 5) == 0, "bits")

    def hashes(run: Run) -> None:
        run.claim(run.integer("value", 0, 9) in {1: 1}, "in a dictionary")

    def ranges(run: Run) -> None:
        run.claim(len(range(run.integer("value", 0, 9))) == 0, "a range")

    def bounds(run: Run) -> None:
        run.claim(run.integer("value", 0, 9) == run.integer("value", 0, 8), "other bounds")

    for check in (bits, hashes, ranges, bounds):
        with pytest.raises(UnsupportedError):
            verify(check)


def test_a_run_that_differs_from_pythons_is_an_error() -> None:
    def check(run: Run) -> None:
        value = run.integer("value", 0, 9)
        run.claim(isinstance(value, int), "a number of Python's")

    with pytest.raises(DisagreementError):
        verify(check)


def test_keys_are_found_by_comparing() -> None:
    def check(run: Run) -> None:
        run.allow_keys()
        a, b = run.integer("a", 0, 9), run.integer("b", 0, 9)
        held = {a: 1}
        held[b] = 2
        run.claim((len(held) == 1) == (a == b), "one key exactly if they are equal")

    assert verify(check).counterexample is None


def test_integers_and_bits_do_as_python_does() -> None:
    for name in ("integer", "bits"):

        def check(run: Run, name: str = name) -> None:
            a = getattr(run, name)("a", -300, 300)
            run.suppose(any_of(a == value for value in (-300, -17, -1, 0, 1, 255, 256, 300)))
            run.claim(a // 16 * 16 + a % 16 == a, "quotient and remainder")
            run.claim(all_of([a % 16 >= 0, a % 16 < 16]), "remainders are not negative")
            run.claim((a << 3) - (a * 8) == 0, "shifts multiply")
            run.claim((a >> 3) == a // 8, "shifts divide")
            run.claim(wrap64(wrap64(a) + 2**64) == wrap64(a), "wraps")
            run.claim(signed32(wrap32(a)) == a, "signed")
            run.claim(either(a < 0, -a, a) >= 0, "either")
            run.claim(implies(a > 5, a + 1 > 6), "implies")

        verdict = verify(check)
        assert verdict.counterexample is None, name


def test_bit_operations_are_exact() -> None:
    def check(run: Run) -> None:
        a, b = run.bits("a", -20, 20), run.bits("b", 0, 9)
        for x, y in product((-20, -3, 0, 7, 20), (0, 5, 9)):
            here = all_of([a == x, b == y])
            run.claim(implies(here, (a & b) == (x & y)), "and")
            run.claim(implies(here, (a | b) == (x | y)), "or")
            run.claim(implies(here, (a ^ b) == (x ^ y)), "xor")
            run.claim(implies(here, (~a) == ~x), "not")
            run.claim(implies(here, (a << b) == (x << y)), "left")
            run.claim(implies(here, (a >> b) == (x >> y)), "right")
            run.claim(implies(here, b.bit_length() == y.bit_length()), "length")

    assert verify(check).counterexample is None

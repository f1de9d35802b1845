"""Terms that are built once: a proof is the same whether or not they are remembered."""

from collections.abc import Callable, Iterator
from itertools import count, pairwise
from operator import add, lt

import pytest
import z3

from writecache_proofs.symbolic import Limits, Run, UnsupportedError, all_of, terms, verify


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    """What one test builds, another does not find."""
    terms.forget()
    yield
    terms.forget()


def sorted_ones(run: Run) -> None:
    """A property with many paths, all of which begin alike."""
    values = [run.integer(f"value {number}", 0, 9) for number in range(4)]
    ordered = sorted(values)
    run.claim(all_of(a <= b for a, b in pairwise(ordered)), "sorted")
    run.claim(sum(ordered) == sum(values), "nothing is lost")


def test_a_term_is_built_once_whoever_asks() -> None:
    x, y = terms.variable("x"), terms.variable("y")
    assert terms.built(add, x, y) is terms.built(add, terms.variable("x"), terms.variable("y"))
    assert terms.built(add, x, y) is not terms.built(add, y, x)
    assert terms.built(lt, x, y) is not terms.built(add, x, y)
    assert terms.number(2**64) is terms.number(int("18446744073709551616"))


def test_the_parts_of_a_term_live_as_long_as_it_is_known() -> None:
    # An `id` that is used again, for another part, would find another's term.
    for value in range(5000):
        assert terms.built(z3.simplify, z3.IntVal(value)).as_long() == value


@pytest.mark.parametrize("most", [1, 7, 50])
def test_forgetting_in_the_middle_changes_nothing(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = verify(sorted_ones)
    monkeypatch.setattr(terms, "_MOST", most)
    forgetful = verify(sorted_ones)
    assert kept.counterexample is None
    assert (kept.n_paths, kept.claims) == (forgetful.n_paths, forgetful.claims)
    assert kept.n_paths >= 24


def test_nothing_is_left_when_a_proof_has_ended() -> None:
    verify(sorted_ones)
    assert not terms._KEPT.built
    assert not terms._KEPT.variables
    with pytest.raises(UnsupportedError, match="asked another question"):
        verify(_changing(), Limits(seconds=10))
    assert not terms._KEPT.built


def _changing() -> Callable[[Run], None]:
    """A property that asks something else when it is run again."""
    later = count()

    def check(run: Run) -> None:
        value, other = run.integer("value", 0, 9), run.integer("other", 0, 9)
        least = 3 if isinstance(value, int) else next(later) + 3
        higher = value > least
        run.claim(bool(higher) in (True, False) and bool(other > 5) in (True, False), "either")

    return check

"""Mutants: that each can be planted, that nothing of it is left, and that they are caught."""

from collections.abc import Callable
from typing import Any

import pytest

from writecache_models.mutants import Edit, Mutant, PlantError, planted
from writecache_models.mutants.historical import HISTORICAL
from writecache_models.mutants.ordering import ORDERING
from writecache_spec import arguments, commit, layout, state
from writecache_spec.arguments import Arguments, table_line
from writecache_spec.profile import PROFILES
from writecache_spec.units import ByteCount

MUTANTS = HISTORICAL + ORDERING
EVERY_MUTANT = pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)


def by_name(name: str) -> Mutant:
    return next(mutant for mutant in MUTANTS if mutant.name == name)


def codes(mutant: Mutant) -> list[int]:
    """Code objects by identity: equal ones may differ in where they came from."""
    return [id(edit.function.__code__) for edit in mutant.edits]


@EVERY_MUTANT
def test_a_mutant_is_there_while_planted_and_gone_afterwards(mutant: Mutant) -> None:
    before = codes(mutant)
    with planted(mutant):
        assert not set(before) & set(codes(mutant))
    assert codes(mutant) == before


@EVERY_MUTANT
def test_a_mutant_changes_the_code_but_not_the_signature(mutant: Mutant) -> None:
    def shape(function: Callable[..., Any]) -> tuple[object, ...]:
        code = function.__code__
        return (
            code.co_name,
            code.co_varnames[: code.co_argcount + code.co_kwonlyargcount],
            code.co_flags,
            code.co_freevars,
        )

    before = {edit.function: edit.function.__code__ for edit in mutant.edits}
    shapes = {function: shape(function) for function in before}
    with planted(mutant):
        for function, code in before.items():
            assert shape(function) == shapes[function]
            mutated = function.__code__
            assert (mutated.co_code, mutated.co_consts, mutated.co_names) != (
                code.co_code,
                code.co_consts,
                code.co_names,
            )


@EVERY_MUTANT
def test_a_mutant_says_what_it_is(mutant: Mutant) -> None:
    assert set(mutant.name) <= set("abcdefghijklmnopqrstuvwxyz-")
    assert "\n" not in mutant.subject
    assert not mutant.subject.endswith(".")
    assert mutant.profile in PROFILES
    assert mutant.failures >= 0
    assert mutant.n_entries >= 1
    assert len(mutant.options.split()) % 2 == 0


def test_no_two_mutants_have_one_name() -> None:
    names = [mutant.name for mutant in MUTANTS]
    assert len(set(names)) == len(names)


def test_no_two_mutants_do_the_same() -> None:
    # What is done in both modes can be wrong in either.
    assert len({(mutant.edits, mutant.pmem_mode) for mutant in MUTANTS}) == len(MUTANTS)


def test_there_are_enough_that_somebody_must_catch() -> None:
    assert len(HISTORICAL) >= 18
    assert sum(mutant.history is not None for mutant in HISTORICAL) >= 18
    assert sum(mutant.equivalent is None for mutant in ORDERING) >= 40


def test_an_exception_removes_it_too() -> None:
    mutant = by_name("freed-before-origin-flush")
    before = codes(mutant)
    with pytest.raises(ZeroDivisionError), planted(mutant):
        raise ZeroDivisionError
    assert codes(mutant) == before


def test_who_holds_the_function_already_meets_the_mutant() -> None:
    held = layout.is_committed
    assert vars(state)["is_committed"] is held
    assert not held(5, 5)
    with planted(by_name("committed-at-its-own-count")):
        assert held(5, 5)
        assert vars(state)["is_committed"] is layout.is_committed is held
    assert not held(5, 5)


def test_a_planted_mutant_shows() -> None:
    given = Arguments("ORIGIN", "CACHE", ByteCount(4096), max_age=5)
    assert table_line(given) == "s ORIGIN CACHE 4096 2 max_age 5"
    with planted(by_name("max-age-not-counted")):
        assert table_line(given) == "s ORIGIN CACHE 4096 0 max_age 5"
    assert table_line(given) == "s ORIGIN CACHE 4096 2 max_age 5"


def test_mutants_of_different_functions_can_be_planted_together() -> None:
    with planted(by_name("max-age-not-counted")), planted(by_name("last-region-of-a-run-missing")):
        assert commit.dirty_runs(0b110) == [(1, 1)]
    assert commit.dirty_runs(0b110) == [(1, 2)]


def test_a_function_that_is_mutated_cannot_be_planted_again() -> None:
    mutant = by_name("max-age-not-counted")
    with planted(mutant):
        code = arguments.table_line.__code__
        with pytest.raises(PlantError, match="mutated already"), planted(mutant):
            pass
        assert arguments.table_line.__code__ is code


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("no such text", "", "is there 0 times"),
        ("position", "", "is there 3 times"),
        ("while bitmap:", "while:", "does not compile"),
    ],
)
def test_what_does_not_fit_changes_nothing(old: str, new: str, complaint: str) -> None:
    fits = Edit(layout.is_committed, "<", "<=")
    mutant = Mutant("misfit", "does not fit", (fits, Edit(commit.dirty_runs, old, new)))
    before = codes(mutant)
    with pytest.raises(PlantError, match=complaint), planted(mutant):
        pass
    assert codes(mutant) == before


def test_what_is_no_function_of_a_module_is_refused() -> None:
    mutant = Mutant("misfit", "is a class", (Edit(Arguments, "", ""),))
    with pytest.raises(PlantError, match="is no function"), planted(mutant):
        pass

"""Mutants: that each can be planted, that nothing of it is left, and that they are caught."""

import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from writecache_models.mutants import Edit, Mutant, PlantError, planted, profile_of
from writecache_models.mutants.__main__ import main
from writecache_models.mutants.families import MUTANTS as MUTANT_NAMES
from writecache_models.mutants.historical import HISTORICAL
from writecache_models.mutants.hunting import Hunted, hunt, walk
from writecache_models.mutants.missing import MISSING, MOST_CRASHES, MOST_OPERATIONS
from writecache_models.mutants.ordering import ORDERING
from writecache_models.mutants.reporting import Result
from writecache_models.mutants.searching import Searched, search
from writecache_models.stocked import Plan
from writecache_models.walking import Bounds, usual_ops
from writecache_models.world import Setting
from writecache_spec import arguments, commit, layout, state
from writecache_spec.arguments import Arguments, table_line
from writecache_spec.profile import PROFILES
from writecache_spec.repairs import ALL_REPAIRS, Repair
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


def hunted(name: str, seconds: float = 10.0) -> Hunted:
    return hunt(by_name(name), "1", seconds)


def test_a_walk_catches_a_mutant_and_is_shrunk() -> None:
    caught = hunted("superblock-without-fua")
    assert caught.caught_by == "walks"
    assert caught.what == "after a crash, what is read is not what was promised"
    assert caught.n_ops < caught.n_events == len(caught.path) < 20
    assert not caught.not_the_mutants


def test_a_stocked_cache_shows_what_a_second_crash_finds() -> None:
    caught = hunted("resume-leaves-duplicates")
    assert caught.caught_by == "walks"
    assert ("stock", 26, True) in caught.path


def test_a_walk_can_be_made_again_from_its_seed() -> None:
    mutant = by_name("superblock-without-fua")
    caught = hunted(mutant.name)
    wrong = walk(mutant, caught.seed, lambda: True)
    assert wrong is not None
    assert wrong.what == caught.what


def test_vectors_catch_a_mutant() -> None:
    caught = hunted("max-age-not-counted")
    assert caught.caught_by == "vectors"
    assert caught.what == "open differs in table"


def test_an_equivalent_mutant_is_not_caught() -> None:
    result = hunted("superblock-bytes-for-sectors", 0.5)
    assert result.as_expected
    assert result.caught_by is None
    assert result.walks > 1


def test_walks_go_on_after_a_crash() -> None:
    setting = Setting(PROFILES["1.6.0"].repaired(), "0", 3, 2)
    walker = Plan(setting, Bounds(usual_ops(setting)), crashes=0.3).walker()
    events: list[str] = []
    walker.note = lambda world, event: events.append(event[0])
    assert walker.walk(Random("1"), 40) is None
    assert "crash" in events[:-1]
    assert events.count("open") > 1


def test_time_that_is_up_ends_a_walk() -> None:
    assert walk(by_name("no-superblock"), "1", lambda: False) is None


def test_the_command_prints_a_table(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    kept = tmp_path / "mutants.json"
    assert main(["--only", "superblock-without-fua", "--output", str(kept)]) == 0
    shown, progress = capsys.readouterr()
    assert "superblock-without-fua" in progress
    assert "survivors: none" in shown
    made = json.loads(kept.read_text())
    assert made["command"].startswith("python -m writecache_models.mutants --only superblock")
    assert made["totals"]["ordering_percent"] == 100


def test_the_command_fails_where_a_mutant_survives(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--only", "superblock-without-fua", "--seconds", "0", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["totals"]["survivors"] == ["superblock-without-fua"]


def test_the_command_fails_where_an_equivalent_mutant_is_caught(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutant = by_name("superblock-without-fua")._replace(equivalent="it is said to be")
    monkeypatch.setitem(MUTANT_NAMES, mutant.name, mutant)
    assert main(["--only", mutant.name]) == 1
    assert "equivalent_but_caught: superblock-without-fua" in capsys.readouterr().out


def test_the_command_knows_its_mutants(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main(["--only", "nobody"])
    assert exit_.value.code == 2
    assert "nobody" in capsys.readouterr().err


def test_every_repair_has_a_mutant_without_it() -> None:
    assert {mutant.without for mutant in MISSING} == set(Repair)
    for mutant in MISSING:
        assert profile_of(mutant).repairs == ALL_REPAIRS - {mutant.without}


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("without-fua-commits", "walks"),
        ("without-dax-is-asked-for", "activations"),
        ("without-fua-commits-beginning", "walks"),
        ("memory-freed-without-fence", "walks"),
        ("memory-beginning-forgotten-in-sleep", "walks"),
    ],
)
def test_a_missing_repair_is_caught_and_small(name: str, by: str) -> None:
    caught = hunt(MUTANT_NAMES[name], "1", 30)
    assert caught.caught_by == by
    assert caught.n_ops <= MOST_OPERATIONS
    assert caught.n_crashes <= MOST_CRASHES
    assert Result(caught).as_expected


def test_a_trace_that_is_too_large_is_not_as_expected() -> None:
    small = Hunted(MUTANT_NAMES["without-fua-commits"], 0.0, caught_by="walks", n_ops=6)
    assert Result(small).as_expected
    assert not Result(small._replace(n_ops=7)).as_expected
    assert not Result(small._replace(n_crashes=2)).as_expected
    told = Hunted(MUTANT_NAMES["without-overwrite-newest"], 0.0, caught_by="walks", n_ops=8)
    assert Result(told).as_expected


@pytest.mark.parametrize("name", ["without-fua-commits", "memory-commit-without-first-fence"])
def test_the_explorer_catches_a_mutant_on_a_shortest_path(name: str) -> None:
    searched = search(MUTANT_NAMES[name], 20)
    assert 0 < len(searched.path) < 8
    assert searched.what


def test_the_explorer_finds_nothing_where_nothing_is_wrong() -> None:
    mutant = Mutant("planted", "nothing is wrong", ())
    searched = search(mutant, 2)
    assert not searched.path
    assert searched.level > 3


def test_an_equivalent_mutant_that_the_explorer_catches_is_not_as_expected() -> None:
    mutant = by_name("superblock-without-fua")._replace(equivalent="it is said to be")
    found = Searched(0.0, 1, False, "something", (("open",),))
    assert Result(Hunted(mutant, 0.0)).as_expected
    assert not Result(Hunted(mutant, 0.0), found).as_expected

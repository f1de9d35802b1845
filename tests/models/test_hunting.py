"""Hunting mutants: walks, vectors and the explorer catch them, and say how."""

import json
from pathlib import Path
from random import Random

import pytest

from writecache_models.mutants import Mutant, profile_of
from writecache_models.mutants.__main__ import main
from writecache_models.mutants.families import MUTANTS
from writecache_models.mutants.hunting import Hunted, hunt, walk
from writecache_models.mutants.missing import MISSING, MOST_CRASHES, MOST_OPERATIONS
from writecache_models.mutants.reporting import Result
from writecache_models.mutants.searching import Searched, search
from writecache_models.stocked import Plan
from writecache_models.walking import Bounds, usual_ops
from writecache_models.world import Setting
from writecache_spec.profile import PROFILES
from writecache_spec.repairs import ALL_REPAIRS, Repair


def hunted(name: str, seconds: float = 10.0) -> Hunted:
    return hunt(MUTANTS[name], "1", seconds)


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
    mutant = MUTANTS["superblock-without-fua"]
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
    assert walk(MUTANTS["no-superblock"], "1", lambda: False) is None


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
    mutant = MUTANTS["superblock-without-fua"]._replace(equivalent="it is said to be")
    monkeypatch.setitem(MUTANTS, mutant.name, mutant)
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
        ("without-resume-refuses-unreadable", "walks"),
        ("memory-freed-without-fence", "walks"),
        ("memory-beginning-forgotten-in-sleep", "walks"),
    ],
)
def test_a_missing_repair_is_caught_and_small(name: str, by: str) -> None:
    caught = hunt(MUTANTS[name], "1", 30)
    assert caught.caught_by == by
    assert caught.n_ops <= MOST_OPERATIONS
    assert caught.n_crashes <= MOST_CRASHES
    assert Result(caught).as_expected


def test_a_trace_that_is_too_large_is_not_as_expected() -> None:
    small = Hunted(MUTANTS["without-fua-commits"], 0.0, caught_by="walks", n_ops=6)
    assert Result(small).as_expected
    assert not Result(small._replace(n_ops=7)).as_expected
    assert not Result(small._replace(n_crashes=2)).as_expected
    told = Hunted(MUTANTS["without-overwrite-newest"], 0.0, caught_by="walks", n_ops=8)
    assert Result(told).as_expected


@pytest.mark.parametrize("name", ["without-fua-commits", "memory-commit-without-first-fence"])
def test_the_explorer_catches_a_mutant_on_a_shortest_path(name: str) -> None:
    searched = search(MUTANTS[name], 20)
    assert 0 < len(searched.path) < 8
    assert searched.what


def test_the_explorer_finds_nothing_where_nothing_is_wrong() -> None:
    mutant = Mutant("planted", "nothing is wrong", ())
    searched = search(mutant, 2)
    assert not searched.path
    assert searched.layer >= 1


def test_an_equivalent_mutant_that_the_explorer_catches_is_not_as_expected() -> None:
    mutant = MUTANTS["superblock-without-fua"]._replace(equivalent="it is said to be")
    found = Searched(0.0, 1, False, "something", (("open",),))
    assert Result(Hunted(mutant, 0.0)).as_expected
    assert not Result(Hunted(mutant, 0.0), found).as_expected

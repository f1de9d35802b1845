"""What counts as held: not what is vacuous, undecided, or has a twin that nobody refutes."""

from typing import Any

import pytest
import z3

from writecache_models.mutants import Edit
from writecache_proofs import second_solver
from writecache_proofs.assumptions import ASSUMPTIONS
from writecache_proofs.catalogue import named, theorems
from writecache_proofs.families import FAMILIES, crosshair, scalars
from writecache_proofs.judging import Options, judge_theorem
from writecache_proofs.second_solver import Counts, SecondSolver
from writecache_proofs.symbolic import Run, verify
from writecache_proofs.theorem import Family, Kind, Twin
from writecache_spec.units import wrap64

_WRONG = Edit(wrap64, "value % U64", "value % (U64 + 1)")
_HARMLESS = Edit(wrap64, "value % U64", "(value % U64) * 1")


def _fits(run: Run) -> None:
    """A wrapped number fits."""
    run.claim(wrap64(run.integer("value", 0, 2**65)) < 2**64, "it fits")


def test_a_theorem_with_its_twin() -> None:
    family = Family("test", __name__)
    family.theorem(Twin("wrong", (_WRONG,)))(_fits)
    outcome = judge_theorem(family.theorems[0], Options())
    assert outcome.fine
    assert outcome.witness
    (twin,) = outcome.twins
    assert wrap64(twin.values["value"]) < 2**64
    assert twin.values["value"] >= 2**64


def test_a_twin_that_holds_is_a_problem() -> None:
    family = Family("test", __name__)
    family.theorem(Twin("harmless", (_HARMLESS,)))(_fits)
    outcome = judge_theorem(family.theorems[0], Options())
    assert outcome.held
    assert not outcome.fine


def test_a_vacuous_theorem_does_not_hold() -> None:
    def nothing(run: Run) -> None:
        """Nothing."""
        run.suppose(run.integer("value", 0, 9) > 9)
        run.claim(False, "never met")

    family = Family("test", __name__)
    family.theorem()(nothing)
    outcome = judge_theorem(family.theorems[0], Options())
    assert not outcome.held
    assert outcome.problem.startswith("vacuous")


def test_what_is_not_necessary_does_not_hold() -> None:
    family = Family("test", __name__)
    family.necessary("needed", "It is needed.", _fits, _WRONG)
    family.necessary("not_needed", "It is not.", _fits, _HARMLESS)
    needed, not_needed = (judge_theorem(one, Options()) for one in family.theorems)
    assert needed.fine
    assert not not_needed.held


def test_a_mistake_that_does_not_fit_is_undecided() -> None:
    family = Family("test", __name__)
    family.theorem(Twin("gone", (Edit(wrap64, "no such text", ""),)))(_fits)
    outcome = judge_theorem(family.theorems[0], Options())
    assert not outcome.fine
    assert "PlantError" in outcome.twins[0].what


def test_the_second_solver_says_the_same_and_can_differ() -> None:
    theorem = named("sectors_and_bytes_round_trip")
    second = judge_theorem(theorem, Options(second_solver=True)).second
    assert second is not None
    assert second.asked == second.confirmed > 0
    solver = SecondSolver(5.0)
    assert solver.ask("(declare-const x Int)(assert (> x 1))(check-sat)") == "sat"


def test_what_contains_a_confirmed_contradiction_is_not_asked_again() -> None:
    a, b, c = z3.Ints("a b c")
    solver = SecondSolver(5.0)
    solver([b > 3, a > 2, a < 1])
    solver([c > 4, a > 2, b < 9, a < 1])
    assert solver.counts == Counts(asked=2, confirmed=2, questions=1)
    solver([b > 3, a > 2, b < 1])
    assert solver.counts == Counts(asked=3, confirmed=3, questions=2)


def test_what_only_bits_say_is_understood_as_such() -> None:
    a = z3.BitVec("a", 8)
    solver = SecondSolver(5.0)
    solver([a & 1 == 1, a * 2 == 3])
    solver([a & 1 == 1, a * 2 == 2])
    assert solver.counts == Counts(asked=2, confirmed=1, differences=1, questions=2)
    solver([a & 1 == 1, z3.BV2Int(a) == 2])
    assert solver.counts.confirmed == 2


def test_a_path_that_claims_nothing_asks_nothing() -> None:
    def nothing(run: Run) -> None:
        """Nothing, where the value is small."""
        if run.integer("value", 0, 9) > 5:
            run.claim(True, "nothing")

    asked: list[Any] = []
    verify(nothing, recorder=asked.append)
    assert not any("and))" in str(terms[-1].sexpr()) for terms in asked)


def test_no_contradiction_is_a_difference_whatever_was_confirmed_before() -> None:
    a, b = z3.Ints("a b")
    solver = SecondSolver(5.0)
    solver([a > 2, a < 1])
    solver([a > 2, b < 1])
    assert solver.counts == Counts(asked=2, confirmed=1, differences=1, questions=2)


def test_a_part_that_was_named_wrongly_confirms_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = z3.Ints("a b")
    monkeypatch.setattr(second_solver, "needed", lambda terms: terms[:1])
    solver = SecondSolver(5.0)
    solver([b > 3, a > 2, a < 1])
    assert solver.counts == Counts(asked=1, confirmed=1, questions=2)
    solver([b > 3, a > 2])
    assert solver.counts == Counts(asked=2, confirmed=1, differences=1, questions=4)


def test_every_theorem_is_complete() -> None:
    found = theorems()
    names = [theorem.name for theorem in found]
    assert len(found) >= 40
    assert len(set(names)) == len(names)
    assert {theorem.family for theorem in found} == set(FAMILIES)
    for theorem in found:
        assert theorem.statement.endswith("."), theorem.name
        assert theorem.twins, theorem.name
        assert named(theorem.name) is theorem
    assert len({name for name, _ in ASSUMPTIONS}) == len(ASSUMPTIONS)


def test_crosshair_cannot_fall_back_to_sampling() -> None:
    unlisted = crosshair.verdict(scalars.sectors_come_back)
    assert unlisted[0] == "CONFIRMED"
    kinds = {theorem.kind for theorem in crosshair.CROSSHAIR.theorems}
    assert kinds == {Kind.CONFIRMED}
    contracts = {name for name, one in vars(scalars).items()
                 if getattr(one, "__module__", "") == scalars.__name__}  # fmt: skip
    confirmed = {theorem.name for theorem in crosshair.CROSSHAIR.theorems}
    assert contracts == confirmed | set(crosshair.NOT_CONFIRMED)
    assert not confirmed & set(crosshair.NOT_CONFIRMED)


def test_a_finding_appears_on_the_faithful_reference() -> None:
    outcome = judge_theorem(named("a_commit_crashes_and_is_resumed"), Options())
    assert outcome.fine
    (twin,) = outcome.twins
    assert twin.finding == "two-entries-in-one-commit"
    assert twin.what == "recovery ends without an error"

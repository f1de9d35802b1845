"""Activations at random: nothing is wrong with the repaired reference, and what is planted is."""

from random import Random

import pytest

from writecache_models.activating import Table, draw_table, judge
from writecache_models.mutants import Edit, Mutant, planted
from writecache_models.mutants.families import MUTANTS
from writecache_spec import construct
from writecache_spec.profile import PROFILES, Profile

KERNEL = PROFILES["1.6.0-6.1-amd64"]


def tables(n: int) -> list[Table]:
    return [draw_table(Random(f"test-{number}")) for number in range(n)]


def wrongs(profile: Profile, n: int = 2000) -> set[str]:
    found = {judge(given, profile) for given in tables(n)}
    return {what.partition(":")[0] for what in found if what is not None}


@pytest.mark.parametrize("name", sorted(PROFILES))
def test_a_repaired_constructor_comes_to_a_cache_or_to_a_refusal(name: str) -> None:
    assert wrongs(PROFILES[name].repaired()) == set()


def test_what_tables_of_memory_do_to_the_kernel() -> None:
    assert wrongs(KERNEL, 4000) == {"a panic", "a refusal that is reported as success"}


def test_a_table_that_does_not_come_back_is_noticed() -> None:
    with planted(MUTANTS["max-age-not-counted"]):
        assert "its own table comes to something else" in wrongs(KERNEL.repaired())


def test_a_state_that_breaks_an_invariant_is_noticed() -> None:
    old = "superblock=superblock,"
    edit = Edit(construct._initial_state, old, f"{old} writeback_size=1,")
    with planted(Mutant("planted", "a cache begins with a block under writeback", (edit,))):
        assert "violated" in wrongs(KERNEL.repaired())


def test_a_cache_of_which_nothing_was_read_is_noticed() -> None:
    edit = Edit(construct.first_block_of, "if isinstance(arguments, Refusal):", "if True:")
    with planted(Mutant("planted", "reads nothing", (edit,))):
        assert wrongs(KERNEL.repaired()) == {"accepted, though nothing of the device is read"}


def test_a_refusal_without_a_reason_is_noticed() -> None:
    edit = Edit(construct._check_ssd, 'size.value, "Invalid device size"', 'size.value, ""')
    with planted(Mutant("planted", "says nothing", (edit,))):
        assert wrongs(KERNEL.repaired()) == {"a refusal without a reason"}

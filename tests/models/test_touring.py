"""The tour: that it sees what is planted on its way; what it reaches is measured elsewhere."""

from random import Random

import pytest

from writecache_models import touring
from writecache_models.fuzzing import plan
from writecache_models.mutants import Edit, Mutant, planted
from writecache_models.mutants.families import MUTANTS
from writecache_models.touring import TourError
from writecache_models.world import Setting
from writecache_spec import endio, layout
from writecache_spec.profile import PROFILES
from writecache_spec.units import ByteCount

PROFILE = PROFILES["1.6.0"].repaired()


def walk() -> None:
    for number in range(4):
        touring._walk(plan(PROFILE, Random(f"test-{number}")), f"test-{number}")


def test_a_state_that_breaks_an_invariant_ends_the_tour() -> None:
    walk()
    edit = Edit(endio._end_block, "wc.writeback_size - 1", "wc.writeback_size")
    wrong = Mutant("planted", "blocks stay under writeback", (edit,))
    with planted(wrong), pytest.raises(TourError, match="violated: "):
        walk()


def test_a_damaged_superblock_that_is_accepted_ends_the_tour() -> None:
    setting = Setting(PROFILE, "0", 3, 4, ByteCount(1024))
    touring._refuse(setting)
    edit = Edit(layout.check_superblock, "superblock.version != VERSION", "False")
    wrong = Mutant("planted", "takes any version", (edit,))
    with planted(wrong), pytest.raises(TourError, match="not refused"):
        touring._refuse(setting)


def test_a_table_that_does_not_come_back_ends_the_tour() -> None:
    with planted(MUTANTS["max-age-not-counted"]), pytest.raises(TourError, match="something else"):
        touring._activate(PROFILES["1.6.0"])

"""Paths on which the repaired reference once broke the contract: it keeps it on each now."""

import pytest

from writecache_models.mutants import Mutant, planted
from writecache_models.mutants.families import MUTANTS
from writecache_models.walking import Bounds, Walker, Wrong, events_of
from writecache_models.world import Setting, with_memory
from writecache_spec.profile import PROFILES

EAGER = "4 high_watermark 0 low_watermark 0"
SLEPT = (
    "open; begin write_fua 0 4; map 0; work None; work None; copy 0 False; begin write_fua 1 3; "
    "begin message cleaner; endio take None; map 1; endio None; map 1; io 0 False"
)
"""A FUA write stores its beginning, sleeps for a free block, and goes on past the cache: `fuzz
--matrix --seed final` met it (walk final-606)."""
PAST = [(SLEPT, MUTANTS["memory-beginning-forgotten-in-sleep"])]


def replay(path: str) -> Wrong | None:
    kernel = with_memory(PROFILES["1.6.0"].repaired())
    setting = Setting(kernel, EAGER, 6, 4, pmem_mode=True)
    return Walker(setting, Bounds((), 9)).replay(events_of(path), crash_in_format=False)


@pytest.mark.parametrize(("path", "mutant"), PAST)
def test_what_went_wrong_once_goes_wrong_no_more(path: str, mutant: Mutant) -> None:
    assert replay(path) is None
    with planted(mutant):
        wrong = replay(path)
    assert wrong is not None
    assert wrong.what == "after a crash, what is read is not what was promised"
    assert len(wrong.path) == len(events_of(path))

"""In which order copies can end, as far as that shows."""

import pytest

from writecache_models.copies import Copies, entangled
from writecache_spec.effects import Copy, WriteOrigin
from writecache_spec.events import CopyJob, WriteJob
from writecache_spec.units import BlockIndex, Sector


def copy(sector: int, n_sectors: int = 4) -> Copy:
    job = CopyJob(BlockIndex(0), 1, Sector(sector))
    return Copy(job, Sector(100 + sector), Sector(sector), Sector(n_sectors))


@pytest.mark.parametrize(
    ("sectors", "numbers"),
    [
        ([0], [0]),
        ([0, 4, 8], [0]),
        ([0, 8, 2], [0, 2]),
        ([8, 0, 2], [0]),
        ([8, 0, 6, 3], [0, 1, 2, 3]),
        ([0, 20, 2, 22, 5], [0, 2, 4]),
        ([0, 0, 40], [0, 1]),
    ],
)
def test_only_copies_that_write_one_place_with_the_first_or_through_others_can_be_before_it(
    sectors: list[int], numbers: list[int]
) -> None:
    assert entangled([copy(sector) for sector in sectors]) == numbers


def test_copies_end_pass_after_pass_and_a_fork_is_independent() -> None:
    copies = Copies(any_request=False, origin_sectors=1000)
    assert not copies
    for sectors in ((8, 4), (0,)):
        copies.begin_pass()
        for sector in sectors:
            copies.submit(copy(sector))
    # The first pass's two lie next to each other, and are merged.
    assert [one.origin_sector for one in copies.in_order()] == [4, 8, 0]
    fork = copies.fork()
    assert fork.key() == copies.key()
    assert copies.end(1).origin_sector == 8
    assert [one.origin_sector for one in copies.in_order()] == [4, 0]
    assert len(fork.in_order()) == 3


def test_what_reaches_beyond_the_origin_is_refused_before_others_end() -> None:
    copies = Copies(any_request=False, origin_sectors=9)
    for sector in (4, 8):
        copies.submit(copy(sector))
    assert copies.in_order()[0].origin_sector == 8


@pytest.mark.parametrize("fua", [True, False])
def test_writes_of_the_origin_are_merged_unless_they_are_written_with_fua(fua: bool) -> None:
    copies = Copies(any_request=False, origin_sectors=1000)
    copies.begin_pass()
    for sector in (8, 4, 0):
        job = WriteJob((BlockIndex(sector),), Sector(sector))
        copies.submit(WriteOrigin(job, Sector(sector), Sector(4), fua))
    ended = [one.origin_sector for one in copies.in_order()]
    assert ended == ([8, 4, 0] if fua else [0, 4, 8])

"""In which order copies can end, as far as that shows."""

import pytest

from writecache_models.copies import Copies, entangled
from writecache_spec.effects import Copy
from writecache_spec.events import CopyJob
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
    copies = Copies(any_request=False)
    assert not copies
    for sectors in ((8, 4), (0,)):
        copies.begin_pass()
        for sector in sectors:
            copies.submit(copy(sector))
    # The first pass's two lie next to each other, and are merged.
    assert [one.origin_sector for one in copies.in_order(1000)] == [4, 8, 0]
    fork = copies.fork()
    assert fork.key() == copies.key()
    assert copies.end(1, 1000).origin_sector == 8
    assert [one.origin_sector for one in copies.in_order(1000)] == [4, 0]
    assert len(fork.in_order(1000)) == 3
    # What reaches beyond the origin is refused before others end.
    assert fork.in_order(9)[0].origin_sector == 8

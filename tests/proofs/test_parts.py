"""Theorems that were cut in parts: together they say what the whole would."""

from collections.abc import Callable, Sequence
from itertools import combinations_with_replacement, product

import pytest

from writecache_proofs.families import running
from writecache_proofs.families.states import PARTS_OF_SIX, STATUSES, Part, Placed

Such = Callable[[Sequence[Placed]], bool]


def anything(_: Sequence[Placed]) -> bool:
    return True


PARTS: tuple[tuple[Such, tuple[Such, ...]], ...] = (
    (running.full, (running.full_and_committed, running.full_and_written)),
    (
        running.full_and_written,
        (running.full_and_first_written, running.full_and_other_written),
    ),
    (anything, (running.with_room, running.full_and_committed, running.full_and_written)),
    (
        running.written,
        (
            running.written_with_room,
            running.full_and_first_written,
            running.full_and_other_written,
        ),
    ),
)


def in_parts(whole: Such, parts: Sequence[Such]) -> bool:
    """Whether each cache of the whole is in one part, and no other is in any."""
    return all(
        sum(part(statuses) for part in parts) == whole(statuses)
        for statuses in product(STATUSES, repeat=3)
    )


@pytest.mark.parametrize(("whole", "parts"), PARTS)
def test_the_parts_are_the_whole(whole: Such, parts: Sequence[Such]) -> None:
    assert in_parts(whole, parts)


@pytest.mark.parametrize(("whole", "parts"), PARTS)
def test_a_part_that_is_missing_is_noticed(whole: Such, parts: Sequence[Such]) -> None:
    assert not in_parts(whole, parts[1:])


def in_parts_of_six(parts: Sequence[Part]) -> bool:
    return all(
        sum(part.includes(statuses) for part in parts) == 1
        for statuses in combinations_with_replacement(STATUSES, 6)
    )


def test_the_deep_parts_are_all_caches_of_six_blocks() -> None:
    assert in_parts_of_six(PARTS_OF_SIX)
    for missing in range(len(PARTS_OF_SIX)):
        assert not in_parts_of_six(PARTS_OF_SIX[:missing] + PARTS_OF_SIX[missing + 1 :])

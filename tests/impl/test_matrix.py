"""The matrix as data: what is empty, and what is said to be impossible and is not."""

from collections import Counter

from writecache_impl.cli.matrix import matrix_of
from writecache_models.cells import IMPOSSIBLE, Cell, reachable


def test_a_full_matrix_has_nothing_to_say() -> None:
    matrix = matrix_of(Counter(reachable()))
    assert not matrix["empty"]
    assert not matrix["wrongly_impossible"]
    assert len(matrix["impossible"]) == len(IMPOSSIBLE)


def test_an_empty_cell_is_named() -> None:
    cells = Counter[Cell](reachable())
    del cells["pmem", "map", "within", "copying"]
    assert matrix_of(cells)["empty"] == ["pmem / map / within / copying"]


def test_an_impossible_cell_that_is_reached_is_named_with_its_reason() -> None:
    cells = Counter[Cell](reachable())
    cells["SSD", "load", "within", "free"] += 1
    (wrong,) = matrix_of(cells)["wrongly_impossible"]
    assert wrong.startswith("SSD / load / within / free: a constructor writes only where")

"""The matrix of crashes, as plain data and as a table for each mode."""

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from writecache_impl.cli.common import print_table
from writecache_models.cells import (
    DEEDS,
    IMPOSSIBLE,
    MODES,
    POINTS,
    STATES,
    WITHIN,
    Cell,
    reachable,
)


def matrix_of(cells: Counter[Cell]) -> dict[str, Any]:
    """Every cell's count, which ones are empty, and which are said to be impossible and are not."""
    return {
        "cells": [[*cell, cells[cell]] for cell in (*reachable(), *IMPOSSIBLE)],
        "empty": [_named(cell) for cell in reachable() if not cells[cell]],
        "impossible": {_named(cell): why for cell, why in IMPOSSIBLE.items()},
        "wrongly_impossible": [
            f"{_named(cell)}: {why}" for cell, why in IMPOSSIBLE.items() if cells[cell]
        ],
    }


def _named(cell: Cell) -> str:
    return " / ".join(cell)


def print_matrix(matrix: Mapping[str, Any]) -> None:
    """The counts, the reasons, and what is wrong."""
    counts = {tuple(cell): count for *cell, count in matrix["cells"]}
    for mode in MODES:
        print_table(
            f"Events at which the power failed, by what was done and what was in the cache: {mode}",
            ["", *STATES],
            _rows(mode, counts),
        )
    for why in dict.fromkeys(IMPOSSIBLE.values()):
        cells = [cell for cell, reason in IMPOSSIBLE.items() if reason == why]
        modes, deeds = (", ".join(dict.fromkeys(cell[at] for cell in cells)) for at in (0, 1))
        print(f"impossible: {len(cells)} cells of {deeds} ({modes}): {why}")
    for kind in ("empty", "wrongly_impossible"):
        for cell in matrix[kind]:
            print(f"{kind.replace('_', ' ')}: {cell}")
    n_reachable = len(list(reachable()))
    print(
        f"{n_reachable} cells can be reached, {len(matrix['empty'])} empty cells; "
        f"{len(IMPOSSIBLE)} are impossible, {len(matrix['wrongly_impossible'])} of them reached"
    )


def _rows(mode: str, counts: Mapping[tuple[Any, ...], int]) -> Iterator[list[str]]:
    """A row for each deed and point that is possible at all; a dash is an impossible cell."""
    for deed, point in product(DEEDS, POINTS):
        cells = [(mode, deed, point, state) for state in STATES]
        row = [
            f"{counts[cell]:,}" if counts[cell] or cell not in IMPOSSIBLE else "-" for cell in cells
        ]
        if set(row) != {"-"}:
            yield ["   within" if point == WITHIN else deed, *row]

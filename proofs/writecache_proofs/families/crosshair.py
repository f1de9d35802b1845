"""CrossHair's verdict on each contract of `scalars`: confirmed over all paths, or listed with a
reason.

CrossHair runs the functions on symbolic values of its own, with its own picture of Python: another
judge of the same shipped code.  Where it stops without having met all paths it only has looked at
some; unless such a contract is listed in `NOT_CONFIRMED`, that is a failure.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from writecache_models.mutants import Edit
from writecache_proofs.families import scalars
from writecache_proofs.symbolic import Run
from writecache_proofs.theorem import Check, Family, Kind, Theorem, Twin
from writecache_spec import layout, ordered, units, vector

CROSSHAIR: Final = Family("crosshair", __name__)
NOT_CONFIRMED: Final = {
    "a_map_of_many_has_what_was_set": "lists of any length have no last path",
}
"""Contracts that CrossHair cannot go through, with the reason: they are tested instead."""
_SECONDS: Final = 25.0
_MISTAKES: Final[dict[str, Edit]] = {
    "a_wrapped_number_fits": Edit(units.wrap64, "value % U64", "value % (U64 + 1)"),
    "wrapping_twice_is_wrapping_once": Edit(units.wrap32, "value % U32", "value % (U32 + 1)"),
    "a_signed_number_fits": Edit(units.signed32, "low >= U32 // 2", "low > U32 // 2"),
    "sectors_come_back": Edit(units.sectors_of, "SECTOR_SIZE", "(SECTOR_SIZE + 1)"),
    "a_delay_is_not_short": Edit(units.jiffies_of, "+ tick - 1", ""),
    "the_sentinel_is_not_committed": Edit(
        layout.is_committed, "entry_seq_count < seq_count", "entry_seq_count <= seq_count"
    ),
    "regions_are_in_order": Edit(layout.entry_region, "// REGION_SIZE", "// 8"),
    "bits_cover": Edit(layout.bitmap_bits, "REGION_SIZE - 1", "REGION_SIZE"),
    "half_a_watermark": Edit(layout.freelist_watermark, "+ 50", "+ 150"),
    "a_map_has_what_was_set": Edit(
        ordered._set, "position == len(keys) or keys[position] != key", "True"
    ),
    "a_map_is_in_order": Edit(
        ordered._set, "(*keys[:position], key, *keys[position:])", "(*keys, key)"
    ),
    "a_map_forgets_what_was_removed": Edit(
        ordered._remove, "values[:position] + values[position + 1 :]",
        "values[:position] + values[position:][: len(values) - position - 1]",
    ),
    "a_map_finds_what_follows": Edit(
        ordered.OrderedMap.at_or_after, "position < len(node[0])", "position + 1 < len(node[0])"
    ),
    "a_vector_has_what_was_set": Edit(vector._set, "node[position + 1 :]", "node[position:]"),
}  # fmt: skip
"""For each contract a mistake in the shipped function that CrossHair must find."""


def verdict(function: Callable[..., Any]) -> tuple[str, str]:
    """CrossHair's state of a contract, and what it says."""
    core: Any = import_module("crosshair.core_and_libs")
    options: Any = import_module("crosshair.options")
    asked = options.AnalysisOptionSet(
        report_all=True,
        per_condition_timeout=_SECONDS,
        per_path_timeout=5.0,
        max_uninteresting_iterations=10**6,
        analysis_kind=[options.AnalysisKind.PEP316],
    )
    messages = list(core.run_checkables(core.analyze_function(function, asked)))
    if not messages:
        return "NOTHING", "no contract was found"
    worst = max(messages, key=lambda message: message.state.value)
    return worst.state.name, worst.message


def _confirms(name: str) -> Check:
    function: Callable[..., Any] = getattr(scalars, name)

    def check(run: Run) -> None:
        state, said = verdict(function)
        run.claim(state == "CONFIRMED", f"confirmed over all paths ({said})")

    check.__name__ = name
    return check


for _name, _function in list(vars(scalars).items()):
    if getattr(_function, "__module__", "") != scalars.__name__ or _name in NOT_CONFIRMED:
        continue
    CROSSHAIR.theorems.append(
        Theorem(
            CROSSHAIR.name,
            _name,
            f"CrossHair confirms that {_name.replace('_', ' ')}, over all paths.",
            _confirms(_name),
            (Twin("with a mistake in the function", (_MISTAKES[_name],)),),
            Kind.CONFIRMED,
        )
    )

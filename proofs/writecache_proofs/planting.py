"""Changes of shipped functions that several theorems need.

`no_wrap` lets the kernel's 64-bit arithmetic raise where a value would wrap: run under it, a
function that does not raise has no intermediate value out of its width.
"""

from contextlib import AbstractContextManager
from typing import Final

from writecache_models.mutants import Edit, Mutant, planted
from writecache_spec.units import wrap32, wrap64

_STRICT: Final = Mutant(
    "strict-width",
    "a value that would wrap raises",
    (
        Edit(
            wrap64,
            "    return value % U64\n",
            "    if 0 <= value and value < U64:\n        return value\n"
            "    raise OverflowError('64 bits')\n",
        ),
        Edit(
            wrap32,
            "    return value % U32\n",
            "    if 0 <= value and value < U32:\n        return value\n"
            "    raise OverflowError('32 bits')\n",
        ),
    ),
)


def no_wrap() -> AbstractContextManager[None]:
    """Within this block nothing wraps: it raises OverflowError."""
    return planted(_STRICT)

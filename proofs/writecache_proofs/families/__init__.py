"""The families of theorems, one module or a few each."""

from typing import Final

_NAMES: Final = {
    "sizes": ("sizes", "superblocks", "places"),
    "bits": ("bits",),
    "watermarks": ("watermarks",),
    "sequence": ("sequence",),
    "codec": ("codec",),
    "recovery": ("recovery",),
    "commit": ("commit",),
    "induction": ("induction", "writes", "requests", "passes", "copies"),
    "barriers": ("barriers", "formats", "waits"),
    "crosshair": ("crosshair",),
}
MODULES: Final = {
    family: tuple(f"{__name__}.{module}" for module in modules)
    for family, modules in _NAMES.items()
}
"""The modules of each family, in the order in which they are shown."""
FAMILIES: Final = tuple(MODULES)
"""Their names."""

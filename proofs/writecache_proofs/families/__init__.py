"""The families of theorems, one module or a few each."""

from typing import Final

MODULES: Final = {
    "sizes": ("sizes", "superblocks", "places"),
    "bits": ("bits",),
    "watermarks": ("watermarks",),
    "sequence": ("sequence",),
    "codec": ("codec",),
    "recovery": ("recovery",),
    "commit": ("commit",),
    "barriers": ("barriers", "formats"),
    "crosshair": ("crosshair",),
}
"""The modules of each family, in the order in which they are shown."""
FAMILIES: Final = tuple(MODULES)
"""Their names."""

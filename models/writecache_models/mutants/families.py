"""The families of mutants, and all of them by name."""

from typing import Final

from writecache_models.mutants.historical import HISTORICAL
from writecache_models.mutants.missing import MISSING
from writecache_models.mutants.ordering import ORDERING

FAMILIES: Final = {"historical": HISTORICAL, "ordering": ORDERING, "missing": MISSING}
MUTANTS: Final = {mutant.name: mutant for family in FAMILIES.values() for mutant in family}

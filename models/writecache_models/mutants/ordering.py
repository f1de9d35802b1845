"""Ordering mutants: the reference without one order, wait, flush or comparison that matters.

Each is the smallest change that drops one rule, in the order of the reference's modules: what
reaches the devices when (`commits`), where requests go (`requests`), how blocks go home
(`writebacks`), what begins, ends and recovers a cache
(`lives`), and the same of persistent-memory mode (`memories`).

A few turn out to be equivalent: the rule they drop holds for another reason as well, which is told.
"""

from typing import Final

from writecache_models.mutants.commits import COMMITS
from writecache_models.mutants.lives import LIVES
from writecache_models.mutants.memories import MEMORIES
from writecache_models.mutants.requests import REQUESTS
from writecache_models.mutants.writebacks import WRITEBACKS

ORDERING: Final = COMMITS + REQUESTS + WRITEBACKS + LIVES + MEMORIES
"""All of them."""

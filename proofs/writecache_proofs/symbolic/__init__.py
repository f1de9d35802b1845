"""A small symbolic executor: ordinary Python functions, run on values that Z3 knows only in part.

    def the_area_is_whole_blocks(run: Run) -> None:
        size = run.integer("size", 1, 2**40)
        run.claim(round_up(size, 512) % 512 == 0, "a multiple")

    verify(the_area_is_whole_blocks)

A property is a function of a `Run`.  It asks for values, calls *the shipped function* with them and
states claims.  `verify` runs it on symbolic values.  Where Python asks whether a symbolic condition
is true, the run goes on with one answer and is repeated from the beginning with the other, unless
the solver shows that the answer cannot be; there is no copy of the function, and no fork of the
process.  `replay` runs the same property on Python's own numbers: a counterexample is reported only
when it also fails there.

* `numbers`  integers without a width: fast where a range is known
* `bits`     integers as bit-vectors wide enough for whatever they can be
* `truth`    conditions
* `terms`    what the solver is told, each term built once
* `engine`   paths, decisions, the solver
* `run`      properties, and their replay on Python's own numbers
* `verifying` all paths of a property, and its counterexamples
"""

from writecache_proofs.symbolic.bits import Bits
from writecache_proofs.symbolic.engine import Limits, NotDecidedError, UnboundedError
from writecache_proofs.symbolic.numbers import Integer, either
from writecache_proofs.symbolic.run import (
    Counterexample,
    Replay,
    Run,
    replay,
)
from writecache_proofs.symbolic.truth import (
    Truth,
    UnsupportedError,
    all_of,
    any_of,
    implies,
    negation,
)
from writecache_proofs.symbolic.verifying import DisagreementError, Verdict, verify

__all__ = [
    "Bits",
    "Counterexample",
    "DisagreementError",
    "Integer",
    "Limits",
    "NotDecidedError",
    "Replay",
    "Run",
    "Truth",
    "UnboundedError",
    "UnsupportedError",
    "Verdict",
    "all_of",
    "any_of",
    "either",
    "implies",
    "negation",
    "replay",
    "verify",
]

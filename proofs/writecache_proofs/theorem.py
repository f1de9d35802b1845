"""Theorems: what is claimed of the shipped functions, and what would refute it.

A theorem is a property (see `symbolic`) with a statement in words: its docstring.  It counts only

* if it holds on every path, within the time that a theorem has;
* if its premises can hold and each of its claims is met: values for which they are, the *witness*,
  are found and run;
* if each of its *twins* is refuted: the same property with a mistake planted in the shipped
  function, or a property that claims too much.  The counterexample must fail on Python's own values
  too, and, where a mistake was planted, pass without it.

A theorem of *necessity* turns this round: with a change planted (a flush left out, say) the
property must fail, and the twin is the property without the change, which must hold.
"""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from writecache_models.mutants import Edit
from writecache_proofs.symbolic import Run

Check = Callable[[Run], None]


class Kind(Enum):
    """How far a result goes."""

    PROVED = "proved"
    """On every path the solver found the contrary contradictory."""
    CONFIRMED = "confirmed"
    """CrossHair went through all paths."""
    CHECKED = "checked"
    """Every case within the bound was run."""
    NECESSARY = "necessary"
    """Without it the property fails: there is a counterexample."""


class Twin(NamedTuple):
    """What must be refuted."""

    words: str
    """What is wrong with it."""
    edits: tuple[Edit, ...] = ()
    """A mistake in shipped functions."""
    check: Check | None = None
    """A property that claims too much, instead of the theorem's own."""
    finding: str | None = None
    """Of the described system, which the counterexample is an instance of."""


class Theorem(NamedTuple):
    """A claim."""

    family: str
    name: str
    statement: str
    check: Check
    twins: tuple[Twin, ...]
    kind: Kind = Kind.PROVED
    bound: str = ""
    """Of what the claim is made, where that is not everything; empty where it is.  What all of a
    family assume stands in `assumptions`."""
    edits: tuple[Edit, ...] = ()
    """What is planted: the theorem says that the property fails then, or holds nevertheless."""
    deep: bool = False
    """Only judged where much time is given."""


class Family:
    """The theorems of one module."""

    def __init__(self, name: str, module: str) -> None:
        self.name = name
        self.module = module
        self.theorems: list[Theorem] = []

    def theorem(
        self,
        *twins: Twin,
        kind: Kind = Kind.PROVED,
        bound: str = "",
        deep: bool = False,
    ) -> Callable[[Check], Check]:
        """Make a theorem of a property; its docstring is the statement, its name the name."""

        def add(check: Check) -> Check:
            self.theorems.append(
                Theorem(
                    self.name, name_of(check), statement_of(check), check, twins, kind, bound,
                    deep=deep,
                )
            )  # fmt: skip
            return check

        return add

    def redundant(self, name: str, statement: str, check: Check, edits: tuple[Edit, ...],
                  *twins: Twin) -> None:  # fmt: skip
        """Add the theorem that a property holds though these edits are made."""
        self.theorems.append(
            Theorem(self.name, name, statement, check, twins, Kind.PROVED, edits=edits)
        )

    def necessary(self, name: str, statement: str, check: Check, *edits: Edit) -> None:
        """Add the theorem that a property fails where these edits are made."""
        twin = Twin("as it ships", check=check)
        self.theorems.append(
            Theorem(self.name, name, statement, check, (twin,), Kind.NECESSARY, edits=edits)
        )


def name_of(check: Check) -> str:
    """A property's name."""
    return getattr(check, "__name__", "?").strip("_")


def statement_of(check: Check) -> str:
    """The docstring as one line."""
    text = " ".join((check.__doc__ or "").split())
    if not text:
        raise ValueError(f"{name_of(check)} states nothing")
    return text

"""Mutants: the reference with something wrong in one function, for machines to catch.

A mutant is data: which functions, and in each which text becomes which.  `planted` puts it in place
for as long as a `with` lasts:

    with planted(mutant):
        ...  # every caller, dispatch table and import meets the mutated function

It gives the function other code, not its callers another function: so nothing has to be found and
nothing can be missed, whoever imported the function, and whenever.  While a mutant is planted none
of its functions can be planted again; mutants of other functions can.

Families: `historical` (what upstream once mended), `ordering` (what must come before what) and
`missing` (one repair is not made: no edit, but another profile).  Who judges a mutant takes the
profile that it names, *with all repairs* (`profile_of`): it then shows as a breach of a contract
that holds without it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from inspect import getsource
from textwrap import dedent
from types import CodeType, FunctionType
from typing import Any, Literal, NamedTuple

from writecache_spec.profile import PROFILES, Profile
from writecache_spec.repairs import NO_REPAIRS, Repair


class Edit(NamedTuple):
    """One change of one function's body."""

    function: Callable[..., Any]
    """Of a module, without a decorator."""
    old: str
    """Text that occurs once in the function, indentation and line ends included."""
    new: str


class Mutant(NamedTuple):
    """A wrong reference."""

    name: str
    """In kebab-case; no two have the same."""
    subject: str
    """What is wrong, in one line."""
    edits: tuple[Edit, ...]
    """Those of one function apply one after the other."""
    history: str | None = None
    """Title of the upstream commit that once mended it."""
    profile: str = "1.6.0"
    """Of `PROFILES`: a kernel that it can be seen on."""
    options: str = ""
    """Words of the table line without which it cannot be seen."""
    failures: int = 0
    """How many I/Os must fail before it can be seen."""
    n_entries: int = 1
    """With fewer cache blocks of 512 bytes it does no harm."""
    pmem_mode: bool = False
    """Whether it can be seen in persistent-memory mode only."""
    caught_by: Literal["machines", "activations", "vectors"] = "machines"
    """Whether the contract is broken, a table kills the kernel, or what is done is only not what
    kernels do."""
    without: Repair | None = None
    """A repair that is not made, where that is all that is wrong."""
    equivalent: str | None = None
    """Why nobody can see it; None where somebody must."""


def profile_of(mutant: Mutant) -> Profile:
    """The one that it is judged by: with all repairs, but for the one that it is without."""
    missing = NO_REPAIRS if mutant.without is None else frozenset({mutant.without})
    return PROFILES[mutant.profile].repaired(without=missing)


class PlantError(Exception):
    """A mutant does not fit the reference as it stands."""


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """Put a mutant in place; raises PlantError, and then nothing is changed."""
    codes = {function: _mutated(mutant, function) for function in _functions(mutant)}
    with ExitStack() as undo:
        for function, code in codes.items():
            undo.callback(setattr, function, "__code__", function.__code__)
            function.__code__ = code
        yield


def _functions(mutant: Mutant) -> dict[FunctionType, None]:
    """What it changes, in the order of its edits."""
    found: dict[FunctionType, None] = {}
    for edit in mutant.edits:
        if not isinstance(edit.function, FunctionType):
            raise PlantError(f"{mutant.name}: {edit.function!r} is no function")
        found[edit.function] = None
    return found


def _mutated(mutant: Mutant, function: FunctionType) -> CodeType:
    """The code of a function with all its edits; raises PlantError."""
    where = f"{mutant.name}: {function.__module__}.{function.__name__}"
    if function.__code__.co_filename.startswith("<mutant"):
        raise PlantError(f"{where} is mutated already")
    source = dedent(getsource(function))
    for edit in mutant.edits:
        if edit.function is function:
            if (n_found := source.count(edit.old)) != 1:
                raise PlantError(f"{where}: {edit.old!r} is there {n_found} times")
            source = source.replace(edit.old, edit.new)
    made: dict[str, Any] = {}
    try:
        code = compile(source, f"<mutant {where}>", "exec", dont_inherit=True)
    except SyntaxError as error:
        raise PlantError(f"{where} does not compile: {error}") from error
    exec(code, function.__globals__, made)
    mutated: FunctionType = made[function.__name__]
    return mutated.__code__

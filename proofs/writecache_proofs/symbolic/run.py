"""Properties, run on symbolic values or on Python's own, and the counterexamples of one in the
other.

A property asks a `Run` for values by name, supposes premises, calls what it is about and states
claims.  `verify` takes all its paths; a path on which a claim can fail, or which raises, has a
model: its values are Python's, and the property is run again on them.  Only what fails there, too,
is a counterexample; if it does not, the executor is wrong, which is an error of its own.

So that this does not rest on paths that fail, every path that holds is run on one of its models as
well: all of its premises and claims must hold there.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from writecache_proofs.symbolic.truth import UnsupportedError

Values = Mapping[str, int]
T = TypeVar("T")


class Run:
    """What a property is given."""

    def integer(self, name: str, low: int, high: int) -> Any:
        """An integer between two bounds, inclusive."""
        raise NotImplementedError

    def bits(self, name: str, low: int, high: int) -> Any:
        """The same where its bits matter."""
        raise NotImplementedError

    def flag(self, name: str) -> Any:
        """True or false."""
        return self.integer(name, 0, 1) == 1

    def choose(self, name: str, options: Sequence[T]) -> T:
        """One of several things, a path for each."""
        number = self.integer(name, 0, len(options) - 1)
        for position, option in enumerate(options[:-1]):
            if number == position:
                return option
        return options[-1]

    def suppose(self, condition: object) -> None:
        """Go on only where a premise holds."""
        raise NotImplementedError

    def claim(self, condition: object, words: str) -> None:
        """State what must hold here."""
        raise NotImplementedError

    def allow_keys(self) -> None:
        """Let symbolic numbers be keys of dictionaries: none of them has plain numbers for keys."""

    def visits(self, function: Callable[..., Any], text: str) -> int | None:
        """How often a line of a function tested a truth; None where nobody counts."""
        return None


class FailedError(Exception):
    """A claim does not hold; the message is the claim."""


class UnmetError(Exception):
    """A premise does not hold."""


class Replay(Run):
    """A run on Python's own values."""

    def __init__(self, values: Values) -> None:
        self.values = values
        self.claimed: list[str] = []

    def integer(self, name: str, low: int, high: int) -> Any:
        """The value of that name; a value that was of no account is the least there is."""
        value = self.values.get(name, low)
        if not low <= value <= high:
            raise UnmetError(f"{name} is {value}, not between {low} and {high}")
        return value

    bits = integer

    def suppose(self, condition: object) -> None:
        """End the run where the premise does not hold."""
        if not condition:
            raise UnmetError("a premise does not hold")

    def claim(self, condition: object, words: str) -> None:
        """Fail where it does not hold."""
        self.claimed.append(words)
        if not condition:
            raise FailedError(words)


class Counterexample(NamedTuple):
    """Values on which a property fails; it was run on them."""

    what: str
    """The claim, or what was raised."""
    values: dict[str, int]


def replay(check: Callable[[Run], None], values: Values) -> str | None:
    """Run a property on Python's own values; what fails, or None.

    Raises UnmetError where a premise does not hold.
    """
    try:
        check(Replay(values))
    except FailedError as failed:
        return str(failed)
    except (UnmetError, UnsupportedError):
        raise
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None

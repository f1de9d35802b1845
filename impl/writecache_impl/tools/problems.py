"""What a check finds: where, what, how bad, and what follows from it."""

from collections.abc import Sequence
from enum import Enum
from typing import Any, NamedTuple


class Severity(Enum):
    """How bad it is."""

    NOTE = "note"
    """What a crash leaves, and recovery mends by itself: no problem."""
    WARNING = "warning"
    """Some data may be wrong or missing; the cache can be used."""
    ERROR = "error"
    """A kernel would refuse, format the device, set its error flag, or data is lost."""


class Problem(NamedTuple):
    """Something that a check found."""

    severity: Severity
    where: str
    what: str
    consequence: str
    numbers: tuple[int, ...] = ()
    """The first entries, blocks or sectors that it is about."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**self._asdict(), "severity": self.severity.value, "numbers": list(self.numbers)}


MOST_NAMED = 16


def some(values: Sequence[int]) -> tuple[int, ...]:
    """The first of them."""
    return tuple(values[:MOST_NAMED])


def listed(values: Sequence[int]) -> str:
    """Numbers in words, the first of them if there are many.

    >>> listed([3, 4, 7]), listed(range(100, 120))[-12:]
    ('3, 4, 7', '115 and more')
    """
    more = " and more" if len(values) > MOST_NAMED else ""
    return ", ".join(map(str, values[:MOST_NAMED])) + more


def counted(number: int, noun: str) -> str:
    """A number and its noun.

    >>> counted(1, "block"), counted(2000, "block"), counted(2, "entry")
    ('1 block', '2,000 blocks', '2 entries')
    """
    plural = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun if number == 1 else plural}"

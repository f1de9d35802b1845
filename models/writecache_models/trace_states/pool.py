"""Values that are said once: a document refers to them by number."""

import json
from typing import Any


class Pool:
    """JSON values, each kept once however often it is added.

    >>> pool = Pool()
    >>> pool.add(["a"]), pool.add(["b"]), pool.add(["a"]), pool.values
    (0, 1, 0, [['a'], ['b']])
    """

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._numbers: dict[str, int] = {}

    def add(self, value: Any) -> int:
        """The number of a value."""
        key = json.dumps(value, separators=(",", ":"))
        number = self._numbers.setdefault(key, len(self.values))
        if number == len(self.values):
            self.values.append(value)
        return number

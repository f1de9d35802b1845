"""Which word of a refused table was wrong: the kernel's message tells only of what kind it is."""

from typing import Final

from writecache_impl.engine.config import LIKE
from writecache_spec.arguments import (
    BAD_ARGUMENTS,
    INVALID_OPTION,
    BlockDevice,
    Refusal,
    parse_arguments,
)
from writecache_spec.numbers import split_words
from writecache_spec.units import ByteCount

_HEAD: Final = ("mode", "origin", "cache", "block size", "number of option words")
"""What a table begins with."""


def wrong_word(table: str, cache_size: int) -> str | None:
    """What is wrong with a table over a cache of `cache_size` bytes; None: not its words alone.

    >>> wrong_word("s O C 4096 1 high_watermark", 2**20)
    'high_watermark has no value'
    >>> wrong_word("s O C 4096 2 high_watermark 60", 2**20)
    """
    words = tuple(split_words(table))
    refusal = _refusal(words, cache_size)
    if refusal is None:
        return None
    absent = next(iter(_HEAD[len(words) :]), None)
    if refusal == BAD_ARGUMENTS:
        is_mode = words and words[0].lower() in ("s", "p")
        return f"there is no {absent}" if is_mode or not words else f"{words[0]} is no mode (s, p)"
    if refusal == INVALID_OPTION:
        return _wrong_option(words[:4], words[5 : 5 + int(words[4])], cache_size)
    if refusal.message == "Invalid block size":
        return f"{words[3]} is no power of two from 512 to {LIKE.environment.page_size}"
    if refusal.message == "Invalid number of feature args":
        if absent is not None:
            return f"there is no {absent}"
        most = min(len(words) - 5, LIKE.maximum_feature_args)
        return f"{words[4]} is no number of option words up to {most}"
    return None


def _refusal(words: tuple[str, ...], cache_size: int) -> Refusal | None:
    device = BlockDevice(ByteCount(cache_size), is_persistent_memory=True)
    made = parse_arguments(words, dict.fromkeys(words[1:3], device), LIKE)
    return made if isinstance(made, Refusal) else None


def _wrong_option(head: tuple[str, ...], options: tuple[str, ...], cache_size: int) -> str:
    """The first option that is not accepted, with its value."""

    def is_invalid(*some: str) -> bool:
        return _refusal((*head, str(len(some)), *some), cache_size) == INVALID_OPTION

    # They are read from the left: whatever is accepted ends before the one that is not.
    n_good = max(n for n in range(len(options)) if not is_invalid(*options[:n]))
    name, *rest = options[n_good:]
    if is_invalid(name, "0"):
        return f"{name} is no option in mode {head[0]}"
    return f"{rest[0]} is no value of {name}" if rest else f"{name} has no value"

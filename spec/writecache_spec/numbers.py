"""Words and numbers in a table line, as the kernel reads them.

Describes `dm_split_args` and the conversions `%u`, `%d` and `%llu` of the kernel's `sscanf`, which
the constructor uses with a trailing `%c` so that anything after the number is refused.
"""

from writecache_spec.units import U64, signed32, wrap32, wrap64

_SPACES = " \t\n\v\f\r\xa0"
"""What the kernel's `isspace` calls white space."""

_DIGITS = "0123456789"


def split_words(text: str) -> tuple[str, ...]:
    r"""Split a table line into words; a backslash quotes the next character.

    >>> split_words("s  ORIGIN CACHE\t4096 0")
    ('s', 'ORIGIN', 'CACHE', '4096', '0')
    >>> split_words(r"a\ b c")
    ('a b', 'c')
    """
    words: list[str] = []
    word: list[str] | None = None
    position = 0
    while position < len(text):
        character = text[position]
        if character == "\\" and position + 1 < len(text):
            position += 1
            word = word or []
            word.append(text[position])
        elif character in _SPACES:
            if word is not None:
                words.append("".join(word))
            word = None
        else:
            word = word or []
            word.append(character)
        position += 1
    if word is not None:
        words.append("".join(word))
    return tuple(words)


def parse_unsigned32(word: str, saturates: bool = False) -> int | None:
    """Read a word as `%u%c` does: the low 32 bits of a decimal number, None if it is none.

    What has more than 64 bits is cut to 64 first, or where it `saturates` is the largest of them.

    >>> parse_unsigned32("007"), parse_unsigned32("4294967296"), parse_unsigned32("-1")
    (7, 0, None)
    >>> parse_unsigned32("4096k"), parse_unsigned32("0x10")
    (None, None)
    """
    magnitude = _magnitude(word.lstrip(_SPACES), saturates)
    return None if magnitude is None else wrap32(magnitude)


def parse_unsigned64(word: str, saturates: bool = False) -> int | None:
    """Read a word as `%llu%c` does: the low 64 bits of a decimal number, None if it is none.

    >>> parse_unsigned64(str(2**64 + 3)), parse_unsigned64(str(2**64), saturates=True) == U64 - 1
    (3, True)
    >>> parse_unsigned64("1" + 9999 * "0" + "5"), parse_unsigned64(9999 * "0" + "5", True)
    (5, 5)
    """
    return _magnitude(word.lstrip(_SPACES), saturates)


def parse_signed32(word: str, saturates: bool = False) -> int | None:
    """Read a word as `%d%c` does: the low 32 bits of a decimal number, as two's complement.

    >>> parse_signed32("-5"), parse_signed32("4294967295"), parse_signed32("+5")
    (-5, -1, None)
    """
    digits = word.lstrip(_SPACES)
    negative = digits.startswith("-")
    magnitude = _magnitude(digits[1:] if negative else digits, saturates)
    if magnitude is None:
        return None
    return signed32(-magnitude if negative else magnitude)


def _magnitude(digits: str, saturates: bool) -> int | None:
    if not digits or any(digit not in _DIGITS for digit in digits):
        return None
    # A number may have any number of digits.  10**64 is a multiple of 2**64, so that the last 64
    # decide what is left of it; what needs more than 20 is past 2**64.
    significant = digits.lstrip("0")
    if saturates and (len(significant) > 20 or int(significant or "0") >= U64):
        return U64 - 1
    return wrap64(int(significant[-64:] or "0"))

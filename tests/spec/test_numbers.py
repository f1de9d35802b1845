"""Words and numbers of a table line are read as the kernel reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writecache_spec.numbers import (
    parse_signed32,
    parse_unsigned32,
    parse_unsigned64,
    split_words,
)
from writecache_spec.units import (
    U32,
    U64,
    bytes_of,
    jiffies_of,
    sectors_of,
    signed32,
    wrap32,
    wrap64,
)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", ()),
        (" \t\n", ()),
        ("a", ("a",)),
        ("  a\tb\n\v\f\rc\xa0d ", ("a", "b", "c", "d")),
        (r"a\ b", ("a b",)),
        (r"\a\\b", (r"a\b",)),
        ("\\\n x", ("\n", "x")),
        ("a\\", ("a\\",)),
        ("\\", ("\\",)),
    ],
)
def test_a_line_splits_at_white_space_unless_quoted(line: str, words: tuple[str, ...]) -> None:
    assert split_words(line) == words


@given(st.lists(st.text(alphabet="ab \\\t", min_size=1, max_size=5), max_size=5))
def test_quoted_words_come_back_as_they_were(words: list[str]) -> None:
    line = " ".join("".join("\\" + letter for letter in word) for word in words)
    assert split_words(line) == tuple(words)


@given(st.integers(0, 2**70))
def test_numbers_keep_their_low_bits(value: int) -> None:
    assert parse_unsigned32(str(value)) == value % U32
    assert parse_unsigned64(str(value)) == value % U64
    assert parse_signed32(str(value)) == signed32(value)
    assert parse_signed32(f"-{value}") == signed32(-(value % U64))


@pytest.mark.parametrize("value", [U64, U64 + 5, 10**30])
def test_what_overflows_64_bits_is_cut_or_saturates_by_profile(value: int) -> None:
    for parse in (parse_unsigned32, parse_unsigned64, parse_signed32):
        assert parse(str(value), saturates=True) == parse(str(U64 - 1))
        assert parse(f"-{value}", saturates=True) == parse(f"-{U64 - 1}")
        assert parse(str(value), saturates=False) == {
            parse_unsigned32: value % U32,
            parse_unsigned64: value % U64,
            parse_signed32: signed32(value),
        }.get(parse)
    assert parse_unsigned64(str(U64 - 1), saturates=True) == U64 - 1
    assert parse_unsigned32(str(U64 - 1), saturates=True) == U32 - 1


@pytest.mark.parametrize(
    "word", ["", " ", "+5", "0x10", "1e3", "5k", "5 ", "--5", "٣", "5\n", "- 5"]
)
def test_what_is_no_number_is_refused(word: str) -> None:
    assert parse_unsigned32(word) is None
    assert parse_unsigned64(word) is None
    assert parse_signed32(word) is None


def test_signs_belong_to_signed_numbers_only() -> None:
    assert (parse_signed32("-5"), parse_signed32("-0")) == (-5, 0)
    assert (parse_unsigned32("-5"), parse_unsigned64("-0")) == (None, None)
    assert parse_signed32("2147483648") == -(2**31)
    assert parse_signed32("-2147483649") == 2**31 - 1


def test_white_space_before_a_number_is_passed_over() -> None:
    assert parse_unsigned32(" \t\xa0007") == 7
    assert parse_unsigned64(" 7") == 7
    assert parse_signed32(" -7") == -7


@given(st.integers(-(2**70), 2**70))
def test_wrapping_is_congruent_and_in_range(value: int) -> None:
    assert (wrap64(value) - value) % U64 == 0
    assert 0 <= wrap64(value) < U64
    assert (wrap32(value) - value) % U32 == 0
    assert 0 <= wrap32(value) < U32
    assert (signed32(value) - value) % U32 == 0
    assert -U32 // 2 <= signed32(value) < U32 // 2


@given(st.integers(0, 2**55))
def test_sectors_and_bytes_convert_back(sectors: int) -> None:
    assert sectors_of(bytes_of(sectors)) == sectors
    assert sectors_of(bytes_of(sectors) + 511) == sectors


@pytest.mark.parametrize("hz", [100, 250, 1000])
def test_ticks_are_the_fewest_that_last_long_enough(hz: int) -> None:
    tick = 1000 // hz
    for milliseconds in range(50):
        ticks = jiffies_of(milliseconds, hz)
        assert ticks * tick >= milliseconds > (ticks - 1) * tick


def test_a_long_line_is_split_in_the_time_it_takes_to_read() -> None:
    # Quadratic, a million characters would take minutes.
    assert split_words("x" * 10**6 + " " + "\\y" * 10**5) == ("x" * 10**6, "y" * 10**5)

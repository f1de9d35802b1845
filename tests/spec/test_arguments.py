"""Table lines: what is accepted, which errno and message a bad one gets, and the line back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from writecache_spec.arguments import (
    Arguments,
    BlockDevice,
    Refusal,
    parse_arguments,
    same_word,
    table_line,
    watermarks,
)
from writecache_spec.numbers import split_words
from writecache_spec.profile import PROFILES, profile_for_kernel

CACHE_SECTORS = 2048
DEVICES = {
    "ORIGIN": BlockDevice(1 << 20),
    "CACHE": BlockDevice(512 * CACHE_SECTORS),
    "COARSE": BlockDevice(1 << 20, 4096),
}
BAD = Refusal("EINVAL", "Bad arguments")
BLOCK = Refusal("EINVAL", "Invalid block size")
COUNT = Refusal("EINVAL", "Invalid number of feature args")
OPTION = Refusal("EINVAL", "Invalid optional argument")
COARSE = Refusal("EINVAL", "Block size is smaller than device logical block size")
ORDER = Refusal("EINVAL", "High watermark must be greater than or equal to low watermark")
HEAD = "s ORIGIN CACHE 4096"


def parse(line: str, profile: str = "1.6.0") -> Arguments | Refusal:
    return parse_arguments(split_words(line), DEVICES, PROFILES[profile])


def accepted(line: str, profile: str = "1.6.0") -> Arguments:
    arguments = parse(line, profile)
    assert isinstance(arguments, Arguments), arguments
    return arguments


PLAIN = Arguments("ORIGIN", "CACHE", 4096)


@pytest.mark.parametrize(
    ("line", "refusal"),
    [
        ("", BAD),
        ("x ORIGIN CACHE 4096 0", BAD),
        ("ss ORIGIN CACHE 4096 0", BAD),
        ("s", BAD),
        ("s ORIGIN", BAD),
        ("s ORIGIN CACHE", BAD),
        ("s NONE", Refusal("ENOENT", "Origin data device lookup failed")),
        ("s ORIGIN NONE", Refusal("ENOENT", "Cache data device lookup failed")),
        ("s NONE NONE 1", Refusal("ENOENT", "Origin data device lookup failed")),
        ("s origin CACHE 4096 0", Refusal("ENOENT", "Origin data device lookup failed")),
        ("p", Refusal("ENOTSUP", "Persistent memory or DAX not supported on this system")),
        ("P NONE", Refusal("ENOTSUP", "Persistent memory or DAX not supported on this system")),
        ("s ORIGIN CACHE x 0", BLOCK),
        ("s ORIGIN CACHE 0 0", BLOCK),
        ("s ORIGIN CACHE 256 x", BLOCK),
        ("s ORIGIN CACHE 511 0", BLOCK),
        ("s ORIGIN CACHE 1536 0", BLOCK),
        ("s ORIGIN CACHE 8192 0", BLOCK),
        ("s ORIGIN CACHE -512 0", BLOCK),
        ("s COARSE CACHE 2048 x", COARSE),
        ("s ORIGIN COARSE 512 x", COARSE),
        (HEAD, COUNT),
        (f"{HEAD} x", COUNT),
        (f"{HEAD} -1", COUNT),
        (f"{HEAD} 1", COUNT),
        (f"{HEAD} 3 cleaner cleaner", COUNT),
        (f"{HEAD} 19" + " cleaner" * 19, COUNT),
        (f"{HEAD} 1 unknown", OPTION),
        (f"{HEAD} 1 fua", OPTION),
        (f"{HEAD} 1 nofua", OPTION),
        (f"{HEAD} 2 cleaner 1", OPTION),
        (f"{HEAD} 1 high_watermark 50", OPTION),
        (f"{HEAD} 2 max_age 1x", OPTION),
        (f"{HEAD} 4 high_watermark 10 low_watermark 20", ORDER),
        (f"{HEAD} 2 high_watermark 44", ORDER),
        (f"{HEAD} 2 low_watermark 51", ORDER),
        (f"{HEAD} 3 low_watermark 51 x", OPTION),
    ],
)
def test_a_bad_line_is_refused_for_its_first_fault(line: str, refusal: Refusal) -> None:
    assert parse(line) == refusal


@pytest.mark.parametrize(
    ("name", "largest"),
    [
        ("start_sector", CACHE_SECTORS - 1),
        ("high_watermark", 100),
        ("writeback_jobs", 2**32 - 1),
        ("autocommit_blocks", 2**32 - 1),
        ("autocommit_time", 3_600_000),
        ("max_age", 86_400_000),
        ("pause_writeback", 60_000),
    ],
)
def test_options_have_limits(name: str, largest: int) -> None:
    low = " low_watermark 0"
    assert getattr(accepted(f"{HEAD} 4 {name} {largest}{low}"), name) == largest
    assert getattr(accepted(f"{HEAD} 4 {name} 0{low}"), name) == 0
    beyond = accepted(f"{HEAD} 4 {name} {2**64}{low}")
    assert getattr(beyond, name) == 0
    # 7.2 takes what has more than 64 bits as the largest number, and then looks at the limit.
    saturated = parse(f"{HEAD} 4 {name} {2**64}{low}", "1.6.0-7.2")
    if largest == 2**32 - 1:
        assert getattr(saturated, name) == largest
    else:
        assert saturated == OPTION
    assert parse(f"{HEAD} 4 {name} -1{low}") == OPTION
    if largest < 2**32 - 1:
        assert parse(f"{HEAD} 4 {name} {largest + 1}{low}") == OPTION
    else:
        assert getattr(accepted(f"{HEAD} 4 {name} {largest + 1}{low}"), name) == 0


def test_a_low_watermark_has_limits() -> None:
    assert accepted(f"{HEAD} 4 low_watermark 100 high_watermark 100").low_watermark == 100
    assert accepted(f"{HEAD} 2 low_watermark -0").low_watermark == 0
    assert parse(f"{HEAD} 2 low_watermark 101") == OPTION
    assert parse(f"{HEAD} 2 low_watermark -1") == OPTION


def test_watermarks_have_defaults() -> None:
    assert watermarks(PLAIN) == (50, 45)
    assert watermarks(PLAIN._replace(high_watermark=0, low_watermark=0)) == (0, 0)


def test_a_start_sector_lies_on_the_cache_device() -> None:
    assert parse(f"{HEAD} 2 start_sector {CACHE_SECTORS}") == OPTION


def test_a_block_size_may_be_the_logical_one() -> None:
    assert accepted("s COARSE CACHE 4096 0") == Arguments("COARSE", "CACHE", 4096)
    assert accepted("s ORIGIN CACHE 512 0").block_size == 512
    assert accepted(f"s ORIGIN CACHE {2**32 + 512} 0").block_size == 512


def test_the_same_device_may_be_named_twice() -> None:
    assert accepted("s CACHE CACHE 4096 0") == Arguments("CACHE", "CACHE", 4096)


def test_case_does_not_matter_for_mode_and_options() -> None:
    expected = PLAIN._replace(cleaner=True, max_age=5)
    assert accepted("S ORIGIN CACHE 04096 3 CleanER MAX_AGE 5") == expected
    assert not same_word("cleaner ", "cleaner")
    assert not same_word("\udcff", "s")


def test_the_last_of_repeated_options_counts() -> None:
    line = f"{HEAD} 7 max_age 5 cleaner max_age 7 high_watermark 101"
    assert parse(line) == OPTION
    line = f"{HEAD} 6 high_watermark 10 high_watermark 60 max_age 7"
    assert accepted(line) == PLAIN._replace(high_watermark=60, max_age=7)


def test_words_beyond_the_count_are_ignored() -> None:
    assert accepted(f"{HEAD} 0 cleaner nonsense") == PLAIN
    assert accepted(f"{HEAD} 1 cleaner nonsense") == PLAIN._replace(cleaner=True)
    assert accepted(f"{HEAD} {2**32}") == PLAIN


@pytest.mark.parametrize(("profile", "most"), [("1.4.0", 16), ("1.6.0", 18)])
def test_the_count_has_a_limit_by_version(profile: str, most: int) -> None:
    assert accepted(f"{HEAD} {most}" + " cleaner" * most, profile).cleaner
    assert parse(f"{HEAD} {most + 1}" + " cleaner" * (most + 1), profile) == COUNT


@pytest.mark.parametrize("option", ["1 metadata_only", "2 pause_writeback 5"])
def test_newer_options_are_unknown_to_older_targets(option: str) -> None:
    name = option.split()[1]
    assert getattr(accepted(f"{HEAD} {option}"), name)
    assert parse(f"{HEAD} {option}", "1.4.0") == OPTION


def test_an_unknown_device_has_the_errno_of_its_kernel() -> None:
    refusal = parse("s NONE", "1.4.0-bullseye")
    assert refusal == Refusal("ENODEV", "Origin data device lookup failed")


OPTIONAL = {
    "start_sector": st.integers(0, CACHE_SECTORS - 1),
    "high_watermark": st.integers(50, 100),
    "low_watermark": st.integers(0, 50),
    "writeback_jobs": st.integers(0, 2**32 - 1),
    "autocommit_blocks": st.integers(0, 2**32 - 1),
    "autocommit_time": st.integers(0, 3_600_000),
    "max_age": st.integers(0, 86_400_000),
    "pause_writeback": st.integers(0, 60_000),
}


@given(
    st.fixed_dictionaries({}, optional=OPTIONAL),
    st.booleans(),
    st.booleans(),
    st.sampled_from((512, 1024, 2048, 4096)),
)
def test_a_table_line_parses_back(
    values: dict[str, int], cleaner: bool, metadata_only: bool, block_size: int
) -> None:
    given_ = Arguments(
        "ORIGIN", "CACHE", block_size, cleaner=cleaner, metadata_only=metadata_only, **values
    )
    assert accepted(table_line(given_)) == given_


def test_a_table_line_has_the_kernels_order() -> None:
    line = (
        "s ORIGIN CACHE 512 18 start_sector 8 high_watermark 60 low_watermark 0 writeback_jobs 1 "
        "autocommit_blocks 2 autocommit_time 3 max_age 4 cleaner metadata_only pause_writeback 0"
    )
    assert table_line(accepted(line)) == line
    assert table_line(PLAIN) == f"{HEAD} 0"


@pytest.mark.parametrize(
    ("release", "target", "name"),
    [
        ("5.10.46", "1.4.0", "1.4.0-bullseye"),
        ("5.10.51-um", "1.4.0", "1.4.0"),
        ("5.13.0", "1.4.0", "1.4.0"),
        ("6.1.176", "1.6.0", "1.6.0-6.1"),
        ("6.2", "1.6.0", "1.6.0"),
        ("6.12.116+deb13-amd64", "1.6.0", "1.6.0"),
        ("6.12.117", "1.6.0", "1.6.0-6.12.117"),
        ("6.12.117+deb13", "1.6.0", "1.6.0-6.12.117"),
        ("5.10.51+", "1.4.0", "1.4.0"),
        ("6.13.0", "1.6.0", "1.6.0"),
        ("7.2.7", "1.6.0", "1.6.0-7.2"),
        ("8.0-rc1", "1.6.0", "1.6.0-7.2"),
    ],
)
def test_a_kernel_has_a_profile(release: str, target: str, name: str) -> None:
    profile = profile_for_kernel(release, target)
    assert profile is PROFILES[name]
    assert profile.version == target


@pytest.mark.parametrize("release", ["", "next", "6", "6.1²", "6.1.0.5", "6.1x", "٦.1", "9" * 5000])
def test_a_release_that_names_no_version_has_no_profile(release: str) -> None:
    with pytest.raises(ValueError, match="does not begin with a kernel's version"):
        profile_for_kernel(release, "1.6.0")

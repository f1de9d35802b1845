"""The pytest plugin: which target `writecache_models.conformance` judges, and what may fail.

    pytest --pyargs writecache_models.conformance --target mmap --expected-failures known.txt

A file of expected failures names a test a line, as pytest prints it (`test_stories[3]`) or without
the brackets for all of them; what stands behind a `#` is the reason.  A test that is expected to
fail and does not is a failure.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest

TARGET = "writecache_target"
EXPECTED = "writecache_expected_failures"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options; the short name only where no other plugin has it."""
    group = parser.getgroup("writecache", "conformance of a writecache")
    text = "The target to be judged: mmap, cmd:PROGRAM ARGS, nbd+unix:///?socket=S, ..."
    try:
        group.addoption("--writecache-target", "--target", dest=TARGET, help=text)
    except ValueError:
        group.addoption("--writecache-target", dest=TARGET, help=text)
    group.addoption(
        "--expected-failures",
        dest=EXPECTED,
        type=Path,
        action="append",
        default=[],
        help="A file of tests that are known to fail, one a line.  Can be repeated.",
    )


def read_expected(lines: Iterable[str]) -> dict[str, str]:
    """Names of tests with the reason why each fails.

    >>> read_expected(["# of the old one", "", "test_stories[3]  # loses FUA", "test_raw"])
    {'test_stories[3]': 'loses FUA', 'test_raw': 'expected'}
    """
    named = (line.partition("#")[::2] for line in lines)
    return {name.strip(): why.strip() or "expected" for name, why in named if name.strip()}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is expected to fail."""
    expected: dict[str, str] = {}
    for file in config.getoption(EXPECTED):
        try:
            expected |= read_expected(file.read_text().splitlines())
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise pytest.UsageError(f"{file}: {reason}") from None
    for item in items:
        base = getattr(item, "originalname", item.name)
        reason = expected.get(item.name, expected.get(base))
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))

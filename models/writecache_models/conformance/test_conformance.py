"""The target of `--target`: pytest --pyargs writecache_models.conformance --target mmap."""

from collections.abc import Iterator

import pytest

from writecache_models.conformance.registry import UnknownTargetError, new_target
from writecache_models.conformance.suite import ConformanceTests
from writecache_models.conformance.target import Target, UnavailableError
from writecache_models.pytest_plugin import TARGET


class TestTarget(ConformanceTests):
    """All tests of it."""

    @pytest.fixture
    def target(self, request: pytest.FixtureRequest) -> Iterator[Target]:
        """The named one, of an installed package."""
        name = request.config.getoption(TARGET)
        if name is None:
            pytest.skip("no --target is named")
        try:
            target = new_target(name)
        except (UnknownTargetError, UnavailableError) as error:
            pytest.fail(str(error), pytrace=False)
        try:
            yield target
        finally:
            target.close()

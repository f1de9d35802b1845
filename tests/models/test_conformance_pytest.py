"""The pytest plugin and the suite to subclass, as another project would use them."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

MINE = '''
from collections.abc import Iterator
import pytest
from writecache_models.conformance import Ability, Facts, Level, Target
from writecache_models.conformance.suite import ConformanceTests

class Mine(Target):
    """Contents in memory, of which a crash forgets what was not flushed."""
    facts = Facts("mine", Level(1), frozenset({Ability.CRASH, Ability.DISCARD}))
    def start(self, devices): self.now, self.durable = bytearray(devices.origin), devices.origin
    def open(self, table): pass
    def read(self, sector, n_sectors): return bytes(self.now[512 * sector:][: 512 * n_sectors])
    def write(self, sector, data, fua=False): self.now[512 * sector:512 * sector + len(data)] = data
    def flush(self): self.durable = bytes(self.now)
    def discard(self, sector, n_sectors): pass
    def crash(self, seed, after=0): self.now = bytearray(self.durable)

class Forgetful(Mine):
    def flush(self): self.durable = self.durable[:2048] + bytes(self.now[2048:])

class TestMine(ConformanceTests):
    @pytest.fixture
    def target(self) -> Iterator[Target]:
        yield Mine()

class TestForgetful(ConformanceTests):
    @pytest.fixture
    def target(self) -> Iterator[Target]:
        yield Forgetful()
'''


def run(folder: Path, *arguments: str) -> tuple[int, str, dict[str, int]]:
    """Exit code, what is said, and how many tests ended how."""
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    counted = re.findall(r"(\d+) (passed|failed|skipped|xfailed)", said.strip().splitlines()[-1])
    return done.returncode, said, {how: int(number) for number, how in counted}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "test_mine.py").write_text(MINE)
    return tmp_path


def test_a_subclass_is_judged_and_what_it_does_not_claim_is_skipped(mine: Path) -> None:
    code, said, counted = run(mine, "-k", "TestMine")
    assert code == 0, said
    assert counted["passed"] >= 24
    assert counted["skipped"] >= 40


def test_a_planted_bug_fails_with_the_smallest_trace(mine: Path) -> None:
    code, said, counted = run(mine, "-k", "TestForgetful")
    assert code == 1
    assert "test_what_is_flushed_is_durable" in said
    assert counted["failed"] > 5
    shown = said.partition("test_what_is_flushed_is_durable ___")[2].partition("\n____")[0]
    assert "sector 0: a read finds zeros" in shown
    assert shown.count('{"op": ') == 6


def test_failures_that_are_expected_are_none_and_others_are(mine: Path) -> None:
    file = mine / "known.txt"
    file.write_text("# ours\ntest_what_is_flushed_is_durable  # forgets\n\ntest_stories\n")
    code, said, counted = run(mine, "-k", "TestForgetful", "--expected-failures", str(file))
    assert counted["xfailed"] > 5
    # Stories in which the bug does not show were expected to fail, and have not.
    assert "[XPASS(strict)] expected" in said or code == 0
    code, said, _ = run(mine, "-k", "TestMine and durable", "--expected-failures", str(file))
    assert code == 1
    assert "[XPASS(strict)] forgets" in said


def test_a_file_that_cannot_be_read_is_a_usage_error(mine: Path) -> None:
    code, said, _ = run(mine, "--expected-failures", "/nosuch")
    assert code == 4
    assert "/nosuch: No such file" in said
    assert "Traceback" not in said


def test_an_installed_target_is_judged_by_name(tmp_path: Path) -> None:
    arguments = ("--pyargs", "writecache_models.conformance", "-k", "stories or durable")
    code, said, counted = run(tmp_path, *arguments, "--target", "mmap")
    assert code == 0, said
    assert counted["passed"] == 22
    code, said, _ = run(tmp_path, *arguments, "--target", "nosuch")
    assert code == 1
    assert "no target 'nosuch': there are cmd, mmap, nbd" in said
    code, said, counted = run(tmp_path, *arguments)
    assert counted == {"skipped": 22}

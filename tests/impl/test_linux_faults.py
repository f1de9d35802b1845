"""Disks that fail under a live kernel, as the vectors' operations say."""

from collections.abc import Iterator
from typing import Any

import pytest
from commands import SUITE, command

from writecache_impl.linux import KernelUnavailable, LinuxTarget
from writecache_impl.recording import HungError, record
from writecache_models.judge import judge
from writecache_models.trace import Trace
from writecache_models.workloads import generate

TABLE = "s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0"
HEADER: dict[str, Any] = {"table": TABLE, "cache_sectors": 128, "origin_sectors": 512}


@pytest.fixture(scope="module")
def target() -> Iterator[LinuxTarget]:
    with LinuxTarget(SUITE, op_seconds=5.0) as running:
        yield running


def errnos(target: LinuxTarget, *ops: list[Any]) -> list[str | None]:
    return [step.get("errno") for step in target.play(HEADER, list(ops))]


def test_sectors_fail_until_they_are_healed(target: LinuxTarget) -> None:
    seen = errnos(
        target,
        ["open"],
        ["fail", "origin", "error", 64, 8],
        ["read", 56, 8],
        ["read", 64, 8],
        ["read", 56, 16],
        ["heal", "origin"],
        ["read", 64, 8],
        ["fail", "cache", "flakey", 0, 128],
        ["read", 64, 8],
        ["write", 64, 8, 1],
        ["flush"],
    )
    assert seen == [*[None] * 3, "EIO", "EIO", *[None] * 4, "EIO", "EIO"]
    # The next trace has disks that work again.
    assert errnos(target, ["open"], ["write", 64, 8, 1], ["flush"]) == [None] * 3


def test_a_device_that_cannot_be_read_is_no_cache(target: LinuxTarget) -> None:
    refused = list(target.play(HEADER, [["fail", "cache", "error", 7, 1], ["open"]]))[1]
    assert refused["error"] == "Unable to read first block of metadata"


def test_faults_are_judged(target: LinuxTarget) -> None:
    failed = 0
    for seed in range(4):
        drawn = generate(f"live-faults-{seed}", "failing", target.target_version)
        try:
            recorded: Trace = record(target, drawn)
        except HungError as hung:
            recorded = hung.trace
        report = judge(recorded)
        assert report.divergence is None
        assert report.problem is None
        failed += sum(seen.get("errno") == "EIO" for _, seen in recorded.steps)
    assert failed > 5


def test_the_command_plays_nothing_else() -> None:
    words = ("conform", "--errors", "--target", f"kernel:{SUITE}", "--steps", 40, "--seed", "e")
    done = command(*words, "--json")
    assert done.code == 0, done.out
    assert done.json["divergences"] == 0
    assert done.json["kernels"][0]["steps"] >= 40


def test_a_kernel_without_the_targets_is_not_judged() -> None:
    with (
        LinuxTarget("bookworm-pmem") as memory,
        pytest.raises(KernelUnavailable, match="dm-flakey"),
    ):
        errnos(memory, ["fail", "cache", "error", 0, 1])

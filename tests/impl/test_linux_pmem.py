"""Persistent memory: an emulated machine, fetched if need be, behind the same harness."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import command
from test_linux_kernel import wait_until_gone

from writecache_impl.linux import LinuxTarget, content_hash, locate
from writecache_models.trace import pack_image

SUITE = "bookworm-pmem"
TABLE = "p ORIGIN CACHE 4096 2 autocommit_time 3600000"
HEADER: dict[str, Any] = {"table": TABLE, "cache_sectors": 128, "origin_sectors": 512}
OPS: list[list[Any]] = [
    ["read", 0, 8],
    ["open"],
    ["write", 0, 24, 1],
    ["flush"],
    ["write", 8, 8, 2],
    ["write_dsync", 16, 8, 3],
    ["read", 0, 32],
    ["discard", 0, 8],
    ["message", "flush"],
    *[["write", 8 * block, 8, 9 + block] for block in range(30)],
    ["suspend"],
    ["resume"],
    ["open", "p ORIGIN CACHE 4096 2 pause_writeback 0"],
    ["open", "s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0"],
    ["read", 0, 240],
]


@pytest.fixture(scope="module")
def target() -> Iterator[LinuxTarget]:
    with LinuxTarget(SUITE) as running:
        yield running


def test_a_trace_of_persistent_memory_is_played(target: LinuxTarget) -> None:
    steps = list(target.play(HEADER, OPS))
    assert [step["op"] for step in steps] == OPS[1:]
    by_op = {tuple(step["op"]): step for step in steps}
    assert by_op["open",]["table"] == TABLE
    assert by_op["open",]["status"] == "0 15 15 0 0 0 0 0 0 0 0 0 0 0"
    assert by_op["write", 0, 24, 1]["status"].split()[:4] == ["0", "15", "12", "0"]
    assert by_op["message", "flush"]["status"].split()[:4] == ["0", "15", "15", "0"]
    refused = by_op[tuple(OPS[-3])]
    assert (refused["errno"], refused["error"]) == ("EINVAL", "Invalid optional argument")
    assert by_op[tuple(OPS[-2])]["table"] == OPS[-2][1]
    assert target.header(HEADER)["kernel"] == target.kernel_version == locate(SUITE).release


def test_two_runs_give_the_same_bytes(target: LinuxTarget) -> None:
    assert list(target.play(HEADER, OPS)) == list(target.play(HEADER, iter(OPS)))


def test_the_host_sees_both_devices(target: LinuxTarget) -> None:
    session = target.open_trace(HEADER)
    (step,) = session.steps([["open"], ["write", 8, 8, 1], ["message", "flush"]])[-1:]
    for name in ("cache", "origin"):
        assert step[name] == content_hash(session.disk(name), len(session.disk(name)))
    assert session.disk("origin")[8 * 512 : 9 * 512] == 32 * bytes([1, *[0] * 7, 8, *[0] * 7])


def test_a_cache_begins_with_the_header_s_image(target: LinuxTarget) -> None:
    session = target.open_trace(HEADER)
    session.steps([["open"], ["write", 8, 8, 7], ["flush"]])
    left = session.disk("cache")
    header = {**HEADER, "cache_image": pack_image(left)}
    opened, read = target.play(header, [["open"], ["read", 8, 8]])
    assert opened["status"].split()[:3] == ["0", "15", "14"]
    (again,) = list(target.play(HEADER, [["open"], ["write", 8, 8, 7], ["read", 8, 8]]))[2:]
    assert read["read"] == again["read"]
    (clean,) = target.play(HEADER, [["open"]])
    assert clean["status"].split()[:3] == ["0", "15", "15"]


def test_a_kernel_that_dies_is_a_result_and_the_next_trace_boots_anew() -> None:
    with LinuxTarget(SUITE) as target:
        table = "p ORIGIN ORIGIN 4096 0"
        work = target.machine().private.work
        assert list(target.play(HEADER, [["open", table]])) == [
            {"op": ["open", table], "panic": True}
        ]
        assert "dax_synchronous" in target.console
        assert wait_until_gone(work) == []
        assert not work.exists()
        assert len(list(target.play(HEADER, [["open"]]))) == 1


def test_killing_the_user_ends_the_emulator() -> None:
    code = (
        "from writecache_impl.linux import locate, start; import time\n"
        f"print(start(locate({SUITE!r})).private.work, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        work = Path(user.stdout.readline().strip())
        os.kill(user.pid, signal.SIGKILL)
    assert wait_until_gone(work) == []
    assert not work.exists()


def test_a_script_runs_with_persistent_memory(tmp_path: Path) -> None:
    script = tmp_path / "script.sh"
    script.write_text('echo $CACHE; cat /sys/block/pmem0/queue/dax; echo "$@" > seen; exit 7\n')
    done = command("kernel", "run", "--cache-mib", 3, SUITE, script, "word")
    assert (done.code, done.out) == (7, "/dev/pmem0\n1\n")


def test_the_emulator_is_the_suite_s_own() -> None:
    image = locate(SUITE)
    assert image.emulator is not None
    assert image.package is not None
    assert image.release == image.package.partition("-")[0] + "-amd64"
    names = [path.name for path in image.modules(["nd_pmem", "9p"])]
    assert names.index("libnvdimm.ko") < names.index("nd_pmem.ko")
    assert names.index("9pnet.ko") < names.index("9p.ko")

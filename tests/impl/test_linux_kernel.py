"""Real kernels: fetched if need be; a machine without them fails these tests, it does not skip."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from writecache_impl.linux import (
    BootOptions,
    HarnessError,
    KernelDied,
    KernelUnavailable,
    LinuxTarget,
    UserModeLinux,
    content_hash,
    locate,
)
from writecache_impl.linux.errors import KernelHung

SUITE = "bookworm"
TABLE = "s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0"
HEADER: dict[str, Any] = {"table": TABLE, "cache_sectors": 512, "origin_sectors": 2048}
OPS: list[list[Any]] = [
    ["read", 0, 8],
    ["open"],
    ["write", 0, 8, 1],
    ["write", 8, 64, 2],
    ["flush"],
    ["read", 0, 16],
    ["write_dsync", 8, 8, 3],
    ["discard", 0, 8],
    ["write", 1, 8, 4],
    ["message", "flush"],
    ["message", "nonsense"],
    ["suspend"],
    ["write", 0, 8, 5],
    ["resume"],
    ["open", "s ORIGIN CACHE 777 0"],
    ["open", "s ORIGIN CACHE 4096 0"],
    ["sleep", 1],
]


@pytest.fixture(scope="module")
def target() -> Iterator[LinuxTarget]:
    with LinuxTarget(SUITE, op_seconds=10) as running:
        yield running


def processes_of(directory: Path) -> list[str]:
    """The processes, zombies included, whose command line names a directory."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if str(directory) in text:
            found.append(f"{entry.parent.name} {text}")
    return found


def wait_until_gone(directory: Path, seconds: float = 10) -> list[str]:
    bound = time.monotonic() + seconds
    while processes_of(directory) and time.monotonic() < bound:
        time.sleep(0.02)
    return processes_of(directory)


def test_a_trace_is_played_and_described_step_by_step(target: LinuxTarget) -> None:
    steps = list(target.play(HEADER, OPS))
    assert [step["op"] for step in steps] == [op for n, op in enumerate(OPS) if n not in (0, 12)]
    by_op = {tuple(step["op"]): step for step in steps}
    opened = by_op["open",]
    assert opened["status"] == "0 63 63 0 0 0 0 0 0 0 0 0 0 0"
    assert opened["table"] == TABLE
    assert by_op["write", 0, 8, 1]["status"].split()[:3] == ["0", "63", "62"]
    assert by_op["write", 1, 8, 4]["errno"] == "EINVAL"
    assert len(by_op["read", 0, 16]["read"]) == 16
    failed = by_op["open", "s ORIGIN CACHE 777 0"]
    assert (failed["errno"], failed["error"]) == ("EINVAL", "Invalid block size")
    assert failed["status"] == by_op["resume",]["status"]
    assert by_op["message", "nonsense"]["errno"] == "EINVAL"
    assert by_op["message", "flush"]["origin"] != opened["origin"]


def test_the_hash_is_that_of_the_device_and_the_data_are_where_they_belong(
    target: LinuxTarget,
) -> None:
    session = target.open_trace(HEADER)
    for op in OPS:
        step = session.step(op)
        if step is not None:
            for name in ("cache", "origin"):
                content = session.disk(name)
                assert step[name] == content_hash(content, len(content))
    assert session.disk("origin")[8 * 512 : 8 * 512 + 16] == bytes([3, *[0] * 7, 8, *[0] * 7])


def test_two_runs_give_the_same_bytes(target: LinuxTarget) -> None:
    assert list(target.play(HEADER, OPS)) == list(target.play(HEADER, iter(OPS)))


def test_a_header_says_who_answered(target: LinuxTarget) -> None:
    header = target.header(HEADER)
    assert header["kernel"] == target.kernel_version == locate(SUITE).release
    assert header["target"] == target.target_version == "1.6.0"


def test_nothing_of_a_trace_is_left_for_the_next(target: LinuxTarget) -> None:
    before = list(target.play(HEADER, [["open"], ["read", 0, 8]]))
    list(target.play({**HEADER, "origin_sectors": 1 << 16}, [["open"], ["write", 0, 8, 1]]))
    assert list(target.play(HEADER, [["open"], ["read", 0, 8]])) == before


def test_settled_contents_stay(target: LinuxTarget) -> None:
    session = target.open_trace(HEADER)
    session.step(["open"])
    for number in range(60):
        step = session.step(["write", number * 88 % 1024, 40, number])
        assert step is not None
        time.sleep(0.005)
        after = session.disk("cache"), session.disk("origin")
        assert (step["cache"], step["origin"]) == tuple(content_hash(c, len(c)) for c in after)


def test_a_request_of_a_mebibyte_and_a_long_batch_go_through(target: LinuxTarget) -> None:
    session = target.open_trace({**HEADER, "origin_sectors": 4096})
    steps = session.steps([["open"], ["write", 0, 2048, 1], *[["read", 0, 8]] * 100])
    assert len(steps) == 102
    assert "errno" not in steps[1]


def test_a_malformed_operation_plays_nothing(target: LinuxTarget) -> None:
    session = target.open_trace(HEADER)
    with pytest.raises(ValueError, match="malformed"):
        session.steps([["open"], ["write", 0]])
    assert session.step(["flush"]) is None


def test_a_kernel_that_hangs_is_a_result_and_the_next_trace_boots_anew() -> None:
    with LinuxTarget(SUITE, op_seconds=1) as target:
        session = target.open_trace(HEADER)
        session.step(["open"])
        target.op_seconds = -0.5
        assert session.step(["sleep", 2000]) == {"op": ["sleep", 2000], "hang": True}
        assert session.ended
        target.op_seconds = 10
        assert len(list(target.play(HEADER, [["open"]]))) == 1


def test_a_kernel_that_dies_is_a_result_and_leaves_no_process() -> None:
    with UserModeLinux(locate(SUITE), BootOptions(entry="shell")) as machine:
        machine.receive(60)
        work = machine.private.work
        machine.send(["/bin/sh", "-c", "echo c > /proc/sysrq-trigger"])
        with pytest.raises(KernelDied, match="sysrq triggered crash") as died:
            machine.receive(20)
    assert died.value.kind == "panic"
    assert wait_until_gone(work) == []
    assert not work.exists()


def test_a_failing_guest_program_is_no_result_of_the_kernel() -> None:
    machine = UserModeLinux(locate(SUITE))
    machine.receive(60)
    machine.send(["nonsense"])
    with pytest.raises(HarnessError, match="unknown request"):
        machine.receive(20)


def test_a_boot_that_never_answers_is_bounded() -> None:
    machine = UserModeLinux(locate(SUITE), BootOptions(entry="shell"))
    machine.receive(60)
    work = machine.private.work
    with pytest.raises(KernelHung):
        machine.receive(0.2)
    assert wait_until_gone(work) == []


def test_killing_the_user_ends_the_kernel() -> None:
    code = (
        "from writecache_impl.linux import LinuxTarget; import time\n"
        f"t = LinuxTarget({SUITE!r}); print(t.machine().private.work, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as user:
        assert user.stdout is not None
        work = Path(user.stdout.readline().strip())
        assert processes_of(work)
        os.kill(user.pid, signal.SIGKILL)
    assert wait_until_gone(work) == []
    assert not work.exists()


def test_a_wrong_name_is_one_line() -> None:
    with pytest.raises(KernelUnavailable) as refused:
        LinuxTarget("nosuch")
    assert len(str(refused.value).splitlines()) == 1


def test_without_apt_there_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(KernelUnavailable, match="apt-get is not installed"):
        locate(SUITE)


def test_a_kernel_somebody_built_is_run_by_its_path() -> None:
    image = locate(SUITE)
    with LinuxTarget(str(image.path), modules=str(image.modules_dir), hashes=False) as target:
        (step,) = target.play(HEADER, [["open"]])
    assert sorted(step) == ["op", "status", "table"]


def test_a_program_that_is_no_kernel_is_an_error_with_a_reason(tmp_path: Path) -> None:
    program = tmp_path / "linux"
    program.write_text("#!/bin/sh\necho not a kernel\nexit 4\n")
    program.chmod(0o700)
    with pytest.raises(KernelDied, match="exit 4: not a kernel"):
        LinuxTarget(str(program)).machine()


@pytest.mark.parametrize(
    ("suite", "version"),
    [("bullseye", "1.4.0"), ("bookworm", "1.6.0"), ("trixie", "1.6.0"), ("sid", "1.6.0")],
)
def test_every_suite_plays_the_same_first_steps(suite: str, version: str) -> None:
    header = {**HEADER, "table": "s ORIGIN CACHE 4096 2 autocommit_time 3600000"}
    with LinuxTarget(suite, columns=("status", "cache")) as target:
        steps = list(target.play(header, [["open"], ["write", 0, 8, 1], ["flush"]]))
        assert target.target_version == version
    assert [step["status"].split()[:4] for step in steps] == [
        ["0", "63", "63", "0"],
        ["0", "63", "62", "0"],
        ["0", "63", "62", "0"],
    ]
    assert all(sorted(step) == ["cache", "op", "status"] for step in steps)
    assert steps[2]["cache"] == "579505c15449d899"


def test_an_interrupted_boot_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machines: list[UserModeLinux] = []

    def interrupted(machine: UserModeLinux, _seconds: float) -> None:
        machines.append(machine)
        raise KeyboardInterrupt

    monkeypatch.setattr(UserModeLinux, "receive", interrupted)
    with LinuxTarget(SUITE) as target, pytest.raises(KeyboardInterrupt):
        target.machine()
    work = machines[0].private.work
    assert wait_until_gone(work) == []
    assert not work.exists()


def test_disks_that_cannot_be_made_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(OSError, match="large"):
        UserModeLinux(locate(SUITE), BootOptions(disk_bytes=1 << 62, memory_mib=1 << 40))
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_makes_a_kernel_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("tempfile.mkdtemp", full)
    with pytest.raises(KernelUnavailable, match="bookworm cannot be fetched: No space left"):
        locate(SUITE)

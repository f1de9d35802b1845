"""The order of I/O of a live kernel: its logs, read and judged."""

import struct
from pathlib import Path
from typing import Any

import pytest
from commands import OPS, SUITE, TABLE, command

from writecache_impl.linux import LinuxTarget
from writecache_impl.linux.writelog import Entry, LogError, TraceLogs, WriteLog, in_order

HEADER: dict[str, Any] = {"table": TABLE, "cache_sectors": 512, "origin_sectors": 2048}


def sector(*numbers: int, text: bytes = b"") -> bytes:
    return (struct.pack("<4Q", *numbers) + text).ljust(512, b"\0")


LOG = b"".join(
    (
        sector(0x6A736677736872, 1, 0, 512),
        sector(8, 2, 0, 0),
        b"a" * 1024,
        sector(0, 0, 1, 0),
        sector(4, 3, 4, 0),
        sector(0, 0, 8, 3, text=b"end"),
    )
)


def test_a_log_is_read_as_far_as_it_goes_and_then_further() -> None:
    disk = bytearray(LOG.ljust(8192, b"\0"))
    log = WriteLog(disk, len(disk))
    assert list(log.news()) == [
        Entry(0, 8, 2, b"a" * 1024),
        Entry(1, 0, 0, b""),
        Entry(4, 4, 3, b""),
        Entry(8, 0, 0, b"end"),
    ]
    assert list(log.news()) == []
    disk[len(LOG) : len(LOG) + 1024] = sector(1, 1, 2, 0) + b"b" * 512
    assert list(log.news()) == [Entry(2, 1, 1, b"b" * 512)]


def test_a_log_that_is_full_is_no_log() -> None:
    for size in (1024, 4096):
        disk = LOG[:512] + sector(8, 9, 0, 0)
        with pytest.raises(LogError, match="full"):
            list(WriteLog(disk.ljust(size, b"x"), size).news())


def test_a_log_must_say_what_its_device_holds() -> None:
    disk = LOG.ljust(8192, b"\0")
    images = {"cache": bytes(512 * 16), "origin": bytes(512)}
    logs = TraceLogs({"cache": WriteLog(disk, len(disk))}, images)
    logs.look(images)
    assert logs.described([(8 * 512, 8 * 512 + 600)])["cache"][0][:3] == [0, 8, 2]
    held = b"a" * 1024
    right = bytes(8 * 512) + held + bytes(6 * 512)
    logs.check({**images, "cache": right})
    with pytest.raises(LogError, match="the log of cache, replayed, is not what the device holds"):
        logs.check({**images, "cache": right[:-1] + b"x"})


def test_what_was_written_before_a_write_with_fua_is_put_before_it() -> None:
    old, new = Entry(0, 1, 2, b"o" * 1024), Entry(2, 2, 1, b"n" * 512)
    flush = Entry(1, 0, 0, b"")
    after_new = bytes(512) + b"o" * 512 + b"n" * 512
    assert in_order([new, old, flush], after_new, []) == [old, new, flush]
    assert in_order([new, old, flush], bytes(512) + old.data, []) == [new, old, flush]
    assert in_order([new, flush, old], after_new, []) == [new, flush, old]
    other, gone = Entry(0, 0, 1, b"x" * 512), Entry(4, 0, 3, b"")
    after_gone = bytes(1024) + b"n" * 512
    assert in_order([new, other, gone, flush], after_gone, []) == [other, gone, new, flush]
    same = Entry(0, 2, 1, new.data)
    assert in_order([new, same, flush], after_new, []) == [new, same, flush]


def test_what_an_earlier_write_with_fua_lies_over_is_left_out() -> None:
    old, new = Entry(0, 1, 2, b"o" * 1024), Entry(2, 2, 1, b"n" * 512)
    before: list[Entry] = []
    disk = bytes(512) + b"o" * 512 + b"n" * 512
    assert in_order([new], disk, before) == [new]
    assert before == [new]
    assert in_order([old, Entry(1, 0, 0, b"")], disk, before)[0] == Entry(0, 1, 1, b"o" * 512)
    assert before == []


@pytest.fixture(scope="module")
def logged() -> list[dict[str, Any]]:
    with LinuxTarget(SUITE) as target:
        return list(target.play({**HEADER, "logs": "each"}, OPS))


def test_a_kernel_says_what_it_writes_in_which_order(logged: list[dict[str, Any]]) -> None:
    logs = [step["log"] for step in logged]
    assert [[one[0] for one in log["cache"]] for log in logs[:3]] == [
        [0, 1, 0, 1], [], [0, 0, 1, 2],
    ]  # fmt: skip
    assert [[one[:3] for one in log["origin"]] for log in logs] == [
        [], [], [[1, 0, 0]], [], [[0, 0, 8], [1, 0, 0]],
    ]  # fmt: skip


def test_logs_change_nothing_else(logged: list[dict[str, Any]]) -> None:
    with LinuxTarget(SUITE) as target:
        plain = list(target.play(HEADER, OPS))
    assert plain == [{key: step[key] for key in step if key != "log"} for step in logged]


def test_a_kernels_order_is_the_references() -> None:
    done = command(
        *("conform", "--io-order", "--target", f"kernel:{SUITE}", "--seed", "order"),
        *("--seconds", 4, "--json"),
    )
    assert done.code == 0, done.err
    (kernel,) = done.json["kernels"]
    assert kernel["traces"] > 5
    assert kernel["log_entries"] > 500
    assert done.json["vectors"] == {"steps": 0}


def test_a_kernel_that_loses_a_flush_is_found_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    described = TraceLogs.described

    def lossy(self: TraceLogs, undefined: Any) -> dict[str, list[Any]]:
        logs = described(self, undefined)
        origin = logs.get("origin", [])
        return {**logs, "origin": origin[:-1]} if len(origin) > 1 else logs

    monkeypatch.setattr(TraceLogs, "described", lossy)
    done = command(
        *("conform", "--io-order", "--target", f"kernel:{SUITE}", "--seed", "1", "--steps", 150),
        *("-o", tmp_path, "--json"),
    )
    assert done.code == 1, done.err
    (kept,) = done.json["kept"]
    assert command("vectors", "check", kept).code == 1


def test_disks_that_fail_have_no_order_to_judge() -> None:
    order = ("conform", "--io-order", "--target", f"kernel:{SUITE}")
    assert command(*order, "--errors").is_refusal()
    assert command(*order, "--family", "crowds").is_refusal()


def test_a_log_in_a_vector_is_checked(tmp_path: Path) -> None:
    header = (
        '{"trace": "t", "format": 1, "table": "' + TABLE + '", "cache_sectors": 512, '
        '"origin_sectors": 2048, "logs": %s}\n{"op": ["open"], "log": %s}\n'
    )
    file = tmp_path / "t.jsonl"
    for logs, log in (('"two"', "{}"), ('"each"', "[]"), ('"each"', '{"cache": [[0, 1]]}')):
        file.write_text(header % (logs, log))
        assert command("vectors", "check", file).is_refusal()

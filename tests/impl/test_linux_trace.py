"""Headers, operations and the guest's own small functions, without a kernel."""

import base64
import struct
import zlib
from typing import Any

import pytest

from writecache_impl.linux.errors import last_words
from writecache_impl.linux.guest import devicemapper
from writecache_impl.linux.guest.clients import fill
from writecache_impl.linux.guest.disks import nothing_in_flight, under_writeback
from writecache_impl.linux.guest.kernel import constructor_text, errno_name
from writecache_impl.linux.trace import TraceHeader, check_op, named_start_sectors

HEADER = {"table": "s ORIGIN CACHE 4096 0", "cache_sectors": 8, "origin_sectors": 16}


def image(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def test_an_image_is_unpacked_and_may_be_as_long_as_the_device() -> None:
    parsed = TraceHeader.parse({**HEADER, "cache_image": image(b"x" * 4096), "other": 1})
    assert parsed.cache_image == b"x" * 4096
    assert parsed.origin_image == b""


@pytest.mark.parametrize(
    "wrong",
    [
        {"table": None},
        {"cache_sectors": 0},
        {"origin_sectors": "8"},
        {"cache_sectors": True},
        {"cache_image": "%"},
        {"cache_image": "AAAA"},
        {"cache_image": 3},
        {"cache_image": image(b"x" * 4097)},
        {"origin_delay": -1},
        {"origin_delay": True},
        {"origin_delay": 10001},
        {"origin_delay": "5"},
    ],
)
def test_a_wrong_header_is_refused_with_a_reason(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"header|image|delay"):
        TraceHeader.parse({**HEADER, **wrong})


@pytest.mark.parametrize(
    "op",
    [
        ["open"],
        ["open", "s ORIGIN CACHE 512 0"],
        ["write", 0, 8, 1],
        ["write_dsync", 0, 8, 1],
        ["read", 0, 8],
        ["flush"],
        ["discard", 0, 8],
        ["message", "flush"],
        ["suspend"],
        ["resume"],
        ["sleep", 10],
        ["begin", "write", 0, 8, 1],
        ["begin", "message", "flush"],
    ],
)
def test_every_operation_of_the_format_is_accepted(op: list[Any]) -> None:
    check_op(op)


@pytest.mark.parametrize(
    "op",
    [
        [],
        [1],
        ["begin"],
        ["begin", "begin", "flush"],
        ["begin", "sleep", 10],
        ["begin", "write", 0, 8],
        ["format"],
        ["write", 0, 8],
        ["write", -1, 8, 1],
        ["read", "0", 8],
        ["message"],
        ["open", 1],
        ["open", "a", "b"],
        ["message", "a\0b"],
    ],
)
def test_a_malformed_operation_is_refused(op: list[Any]) -> None:
    with pytest.raises(ValueError, match="operation"):
        check_op(op)


def test_fua_writes_are_refused_with_the_reason() -> None:
    with pytest.raises(ValueError, match="write_fua"):
        check_op(["write_fua", 0, 8, 1])


def test_a_table_names_its_start_sectors() -> None:
    table = "s ORIGIN CACHE 4096 4 start_sector 8 START_SECTOR 0016 start_sector -1"
    assert named_start_sectors(table) == {8, 16}


def test_a_request_has_the_layout_of_struct_dm_ioctl() -> None:
    assert devicemapper.HEADER.size == 312
    assert devicemapper.IOCTL_BASE | devicemapper.STATUS == 0xC138FD0C
    buffer = bytearray(b"\xff" * 1024)
    devicemapper.pack_request(buffer, b"name", flags=6, payload=b"payload", targets=1)
    assert struct.unpack_from("=10I", buffer) == (4, 0, 0, 1024, 312, 1, 0, 6, 0, 0)
    assert buffer[40:48] == bytes(8)
    assert buffer[48 : 48 + 128] == b"name".ljust(128, b"\0")
    assert buffer[176 : 176 + 136] == bytes(136)
    assert buffer[312:320] == b"payload\0"


def test_a_request_longer_than_the_buffer_is_refused() -> None:
    with pytest.raises(OverflowError):
        devicemapper.pack_request(bytearray(400), b"name", payload=bytes(88))


def test_a_target_specification_is_padded_to_eight_bytes() -> None:
    payload = devicemapper.pack_target(16, 2048, b"linear", "98:0 0")
    assert struct.unpack_from("=QQiI16s", payload) == (16, 2048, 0, 48, b"linear".ljust(16, b"\0"))
    assert payload[40:] == b"98:0 0\0\0"


def test_the_content_of_a_write_is_tag_and_sector_in_every_sector() -> None:
    buffer = bytearray(1024)
    fill(buffer, 7, 2, 3)
    assert bytes(buffer) == struct.pack("<QQ", 3, 7) * 32 + struct.pack("<QQ", 3, 8) * 32


def test_log_messages_lose_what_the_kernel_adds() -> None:
    prefix = "device-mapper: table: 254:2: writecache: "
    assert constructor_text(prefix + "Invalid block size") == "Invalid block size"
    assert constructor_text(prefix + "Invalid block size (-EINVAL)") == "Invalid block size"
    assert constructor_text(prefix + "Invalid block size (-22)") == "Invalid block size"
    assert constructor_text(prefix + "a (b) c (-ENOMEM)") == "a (b) c"
    assert constructor_text("device-mapper: ioctl: error adding target to table") is None


def test_errno_names_are_those_of_python() -> None:
    assert [errno_name(number) for number in (5, 11, 22, 28, 35, 95)] == [
        *("EIO", "EAGAIN", "EINVAL", "ENOSPC", "EDEADLK", "ENOTSUP")
    ]


def test_statuses_and_disk_lines_say_whether_work_is_left() -> None:
    assert under_writeback("0 63 60 2 0 0 0")
    assert not under_writeback("1 63 60 2 0 0 0")
    assert not under_writeback("0 63 60 0")
    assert not under_writeback("Error")
    line = b" 254 0 dm-0 1 0 8 0 1 0 8 0 %d 0 0\n"
    assert nothing_in_flight(line % 0 + line % 0)
    assert not nothing_in_flight(line % 0 + line % 1)


def test_the_last_words_of_a_console_are_its_panic() -> None:
    assert last_words("a\n Kernel panic - not syncing: x\nb\n") == "Kernel panic - not syncing: x"
    assert last_words("") == "nothing on the console"

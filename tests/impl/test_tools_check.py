"""`writecache check`: everything that can be wrong with an image is named, and nothing else."""

import fcntl
import os
import struct
from pathlib import Path
from typing import Any

import pytest
from caches import FREE, cache, origin, write
from commands import command

from writecache_spec.codec import SUPERBLOCK_FIELDS
from writecache_spec.units import U64_MAX

SOUND = [(0, 3), (8, 4), FREE, FREE]


def checked(tmp_path: Path, image: bytes, *arguments: object, code: int = 1) -> Any:
    """The JSON of a check that ends with this code."""
    path = write(tmp_path / "cache.img", image)
    before = path.stat()
    done = command("check", path, "--json", *arguments)
    assert (done.code, done.err) == (code, "")
    assert path.read_bytes() == image
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    return done.json


def with_field(image: bytes, field: str, value: int) -> bytes:
    start, end = SUPERBLOCK_FIELDS[field]
    return image[:start] + value.to_bytes(end - start, "little") + image[end:]


def test_a_sound_cache_is_fine(tmp_path: Path) -> None:
    found = checked(tmp_path, cache(SOUND), code=0)
    assert found["problems"] == []
    assert found["activation"]["status"] == "0 4 2 0"
    assert found["stale"] == {"sectors": 2, "n_extents": 2, "extents": [[0, 1], [8, 1]]}


def test_what_recovery_mends_is_a_note(tmp_path: Path) -> None:
    found = checked(tmp_path, cache([(0, 3), (0, 4), (8, 10), FREE]), code=0)
    assert {problem["severity"] for problem in found["problems"]} == {"note"}
    assert found["blocks"]["superseded"] == found["blocks"]["uncommitted"] == 1
    assert found["activation"]["erased"] == 2


@pytest.mark.parametrize(
    ("field", "value", "outcome"),
    [
        ("magic", 7, "Invalid magic in the superblock"),
        ("magic", 0, "Invalid magic in the superblock"),
        ("version", 2, "Invalid version in the superblock"),
        ("block_size", 0, "Invalid block size"),
        ("block_size", 100, "Invalid block size"),
        ("block_size", 2**31, "Invalid block size"),
        ("block_size", 131072, "Invalid block size"),
        ("n_blocks", 0, "Cannot allocate memory"),
        ("n_blocks", 5, "Memory area is too small"),
        ("n_blocks", 2**60, "Overflow in size calculation"),
        ("n_blocks", U64_MAX, "Overflow in size calculation"),
    ],
)
def test_a_bad_superblock_is_what_the_kernel_refuses(
    tmp_path: Path, field: str, value: int, outcome: str
) -> None:
    found = checked(tmp_path, with_field(cache(SOUND), field, value))
    assert found["activation"]["outcome"] == outcome
    assert not found["activation"]["accepted"]
    assert any(problem["where"] == f"superblock.{field}" for problem in found["problems"])
    assert found["stale"] is None


def test_a_block_larger_than_a_page_is_refused_by_most(tmp_path: Path) -> None:
    found = checked(tmp_path, cache(SOUND, block_size=65536))
    assert found["activation"]["outcome"] == "Invalid block size"
    assert found["stale"]["sectors"] == 256


def test_an_empty_superblock_would_be_formatted(tmp_path: Path) -> None:
    found = checked(tmp_path, bytes(65536))
    assert "FORMAT" in found["problems"][0]["consequence"]
    assert found["activation"]["accepted"]


@pytest.mark.parametrize("size", [0, 1, 63])
def test_what_is_too_small_for_a_superblock_is_no_cache(tmp_path: Path, size: int) -> None:
    assert "64" in checked(tmp_path, bytes(size))["problems"][0]["what"]


def test_a_truncated_image_is_too_small(tmp_path: Path) -> None:
    found = checked(tmp_path, cache(SOUND)[:-1])
    assert found["activation"]["errno"] == "EINVAL"


def test_twins_set_the_error_flag(tmp_path: Path) -> None:
    found = checked(tmp_path, cache([(0, 3), (0, 3), (8, 4)]))
    assert found["activation"]["error"]
    assert found["blocks"]["doubtful"] == 1
    same = checked(tmp_path, cache([(0, 3), (0, 3), (8, 4)], data=[b"x" * 512] * 3))
    assert same["activation"]["error"]
    assert same["blocks"]["doubtful"] == 0


def test_a_sector_that_begins_no_block_is_damage(tmp_path: Path) -> None:
    image = cache([(3, 3), (8, 4), (2**60, 4)], block_size=4096)
    found = checked(tmp_path, image)
    assert found["problems"][0]["numbers"] == [0]
    assert found["blocks"]["doubtful"] == 2


def test_a_short_origin_is_probably_the_wrong_one(tmp_path: Path) -> None:
    short = write(tmp_path / "o", origin(8))
    found = checked(tmp_path, cache(SOUND), "--origin", short)
    assert found["origin"]["is_the_right_one"] == "probably not"
    assert "past its end" in found["origin"]["speaks_against"][0]
    fitting = write(tmp_path / "o", origin(9))
    found = checked(tmp_path, cache(SOUND), "--origin", fitting, code=0)
    assert found["origin"]["is_the_right_one"].startswith("cannot be told")


def ext4(uuid: bytes, sectors: int) -> bytes:
    """The first 4 KiB of a filesystem."""
    superblock = bytearray(1024)
    struct.pack_into("<I", superblock, 4, sectors // 2)
    superblock[0x38:0x3A] = b"\x53\xef"
    superblock[0x68:0x78] = uuid
    return (bytes(1024) + bytes(superblock)).ljust(4096, b"\0")


def test_the_filesystem_tells_the_right_origin(tmp_path: Path) -> None:
    mine, other = ext4(b"m" * 16, 64), ext4(b"o" * 16, 64)
    image = cache([(0, 3), FREE], block_size=4096, data=[mine, mine])
    for first, length, verdict in ((mine, 64, "probably"), (other, 64, "probably not"),
                                   (mine, 32, "probably not")):  # fmt: skip
        slow = write(tmp_path / "o", first.ljust(length * 512, b"\1"))
        found = checked(tmp_path, image, "--origin", slow, code=0)
        assert found["origin"]["is_the_right_one"] == verdict


def test_what_is_home_already_speaks_for_an_origin(tmp_path: Path) -> None:
    slow = write(tmp_path / "o", cache(SOUND)[512:1024] + bytes(8192))
    found = checked(tmp_path, cache(SOUND), "--origin", slow, code=0)
    assert found["origin"]["speaks_for"] == ["1 of 2 blocks that were compared are on it already"]


def test_a_superblock_behind_an_offset_is_found(tmp_path: Path) -> None:
    image = cache(SOUND, offset=4096)
    assert checked(tmp_path, image, "--offset", "8s", code=0)["geometry"]["offset"] == 4096
    assert (
        "start_sector 8"
        in checked(tmp_path, image, "--offset", 4096, code=0)["activation"]["table"]
    )
    assert checked(tmp_path, image)["geometry"] is None


@pytest.mark.parametrize("more", [["check"], ["dump"], ["view", "-o", "made"],
                                  ["writeback", "--dry-run"], ["repair", "-o", "made"]],
                         ids=lambda more: more[0])  # fmt: skip
@pytest.mark.parametrize("sectors", [2, 5, 99 * 2**21])
def test_an_offset_past_the_end_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: list[str], sectors: int
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("ssd"), bytes(1024))
    write(Path("disk"), origin(9))
    name, *options = more
    slow = ["--origin", "disk"] if name in ("view", "writeback") else []
    done = command(name, "ssd", *slow, *options, "--offset", f"{sectors}s")
    assert done.is_refusal()
    assert f"ssd: it has 1,024 bytes: --offset {512 * sectors} is past its end" in done.err
    assert sorted(path.name for path in Path().iterdir()) == ["disk", "ssd"]


def test_what_is_too_small_is_named(tmp_path: Path) -> None:
    for size, more, words in (
        (0, [], "has 0 bytes, and a superblock has 64"),
        (1, [], "has 1 byte, and"),
        (513, ["--offset", "1s"], "has 1 byte from byte 512 on, and"),
    ):
        image = write(tmp_path / "small", bytes(size))
        done = command("check", image, *more)
        assert (done.code, f"error: image: {image} {words}" in done.out) == (1, True)


def rescue_map(tmp_path: Path, *parts: tuple[int, int, str]) -> Path:
    lines = "".join(f"{start:#x} {size:#x} {status}\n" for start, size, status in parts)
    text = f"# Mapfile. Created by GNU ddrescue\n0x0 ? 1\n{lines}"
    return write(tmp_path / "map", text.encode())


def test_what_was_not_rescued_is_named(tmp_path: Path) -> None:
    image = cache(SOUND)
    size = len(image)
    hole = rescue_map(tmp_path, (0, 80, "+"), (80, 16, "-"), (96, size - 96, "+"))
    found = checked(tmp_path, image, "--map", hole)
    assert found["blocks"]["unreadable_entries"] == 1
    assert found["problems"][0]["numbers"] == [1]
    assert found["activation"]["error"]
    hole = rescue_map(tmp_path, (0, 1024, "+"), (1024, 10, "*"), (1034, size, "+"))
    found = checked(tmp_path, image, "--map", hole)
    assert found["problems"][0]["numbers"] == [1]
    assert "cannot be read" in found["problems"][0]["what"]


def test_an_unreadable_superblock_is_not_judged(tmp_path: Path) -> None:
    hole = rescue_map(tmp_path, (0, 8, "/"), (8, 5000, "+"))
    assert checked(tmp_path, cache(SOUND), "--map", hole, code=3)["superblock"] is None


NO_MAPS = {
    "empty": "",
    "comments": "# Mapfile. Created by GNU ddrescue\n",
    "binary": "\xff",
    "a word": "hello\n",
    "words": "hello world\n0x0 0x100 +\n",
    "state alone": "0x0 + 1\n",
    "state cut": "0\n0 64 +\n",
    "state unknown": "0 ! 1\n0 64 +\n",
    "pass no number": "0 + x\n0 64 +\n",
    "no state": "0x0 0x40 +\n0x40 0x40 +\n",
    "no numbers": "0 ? 1\nx y z\n",
    "negative": "0 ? 1\n0 -8 +\n",
    "not C's": "0 ? 1\n0 1_000 +\n",
    "cut": "0 ? 1\n0 8 +\n8 8\n",
    "longer": "0 ? 1\n0 8 + +\n",
    "status unknown": "0 ? 1\n0 8 !\n",
    "back": "0 ? 1\n8 8 +\n0 8 +\n",
    "gap": "0 ? 1\n0 8 +\n16 8 +\n",
    "overlap": "0 ? 1\n0 8 +\n4 8 +\n",
}


@pytest.mark.parametrize("text", NO_MAPS.values(), ids=NO_MAPS.keys())
def test_a_bad_map_is_refused(tmp_path: Path, text: str) -> None:
    image = write(tmp_path / "cache.img", cache(SOUND))
    mapped = write(tmp_path / "map", text.encode("latin-1"))
    done = command("check", image, "--map", mapped)
    assert done.is_refusal()
    assert f"{mapped} is not a map file of ddrescue" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--map"),
        ("dump", "--map"),
        ("view", "--origin", "o", "-o", "made", "--map"),
        ("view", "--origin", "o", "-o", "made", "--origin-map"),
        ("writeback", "--origin", "o", "--dry-run", "--map"),
        ("writeback", "--origin", "o", "--to", "made", "--map"),
        ("writeback", "--origin", "o", "--map"),
        ("repair", "-o", "made", "--map"),
    ],
    ids=" ".join,
)
def test_every_tool_refuses_what_is_no_map(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("cache.img"), cache(SOUND))
    write(Path("o"), origin(16))
    write(Path("hello.txt"), b"hello\n")
    name, *options = arguments
    done = command(name, "cache.img", *options, "hello.txt")
    assert done.is_refusal()
    assert "writecache: hello.txt is not a map file of ddrescue" in done.err
    assert sorted(path.name for path in Path().iterdir()) == ["cache.img", "hello.txt", "o"]


@pytest.mark.parametrize(
    "state", ["0x0 ? 1", "0x00000000 +", "512 F 12", "0 G # so far", "010 - 1"]
)
def test_a_map_of_any_version_is_read(tmp_path: Path, state: str) -> None:
    text = f"# Mapfile\n{state}\n# pos size status\n0 0120 +  # octal\n80 0x10 -\n0x60 4096 +\n"
    mapped = write(tmp_path / "map", text.encode())
    found = checked(tmp_path, cache(SOUND), "--map", mapped)
    assert found["problems"][0]["numbers"] == [1]


def test_the_superblock_alone_needs_no_entries(tmp_path: Path) -> None:
    found = checked(tmp_path, cache([(3, 3)], block_size=4096), "--super-block-only", code=0)
    assert found["blocks"] is None


def test_words_say_what_json_says(tmp_path: Path) -> None:
    image = write(tmp_path / "cache.img", cache([(0, 3), (0, 3), (8, 4), (9, 99)]))
    slow = write(tmp_path / "o", origin(9))
    done = command("check", image, "--origin", slow)
    assert done.code == 1
    for words in ("error: entries", "may the origin be mounted", "right origin", "what is lost"):
        assert words in done.out
    assert command("check", "-q", "-i", image).out == ""


@pytest.mark.parametrize("name", ["nosuch", "directory", "fifo", "/dev/null"])
def test_what_is_no_image_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert command("check", tmp_path / name).is_refusal()


def test_an_image_in_use_is_refused(tmp_path: Path) -> None:
    image = write(tmp_path / "cache.img", cache(SOUND))
    with image.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "in use" in command("check", image).err
        fcntl.flock(file, fcntl.LOCK_UN)
        lock = struct.pack("hh4xqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 100, 1, 0)
        fcntl.fcntl(file, fcntl.F_OFD_SETLK, lock)
        assert command("check", image).is_refusal()
    assert command("check", image).code == 0


@pytest.mark.parametrize(
    "arguments", [[], ["a", "-i", "b"], ["a", "--offset", "1"], ["a", "--offset", "x"]]
)
def test_usage_is_refused(arguments: list[str]) -> None:
    assert command("check", *arguments).is_refusal()

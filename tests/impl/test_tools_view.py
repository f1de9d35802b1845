"""`writecache view`: the device as it would be read, and nothing written to either of its parts."""

import os
from pathlib import Path

import pytest
from caches import FREE, block_of, cache, origin, write
from commands import command, program

from writecache_impl.tools.view import UNKNOWN

ENTRIES = [(0, 3), (8, 4), (0, 5), FREE, (3, 10), (16, 9)]
SECTORS = 20


def merged() -> bytes:
    result = bytearray(origin(SECTORS))
    for sector, block in ((0, 2), (8, 1), (16, 5)):
        result[sector * 512 : sector * 512 + 512] = block_of(block)
    return bytes(result)


@pytest.fixture
def paths(tmp_path: Path) -> tuple[Path, Path]:
    both = write(tmp_path / "ssd", cache(ENTRIES)), write(tmp_path / "disk", origin(SECTORS))
    for path in both:
        path.chmod(0o400)
    return both


def test_a_view_is_what_the_device_reads(tmp_path: Path, paths: tuple[Path, Path]) -> None:
    assert command("view", paths[0], "--origin", paths[1], "-o", tmp_path / "v").code == 0
    assert (tmp_path / "v").read_bytes() == merged()
    assert paths[0].read_bytes() == cache(ENTRIES)
    assert paths[1].read_bytes() == origin(SECTORS)
    again = command("view", paths[0], "--origin", paths[1], "-o", tmp_path / "v")
    assert again.is_refusal()
    for path in paths:
        done = command("view", paths[0], "--origin", paths[1], "-o", path, "--force")
        assert done.is_refusal()


@pytest.mark.parametrize(("first", "count"), [(0, 20), (0, 1), (1, 1), (7, 3), (16, 4), (20, 0)])
def test_a_range_is_the_same_piece(paths: tuple[Path, Path], first: int, count: int) -> None:
    line = program_bytes("view", paths[0], "--origin", paths[1], "--range", f"{first}s+{count}s")
    assert line == merged()[first * 512 : (first + count) * 512]


def program_bytes(*arguments: object) -> bytes:
    done = program(*arguments)
    assert done.code == 0
    return done.out.encode()


def test_what_nobody_knows_says_so(tmp_path: Path, paths: tuple[Path, Path]) -> None:
    at = 512 + 5 * 512
    mapped = write(tmp_path / "m", f"0 ? 1\n0 {at} +\n{at} 8 -\n{at + 8} 9999 +\n".encode())
    slow = write(tmp_path / "n", b"0 ? 1\n0 2048 +\n2048 512 -\n2560 2048 +\n")
    done = command(
        *("view", paths[0], "--origin", paths[1], "-o", tmp_path / "v", "--json"),
        *("--map", mapped, "--origin-map", slow),
    )
    assert done.code == 1
    assert done.json["unknown_blocks"] == 1
    assert done.json["unknown_ranges"] == [[2048, 2560], [4608, 10240]]
    expected = bytearray(merged())
    for sector in (4, *range(9, 20)):
        expected[sector * 512 : sector * 512 + 512] = UNKNOWN
    assert (tmp_path / "v").read_bytes() == expected
    done = program(*("view", paths[0], "--origin", paths[1], "--range", "15s+2s", "--map", mapped))
    assert (done.code, done.out) == (1, (origin(16)[-512:] + UNKNOWN).decode())
    assert "sector 16 cannot be known" in done.err


def test_twins_are_not_chosen_between(tmp_path: Path) -> None:
    image, slow = write(tmp_path / "c", cache([(0, 3), (0, 3)])), write(tmp_path / "o", origin(8))
    assert command("view", image, "--origin", slow, "-o", tmp_path / "v").code == 1
    assert (tmp_path / "v").read_bytes() == UNKNOWN + origin(8)[512:]


def test_an_unreadable_entry_is_a_problem(tmp_path: Path, paths: tuple[Path, Path]) -> None:
    mapped = write(tmp_path / "m", b"0 ? 1\n0 112 +\n112 16 -\n128 9999 +\n")
    done = command("view", paths[0], "--origin", paths[1], "-o", tmp_path / "v", "--map", mapped)
    assert done.code == 1
    assert "1 entry cannot be read" in done.out


def test_a_view_of_a_sparse_origin_is_sparse(tmp_path: Path, paths: tuple[Path, Path]) -> None:
    big = write(tmp_path / "big", origin(SECTORS))
    os.truncate(big, 2**34)
    assert command("view", paths[0], "--origin", big, "-o", tmp_path / "v", "-q").code == 0
    assert (tmp_path / "v").stat().st_size == 2**34
    assert (tmp_path / "v").stat().st_blocks * 512 < 2**20


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--range", "0+8s", "-o", "x"],
        ["--range", "8s"],
        ["--range", "1+1"],
        ["--range", "0+1M"],
    ],
)
def test_usage_is_refused(paths: tuple[Path, Path], arguments: list[str]) -> None:
    assert command("view", paths[0], "--origin", paths[1], *arguments).is_refusal()

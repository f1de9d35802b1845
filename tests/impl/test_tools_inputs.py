"""Whatever a tool is given, it ends with a line and a code, and writes nothing it should not."""

import os
import random
import socket
from pathlib import Path

import pytest
from caches import FREE, cache, origin, write
from commands import Done, command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from writecache_spec.codec import encode_superblock
from writecache_spec.layout import MAGIC, VERSION, Superblock

GOOD = cache([(0, 3), (8, 4), FREE, (16, 9)])
SLOW = origin(32)
TOOLS = {
    "check": ["check", "IMAGE"],
    "check with origin": ["check", "IMAGE", "--origin", "ORIGIN"],
    "dump": ["dump", "IMAGE"],
    "view": ["view", "IMAGE", "--origin", "ORIGIN", "-o", "OUT"],
    "dry run": ["writeback", "IMAGE", "--origin", "ORIGIN", "--dry-run"],
    "to": ["writeback", "IMAGE", "--origin", "ORIGIN", "--to", "OUT"],
    "writeback": ["writeback", "IMAGE", "--origin", "ORIGIN"],
    "repair": ["repair", "IMAGE", "-o", "OUT"],
    "undo": ["undo", "IMAGE"],
    "restore": ["restore", "IMAGE", "-o", "OUT"],
}


def run(tool: str, where: Path, image: Path, slow: Path) -> Done:
    """A tool on these, its output in a directory."""
    names = {"IMAGE": image, "ORIGIN": slow, "OUT": where / "out"}
    (where / "out").unlink(missing_ok=True)
    return command(*(names.get(word, word) for word in TOOLS[tool]))


def ended_well(done: Done, codes: tuple[int, ...]) -> None:
    assert done.code in codes, (done.out[-1000:], done.err)
    assert "Traceback" not in done.err
    assert len(done.err.splitlines()) <= 1
    if done.code == 2:
        assert done.err.startswith("writecache: ")


@pytest.fixture
def strange(tmp_path: Path) -> dict[str, Path]:
    """Paths of what is no image."""
    (tmp_path / "directory").mkdir()
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    paths = {name: tmp_path / name for name in
             ("directory", "fifo", "socket", "dangling", "loop", "missing")}  # fmt: skip
    return {
        **paths,
        "null": Path("/dev/null"),
        "zero": Path("/dev/zero"),
        "file/": Path("/etc/x/y"),
    }


@pytest.mark.parametrize("tool", TOOLS)
def test_what_is_no_file_is_refused_in_a_line(
    tmp_path: Path, strange: dict[str, Path], tool: str
) -> None:
    image, slow = write(tmp_path / "c", GOOD), write(tmp_path / "o", SLOW)
    for name, path in strange.items():
        if tool == "restore" and name in ("fifo", "null", "zero"):
            continue  # a dump may come from there
        ended_well(run(tool, tmp_path, path, slow), (2,))
        if "ORIGIN" in TOOLS[tool]:
            ended_well(run(tool, tmp_path, image, path), (2,))
    assert (image.read_bytes(), slow.read_bytes()) == (GOOD, SLOW)


CUTS = [0, 1, 63, 64, 100, 127, 128, 511, 512, 513, len(GOOD) - 1]


@pytest.mark.parametrize("tool", TOOLS)
def test_a_truncated_image_is_never_written_from(tmp_path: Path, tool: str) -> None:
    slow = write(tmp_path / "o", SLOW)
    for size in CUTS:
        done = run(tool, tmp_path, write(tmp_path / "c", GOOD[:size]), slow)
        ended_well(done, (0,) if tool == "dump" else (1, 2))
    assert slow.read_bytes() == SLOW


@pytest.mark.parametrize("tool", TOOLS)
def test_an_empty_origin_is_refused(tmp_path: Path, tool: str) -> None:
    if "ORIGIN" not in TOOLS[tool]:
        return
    image, slow = write(tmp_path / "c", GOOD), write(tmp_path / "o", b"")
    done = run(tool, tmp_path, image, slow)
    ended_well(done, (0, 1) if tool == "view" else (1,))
    assert (image.read_bytes(), slow.read_bytes()) == (GOOD, b"")


NUMBER32 = st.sampled_from([0, 1, 2, 256, 511, 512, 1000, 4096, 65536, 131072, 2**31, 2**32 - 1])
NUMBER64 = st.sampled_from(
    [0, 1, 3, 4, 5, 2**31, 2**32, 2**47, 2**55, 2**58 - 1, 2**60, 2**63, 2**64 - 1]
)
SUPERBLOCKS = st.builds(
    Superblock,
    st.sampled_from([0, MAGIC, MAGIC, MAGIC, 1]),
    st.sampled_from([0, VERSION, VERSION, VERSION, 2]),
    NUMBER32,
    NUMBER32,
    NUMBER64,
    NUMBER64,
    st.tuples(NUMBER64, NUMBER64, NUMBER64, NUMBER64),
)


@pytest.mark.parametrize("tool", TOOLS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SUPERBLOCKS)
def test_any_superblock_is_judged_in_a_line(
    tmp_path: Path, tool: str, superblock: Superblock
) -> None:
    image = encode_superblock(superblock) + GOOD[64:]
    path, slow = write(tmp_path / "c", image), write(tmp_path / "o", SLOW)
    for log in tmp_path.glob("*.undo"):
        log.unlink()
    ended_well(run(tool, tmp_path, path, slow), (0, 1, 2))
    if tool not in ("writeback", "undo"):
        assert (path.read_bytes(), slow.read_bytes()) == (image, SLOW)


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("seed", range(6))
def test_any_garbage_is_judged_in_a_line(tmp_path: Path, tool: str, seed: int) -> None:
    rng = random.Random(seed)
    image = bytearray(GOOD)
    for _ in range(rng.randrange(1, 200)):
        image[rng.randrange(len(image))] = rng.randrange(256)
    if seed % 2:
        image[:32] = GOOD[:32]
    path, slow = write(tmp_path / "c", bytes(image)), write(tmp_path / "o", SLOW)
    ended_well(run(tool, tmp_path, path, slow), (0, 1, 2))


def test_a_link_is_followed_to_where_it_leads(tmp_path: Path) -> None:
    image, slow = write(tmp_path / "c", GOOD), write(tmp_path / "o", SLOW)
    (tmp_path / "link").symlink_to(slow)
    done = command("view", image, "--origin", slow, "-o", tmp_path / "link", "--force")
    ended_well(done, (2,))
    assert slow.read_bytes() == SLOW
    kept = write(tmp_path / "kept", b"")
    (tmp_path / "out").symlink_to(kept)
    assert command("view", image, "--origin", slow, "-o", tmp_path / "out", "-q").code == 0
    assert kept.stat().st_size == len(SLOW)
    assert (tmp_path / "out").is_symlink()


def test_one_file_is_not_two_things(tmp_path: Path) -> None:
    image = write(tmp_path / "c", GOOD)
    ended_well(command("writeback", image, "--origin", image), (2,))
    assert image.read_bytes() == GOOD

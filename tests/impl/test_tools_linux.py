"""A live kernel beside the offline tools: on the same images both come to the same bytes."""

import base64
import random
import zlib
from pathlib import Path
from typing import Any

import pytest
from caches import FREE, Pair, cache, origin, write
from commands import command

from writecache_impl.linux import LinuxTarget

ORIGIN_SECTORS = 512
FLUSH = [["open"], ["message", "flush"], ["suspend"]]
CLEANER = [["open"], ["message", "cleaner"], ["sleep", 100], ["suspend"]]


def packed(image: bytes) -> str:
    return base64.b64encode(zlib.compress(image)).decode()


def drawn(rng: random.Random) -> tuple[bytes, int]:
    """A cache as a crash may leave it: duplicates, early entries, places past the origin's end."""
    size = rng.choice((512, 1024, 4096))
    step = size // 512
    seq_count = rng.randrange(2, 12)
    pairs: dict[Pair, None] = {}
    for _ in range(rng.randrange(1, 60)):
        sector = rng.randrange(ORIGIN_SECTORS // step + (rng.random() < 0.1) * 9) * step
        for _ in range(rng.choice((1, 1, 1, 3))):
            pairs[sector, rng.randrange(seq_count + 2)] = None
    entries = [pair if rng.random() < 0.9 else FREE for pair in pairs]
    rng.shuffle(entries)
    data = [rng.randbytes(size) for _ in entries]
    return cache(entries, seq_count, size, tail=bytes(8192), data=data), size


@pytest.fixture(scope="module", params=["bullseye", "bookworm", "trixie", "sid"])
def target(request: pytest.FixtureRequest) -> Any:
    with LinuxTarget(request.param) as running:
        yield running


def kernels_work(
    target: LinuxTarget, image: bytes, slow: bytes, size: int, ops: list[list[Any]]
) -> tuple[bytes, bytes]:
    """What the devices hold when a kernel has brought everything home."""
    pause = "0" if target.target_version == "1.4.0" else "2 pause_writeback 0"
    session = target.open_trace(
        {
            "table": f"s ORIGIN CACHE {size} {pause}",
            "cache_sectors": len(image) // 512,
            "origin_sectors": len(slow) // 512,
            "cache_image": packed(image),
            "origin_image": packed(slow),
        }
    )
    for step in session.steps(ops):
        assert step.get("errno") is None, step
    return session.disk("cache"), session.disk("origin")


@pytest.mark.parametrize("ops", [FLUSH, CLEANER], ids=["flush", "cleaner"])
@pytest.mark.parametrize("seed", range(12))
def test_writeback_does_what_a_kernel_does(
    target: LinuxTarget, tmp_path: Path, seed: int, ops: list[list[Any]]
) -> None:
    image, size = drawn(random.Random(seed))
    slow = origin(ORIGIN_SECTORS)
    paths = write(tmp_path / "ssd", image), write(tmp_path / "disk", slow)
    done = command("writeback", paths[0], "--origin", paths[1], "--drop-beyond", "--json")
    assert done.code == 0
    expected = kernels_work(target, image, slow, size, ops)
    assert (paths[0].read_bytes(), paths[1].read_bytes()) == expected
    assert done.json["clean"]


def test_what_is_dropped_is_what_a_kernel_drops(target: LinuxTarget, tmp_path: Path) -> None:
    image, slow = cache([(0, 1), (ORIGIN_SECTORS, 1)], tail=bytes(8192)), origin(ORIGIN_SECTORS)
    kernel = kernels_work(target, image, slow, 512, FLUSH)
    paths = write(tmp_path / "ssd", image), write(tmp_path / "disk", slow)
    assert command("writeback", paths[0], "--origin", paths[1], "-q").code == 1
    assert paths[1].read_bytes() == slow
    assert command("writeback", paths[0], "--origin", paths[1], "-q", "--drop-beyond").code == 0
    assert (paths[0].read_bytes(), paths[1].read_bytes()) == kernel


def test_an_older_duplicate_brought_home_would_be_seen(target: LinuxTarget, tmp_path: Path) -> None:
    image, slow = cache([(0, 1), (0, 2)], tail=bytes(8192)), origin(ORIGIN_SECTORS)
    wrong = cache([(0, 2), (0, 1)], tail=bytes(8192))
    paths = write(tmp_path / "ssd", wrong), write(tmp_path / "disk", slow)
    assert command("writeback", paths[0], "--origin", paths[1], "-q").code == 0
    assert paths[1].read_bytes() != kernels_work(target, image, slow, 512, FLUSH)[1]


def test_a_kernel_takes_a_restored_image(target: LinuxTarget, tmp_path: Path) -> None:
    image, size = drawn(random.Random(5))
    path = write(tmp_path / "ssd", image)
    text = write(tmp_path / "dump", command("dump", path).out.encode())
    assert command("restore", text, "-o", tmp_path / "copy", "-q").code == 0
    slow = origin(ORIGIN_SECTORS)
    restored = (tmp_path / "copy").read_bytes()
    assert kernels_work(target, restored, slow, size, FLUSH) == kernels_work(
        target, image, slow, size, FLUSH
    )


@pytest.mark.parametrize("seed", range(8))
def test_check_foretells_a_kernels_status(target: LinuxTarget, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    image, size = drawn(rng)
    if seed % 2:
        image = cache([(0, 1), (0, 1), (8, 2), FREE], tail=bytes(8192))
        size = 512
    path = write(tmp_path / "ssd", image)
    foretold = command("check", path, "--json").json["activation"]
    session = target.open_trace(
        {
            "table": f"s ORIGIN CACHE {size} 4 high_watermark 100 low_watermark 100",
            "cache_sectors": len(image) // 512,
            "origin_sectors": ORIGIN_SECTORS,
            "cache_image": packed(image),
            "origin_image": packed(origin(ORIGIN_SECTORS)),
        }
    )
    step = session.step(["open"])
    assert step is not None
    assert step["status"].split()[:4] == foretold["status"].split()

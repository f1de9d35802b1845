"""Caches change hands: what the engine leaves a live kernel goes on with, and the reverse."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from writecache_impl.engine import Engine
from writecache_impl.linux import LinuxTarget
from writecache_models.digests import content_digest
from writecache_models.trace import pack_image

BLOCK = 4096
N_BLOCKS, N_PLACES = 40, 60
BY_BLOCK: list[list[Any]] = [["read", place * 8, 8] for place in range(N_PLACES)]
"""A larger read of persistent memory can be wrong (the finding remainder-begins-too-early)."""
TABLES = {
    "bullseye": "s ORIGIN CACHE 4096 2 autocommit_time 3600000",
    "bookworm": "s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0",
    "trixie": "s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0",
    "sid": "s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0",
    "bookworm-pmem": "p ORIGIN CACHE 4096 2 autocommit_time 3600000",
}


@pytest.fixture(scope="module", params=list(TABLES))
def suite(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def kernel(suite: str) -> Iterator[LinuxTarget]:
    with LinuxTarget(suite, op_seconds=10) as target:
        yield target


@pytest.fixture
def table(suite: str) -> str:
    return TABLES[suite]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    cache, origin = tmp_path / "cache", tmp_path / "origin"
    cache.write_bytes(bytes((N_BLOCKS + 1) * BLOCK))
    origin.write_bytes(bytes(N_PLACES * BLOCK))
    return cache, origin


def header(table: str, cache: Path, origin: Path) -> dict[str, Any]:
    """Both files as the devices of a trace."""
    contents = {"cache": cache.read_bytes(), "origin": origin.read_bytes()}
    sizes = {f"{name}_sectors": len(data) // 512 for name, data in contents.items()}
    images = {f"{name}_image": pack_image(data) for name, data in contents.items()}
    return {"table": table, **sizes, **images}


def blocks_of(data: bytes) -> list[str]:
    """A digest for each block."""
    return [content_digest(data[at : at + BLOCK]) for at in range(0, len(data), BLOCK)]


def reads_of(steps: list[dict[str, Any]]) -> list[str]:
    """What Linux read."""
    return [step["read"] for step in steps if step["op"][0] == "read"]


def use(engine: Engine, random: Random) -> None:
    """Write, discard, write, commit some of it, overwrite.

    What is discarded while it is copied home may be read as before or not, so that comes first.
    """
    engine.write(2 * BLOCK, random.randbytes(4 * BLOCK))
    engine.flush()
    engine.discard(3 * BLOCK, 2 * BLOCK)
    for turn in range(60):
        place = random.randrange(N_PLACES)
        length = min(random.choice((1, 2, 5)), N_PLACES - place)
        engine.write(place * BLOCK, random.randbytes(length * BLOCK), fua=turn % 15 == 0)
    engine.flush()


@pytest.mark.parametrize("way", ["clean", "dirty"])
def test_linux_reads_what_the_engine_leaves(
    kernel: LinuxTarget, table: str, files: tuple[Path, Path], way: str
) -> None:
    engine = Engine.open(table, *files)
    use(engine, Random(way))
    data = engine.read(0, engine.size)
    if way == "clean":
        engine.close()
    else:
        engine.abandon()
    ops = [["open"], *BY_BLOCK, ["message", "flush"], ["suspend"], ["resume"], *BY_BLOCK]
    steps = list(kernel.play(header(table, *files), ops))
    assert [step.get("errno") for step in steps] == [None] * len(ops)
    assert steps[0]["status"].startswith("0 40 ")
    assert reads_of(steps) == [*blocks_of(data), *blocks_of(data)]
    # The message has brought everything home.
    assert steps[-1]["origin"] == content_digest(data)


@pytest.mark.parametrize("way", ["suspended", "killed"])
def test_the_engine_reads_what_linux_leaves(
    kernel: LinuxTarget, table: str, files: tuple[Path, Path], way: str
) -> None:
    random = Random(way)
    session = kernel.open_trace(header(table, *files))
    # Single blocks after the first: larger requests that overlap can kill Linux (the finding
    # run-over-duplicate).
    ops: list[list[Any]] = [["open"], ["write", 0, 30 * 8, 1000]]
    for tag in range(50):
        name = "write_dsync" if tag % 10 == 0 else "write"
        ops.append([name, random.randrange(N_PLACES) * 8, 8, tag])
    ops += [["discard", 80, 16], ["flush"], *BY_BLOCK]
    if way == "suspended":
        ops.append(["suspend"])
    steps = session.steps(ops)
    assert len(steps) == len(ops)
    # What the disks hold now is what a kill of the kernel would leave.
    for name, file in zip(("cache", "origin"), files, strict=True):
        file.write_bytes(session.disk(name))
    with Engine.open(table, *files) as engine:
        assert engine.status().startswith("0 40 ")
        assert blocks_of(engine.read(0, engine.size)) == reads_of(steps)
        engine.message("flush")
    assert blocks_of(files[1].read_bytes()) == reads_of(steps)

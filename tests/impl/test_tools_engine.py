"""The engine and the offline tools on the same files: never at once, and to the same bytes."""

import os
from pathlib import Path
from random import Random

import pytest
from caches import write
from commands import command

from writecache_impl.engine import Engine, UnusableDeviceError
from writecache_impl.tools.image import Image

BLOCK = 4096
TABLE = "s ORIGIN CACHE 4096 4 autocommit_time 3600000 pause_writeback 0"


def dirty(folder: Path) -> tuple[Path, Path]:
    """A cache that an engine has written to, and was abandoned."""
    rng = Random(1)
    paths = write(folder / "ssd", bytes(64 * BLOCK)), write(folder / "disk", os.urandom(99 * BLOCK))
    engine = Engine.open(TABLE, *paths)
    for _ in range(80):
        engine.write(rng.randrange(99) * BLOCK, rng.randbytes(BLOCK))
        if rng.random() < 0.2:
            engine.flush()
    assert command("check", paths[0]).is_refusal()
    assert command("writeback", paths[0], "--origin", paths[1]).is_refusal()
    engine.abandon()
    return paths


def test_what_an_engine_left_comes_home(tmp_path: Path) -> None:
    ssd, disk = dirty(tmp_path)
    copies = (
        write(tmp_path / "ssd2", ssd.read_bytes()),
        write(tmp_path / "disk2", disk.read_bytes()),
    )
    with Engine.open(TABLE, *copies) as engine:
        reads = engine.read(0, 99 * BLOCK)
        engine.message("flush")
    assert command("view", ssd, "--origin", disk, "-o", tmp_path / "v", "-q").code == 0
    assert (tmp_path / "v").read_bytes() == reads
    assert command("writeback", ssd, "--origin", disk, "-q").code == 0
    assert disk.read_bytes() == reads == copies[1].read_bytes()
    assert command("check", ssd, "-q").code == command("check", copies[0], "-q").code == 0
    with Engine.open(TABLE, ssd, disk) as engine:
        assert engine.read(0, 99 * BLOCK) == reads


def test_an_engine_is_refused_what_a_tool_writes(tmp_path: Path) -> None:
    ssd, disk = dirty(tmp_path)
    with Image(ssd, writable=True), pytest.raises(UnusableDeviceError):
        Engine.open(TABLE, ssd, disk)
    with Image(disk), pytest.raises(UnusableDeviceError):
        Engine.open(TABLE, ssd, disk)

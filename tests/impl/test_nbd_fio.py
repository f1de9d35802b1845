"""fio writes and verifies through the server: at once, and after the server was killed under it."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import command
from nbd_client import Process, fio, fio_line, process

N_KILLS = int(os.environ.get("NBD_KILLS", "3"))
MIB = 2**20
N_JOBS = 4
KEPT, OTHERS, CACHE = 104 * MIB, 16 * MIB, 48 * MIB
"""What is written, flushed and verified; behind it others write while the server is killed."""
BLOCK_SIZES = (4096, 512, 1024, 2048)


@pytest.fixture
def path() -> Iterator[Path]:
    """A folder with a cache that is smaller than what is written."""
    path = Path(tempfile.mkdtemp(prefix="nbd"))
    try:
        for name, size in (("origin", KEPT + OTHERS), ("cache", CACHE)):
            with (path / name).open("wb") as file:
                file.truncate(size)
        yield path
    finally:
        shutil.rmtree(path)


def verified(path: Path, server: Process, block_size: int, seed: int, *more: str) -> int:
    """Let fio write and then verify, or `--verify_only`; how many bytes it has compared."""
    size = KEPT // N_JOBS
    jobs = fio(
        server,
        *("--rw=randwrite", "--verify=crc32c", "--verify_fatal=1", f"--bsrange={block_size}-64k"),
        *(f"--size={size}", f"--offset_increment={size}", f"--numjobs={N_JOBS}", "--iodepth=16"),
        *("--end_fsync=1", f"--randseed={seed + 1}", *more),
        where=path,
    )
    assert len(jobs) == N_JOBS
    assert not any(job["error"] for job in jobs)
    return sum(int(job["read"]["io_bytes"]) for job in jobs)


def kill_under_writers(path: Path, server: Process, block_size: int) -> None:
    """Kill the server while fio writes behind what is kept."""
    line = fio_line(
        server,
        *("--rw=randwrite", f"--bsrange={block_size}-64k", "--iodepth=16", "--numjobs=2"),
        *(f"--offset={KEPT}", f"--size={OTHERS}", "--time_based", "--runtime=60", "--fsync=64"),
    )
    before = n_writes(path)
    with subprocess.Popen(
        line, cwd=path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as writers:
        ends = time.monotonic() + 30
        while n_writes(path) < before + 300:
            assert writers.poll() is None
            assert time.monotonic() < ends
            time.sleep(0.02)
        assert server.end(signal.SIGKILL)[0] == -signal.SIGKILL
        assert writers.wait(30) != 0, "they had not ended when the server was killed"


def n_writes(path: Path) -> int:
    """Blocks that were written so far, by the server's own count."""
    return int(command("serve", "--status", path / "control").out.split()[6])


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_fio_verifies_what_it_flushed_before_the_server_was_killed(
    path: Path, block_size: int, capsys: pytest.CaptureFixture[str]
) -> None:
    n_bytes = 0
    n_kills = max(1, -(-N_KILLS // len(BLOCK_SIZES)))
    options = ("--block-size", block_size, "--control", path / "control")
    for seed in range(n_kills):
        with process(path, *options) as server:
            if seed:
                n_bytes += verified(path, server, block_size, seed - 1, "--verify_only")
            n_bytes += verified(path, server, block_size, seed)
            kill_under_writers(path, server, block_size)
    with process(path, *options) as server:
        n_bytes += verified(path, server, block_size, n_kills - 1, "--verify_only")
        assert server.end() == (0, "")
    with capsys.disabled():
        print(
            f"\nfio, blocks of {block_size}: {n_kills} kills, {n_bytes:,} bytes verified, 0 errors"
        )
    assert n_bytes >= 2 * n_kills * KEPT


def test_fio_finds_a_byte_that_is_wrong(path: Path) -> None:
    with process(path, "--on-exit", "drain") as server:
        verified(path, server, 4096, 1)
        assert server.end() == (0, "")
    with (path / "origin").open("r+b") as origin:
        origin.seek(KEPT // 2 + 1000)
        byte = origin.read(1)
        origin.seek(KEPT // 2 + 1000)
        origin.write(bytes([byte[0] ^ 1]))
    with process(path) as server, pytest.raises(AssertionError, match="verify"):
        verified(path, server, 4096, 1, "--verify_only")

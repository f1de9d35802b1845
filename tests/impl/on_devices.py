"""Runs in a user-mode kernel: the offline tools on block devices, while a cache is live and after.

Exit status 0 if all is as it should be; not a test module of its own.
"""

import io
import os
import subprocess
from contextlib import redirect_stderr, redirect_stdout

from writecache_impl.cli.app import run

ORIGIN, CACHE = os.environ["ORIGIN"], os.environ["CACHE"]
SECTORS = 4096
TABLE = f"0 {SECTORS} writecache s {ORIGIN} {CACHE} 4096 0"


def tool(code: int, *arguments: str) -> str:
    """Run a command in this process: booting another interpreter takes seconds here."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(out):
        found = run(arguments)
    said = out.getvalue()
    assert found == code, (arguments, found, said)
    return said


def create() -> None:
    line = ("dmsetup", "create", "live", "--noudevsync", "--noudevrules", "--table", TABLE)
    subprocess.run(line, check=True)
    subprocess.run(("dmsetup", "mknodes"), check=True)


def content(path: str, size: int) -> bytes:
    with open(path, "rb") as file:
        return file.read(size)


def main() -> None:
    create()
    data = os.urandom(64 * 4096)
    fd = os.open("/dev/mapper/live", os.O_RDWR)
    for block in range(64):
        os.pwrite(fd, data[block * 4096 :][:4096], (63 - block) * 3 * 4096)
    os.fsync(fd)
    os.close(fd)
    assert "in use" in tool(2, "check", CACHE)
    assert "in use" in tool(2, "writeback", CACHE, "--origin", ORIGIN, "--undo-log", "undo")
    subprocess.run(("dmsetup", "remove", "--noudevsync", "live"), check=True)
    before = content(CACHE, 1 << 20), content(ORIGIN, 1 << 20)
    assert "64 blocks" in tool(0, "check", CACHE, "--origin", ORIGIN)
    assert "--undo-log" in tool(2, "writeback", CACHE, "--origin", ORIGIN)
    tool(2, "view", CACHE, "--origin", ORIGIN, "-o", ORIGIN, "--force")
    tool(0, "writeback", CACHE, "--origin", ORIGIN, "--undo-log", "undo")
    home = content(ORIGIN, 1 << 20)
    for block in range(64):
        assert home[(63 - block) * 3 * 4096 :][:4096] == data[block * 4096 :][:4096]
    cleaned = content(CACHE, 1 << 20)
    tool(0, "undo", "undo")
    assert before == (content(CACHE, 1 << 20), content(ORIGIN, 1 << 20))
    create()
    subprocess.run(("dmsetup", "message", "live", "0", "flush"), check=True)
    subprocess.run(("dmsetup", "remove", "--noudevsync", "live"), check=True)
    assert (cleaned, home) == (content(CACHE, 1 << 20), content(ORIGIN, 1 << 20))


if __name__ == "__main__":
    main()

"""Runs in the kernel that is going to die: files on ext4, each told of when it is safe.

A line `safe NAME SHA256` is printed when fsync has come back and the device was flushed once more;
so is `safe journal COUNT`, for the lines of a file that is appended to.  It goes on for ever.

The flush is needed: fsync on ext4 ends with a FUA write, and these kernels report that before it is
committed (finding `fua-not-committed`).  Without it a kill now and then takes back the last
fsync, and no tool can bring that home: no entry says where the data belongs.
"""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

MOUNT = Path("/mnt")


def content(name: str) -> bytes:
    """What a file holds: text that nobody could guess, from its name."""
    size = 1000 + int(hashlib.sha256(name.encode()).hexdigest(), 16) % 100_000
    line = hashlib.sha256(b"text of " + name.encode()).hexdigest() + "\n"
    return (line * (size // 65 + 1)).encode()[:size]


def journal_line(number: int) -> bytes:
    """A line of the file that is appended to."""
    return f"{number:06} {hashlib.sha256(str(number).encode()).hexdigest()}\n".encode()


def prepare(block_size: str) -> None:
    """Put the cache over the disk, and mount what is on it."""
    origin, cache = os.environ["ORIGIN"], os.environ["CACHE"]
    fd = os.open(origin, os.O_RDONLY)
    sectors = os.lseek(fd, 0, os.SEEK_END) // 512
    os.close(fd)
    table = f"0 {sectors} writecache s {origin} {cache} {block_size} 2 pause_writeback 0"
    run = ("dmsetup", "create", "rescue", "--noudevsync", "--noudevrules", "--table", table)
    subprocess.run(run, check=True)
    subprocess.run(("dmsetup", "mknodes"), check=True)
    subprocess.run(("mount", "-t", "ext4", "/dev/mapper/rescue", str(MOUNT)), check=True)


def save(path: Path, data: bytes, flags: int) -> None:
    """Write, and wait until it is durable."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | flags, 0o644)
    os.write(fd, data)
    os.fsync(fd)
    os.close(fd)


def tell(words: str) -> None:
    """On the console, in one piece."""
    os.write(1, words.encode() + b"\n")


def main() -> None:
    """Write until the end."""
    prepare(sys.argv[1])
    directory = os.open(MOUNT, os.O_RDONLY)
    device = os.open("/dev/mapper/rescue", os.O_RDONLY)
    number = 0
    while True:
        number += 1
        name = f"file-{number % 400:03}"
        replaced = MOUNT / f"new-{name}"
        data = content(f"{name} {number}")
        save(replaced, data, os.O_TRUNC)
        replaced.rename(MOUNT / name)
        os.fsync(directory)
        os.fsync(device)
        tell(f"safe {name} {hashlib.sha256(data).hexdigest()}")
        save(MOUNT / "journal", journal_line(number), os.O_APPEND)
        os.fsync(device)
        tell(f"safe journal {number}")


if __name__ == "__main__":
    main()

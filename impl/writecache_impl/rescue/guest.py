"""Runs in the kernel that is going to die: files on ext4, each told of when it is safe.

Started with a block size alone, it writes for ever, as follows.  With `synced COUNT` it writes so
many files, tells of each when fsync has come back, and waits to be killed; with `flushed COUNT` it
flushes the device after each; with `look` it tells of the files that are there.

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
import time
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


def prepare(block_size: str, options: str) -> None:
    """Put the cache over the disk, and mount what is on it."""
    origin, cache = os.environ["ORIGIN"], os.environ["CACHE"]
    fd = os.open(origin, os.O_RDONLY)
    sectors = os.lseek(fd, 0, os.SEEK_END) // 512
    os.close(fd)
    table = f"0 {sectors} writecache s {origin} {cache} {block_size} {options}"
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


def replace(name: str, data: bytes) -> None:
    """A file is there whole or not at all: as careful programs do it."""
    directory = os.open(MOUNT, os.O_RDONLY)
    replaced = MOUNT / f"new-{name}"
    save(replaced, data, os.O_TRUNC)
    replaced.rename(MOUNT / name)
    os.fsync(directory)
    os.close(directory)


def write_synced(count: int, flush: bool) -> None:
    """So many files, each synced, and flushed once more if asked; nothing after."""
    device = os.open("/dev/mapper/rescue", os.O_RDONLY)
    for number in range(1, count + 1):
        data = content(f"file-{number}")
        replace(f"file-{number}", data)
        if flush:
            os.fsync(device)
        tell(f"synced file-{number} {hashlib.sha256(data).hexdigest()}")
    time.sleep(3600)


def look() -> None:
    """What is there, to the console."""
    for path in sorted(MOUNT.glob("file-*")):
        tell(f"found {path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}")
    tell("found all there-is")


def write_for_ever() -> None:
    """Write until the end."""
    device = os.open("/dev/mapper/rescue", os.O_RDONLY)
    number = 0
    while True:
        number += 1
        name = f"file-{number % 400:03}"
        data = content(f"{name} {number}")
        replace(name, data)
        os.fsync(device)
        tell(f"safe {name} {hashlib.sha256(data).hexdigest()}")
        save(MOUNT / "journal", journal_line(number), os.O_APPEND)
        os.fsync(device)
        tell(f"safe journal {number}")


def main() -> None:
    """As it is told."""
    block_size, *what = sys.argv[1:]
    # By itself the origin would be written to after a pause of three seconds only.
    prepare(block_size, "0" if what else "2 pause_writeback 0")
    match what:
        case ["synced" | "flushed" as how, count]:
            write_synced(int(count), how == "flushed")
        case ["look"]:
            look()
        case _:
            write_for_ever()


if __name__ == "__main__":
    main()

"""`make demo-rescue`: a live kernel is killed over ext4 on a writecache; the files come home.

What is promised and checked: every file that was synced, and flushed (`guest` says why), is there,
byte for byte, in the merged view and on the origin after the writeback; `undo` gives both devices
back as they were.
"""

import argparse
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from writecache_impl.linux import UNUSABLE, BootOptions, Machine, locate, one_line, start
from writecache_impl.rescue import guest

NEEDED = ("mke2fs", "e2fsck", "debugfs")
FINE, PROBLEMS, NOT_JUDGED = 0, 1, 3
ORIGIN_BYTES, CACHE_BYTES = 64 << 20, 16 << 20


class FailedError(Exception):
    """What the demonstration shows is not so."""


def shown(line: list[str], expected: tuple[int, ...] = (0,), most_lines: int = 40) -> str:
    """Run a program and show its line and what it says; FailedError for another exit code."""
    print(f"\n$ {' '.join(Path(word).name if '/' in word else word for word in line)}", flush=True)
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    said = (done.stdout + done.stderr).splitlines()
    print("\n".join(said[:most_lines]))
    if len(said) > most_lines:
        print(f"... ({len(said) - most_lines} lines more)")
    print(f"[exit code {done.returncode}]", flush=True)
    if done.returncode not in expected:
        raise FailedError(f"{line[0]} ended with {done.returncode}, expected {expected}")
    return done.stdout


def tool(*arguments: object) -> list[str]:
    """A command line of ours."""
    return [str(Path(sys.executable).with_name("writecache")), *map(str, arguments)]


def die(machine: Machine, seconds: float, block_size: int) -> dict[str, str]:
    """Let the guest write for a while, kill its kernel, and tell what it had been promised."""
    pid = int(machine.control.recv(64))
    machine.receive(machine.options.boot_s)
    machine.send([sys.executable, "-I", "-S", str(Path(guest.__file__).resolve()), str(block_size)])
    safe: dict[str, str] = {}
    rest = ""
    bound = time.monotonic() + seconds + machine.options.boot_s
    until = None
    while time.monotonic() < (until or bound) and not machine.answered(0.05):
        *lines, rest = (rest + machine.console_news()).split("\n")
        for line in lines:
            words = line.split()
            if len(words) == 3 and words[0] == "safe":
                safe[words[1]] = words[2]
                until = until or time.monotonic() + seconds
    if until is None:
        raise FailedError(f"the guest wrote nothing:\n{machine.console()}")
    os.kill(pid, signal.SIGKILL)
    time.sleep(0.5)
    *lines, rest = (rest + machine.console_news()).split("\n")
    for line in lines:
        words = line.split()
        if len(words) == 3 and words[0] == "safe":
            safe[words[1]] = words[2]
    return safe


def read_file(image: Path, name: str) -> bytes:
    """A file of a filesystem in an image, without mounting it."""
    line = ["debugfs", "-R", f"cat /{name}", str(image)]
    return subprocess.run(line, capture_output=True, check=False).stdout


def missing(image: Path, safe: dict[str, str]) -> list[str]:
    """Which promised files are not there; one newer than what was told of is as good."""
    lost = []
    for name, promised in safe.items():
        data = read_file(image, name)
        if name == "journal":
            expected = b"".join(guest.journal_line(n) for n in range(1, int(promised) + 1))
            good = data.startswith(expected)
        else:
            good = hashlib.sha256(data).hexdigest() == promised or _is_newer(name, data, safe)
        if not good:
            lost.append(name)
    return sorted(lost)


def _is_newer(name: str, data: bytes, safe: dict[str, str]) -> bool:
    """Whether it is what the guest wrote last: its words come later than what they tell of."""
    number = int(safe.get("journal", "0"))
    return any(
        data == guest.content(f"{name} {later}") for later in range(number + 1, number + 100)
    )


def promised_files(image: Path, safe: dict[str, str], where: str) -> None:
    """Say that all is there, or raise FailedError."""
    lost = missing(image, safe)
    if lost:
        raise FailedError(
            f"{where}: {len(lost)} of {len(safe)} promised files are not there: {lost[:5]}"
        )
    print(f"==> {where}: all {len(safe)} promised files are there, byte for byte")


def rescue(work: Path, safe: dict[str, str]) -> None:
    """What an administrator would do."""
    ssd, disk, merged = work / "ssd.img", work / "disk.img", work / "merged.img"
    before = ssd.read_bytes(), disk.read_bytes()
    alone = work / "alone.img"
    shutil.copy(disk, alone)
    subprocess.run(["e2fsck", "-fy", str(alone)], capture_output=True, check=False)
    lost = missing(alone, safe)
    print(
        f"==> the origin without the cache: {len(lost)} of {len(safe)} promised files are missing"
    )
    if not lost:
        raise FailedError("nothing was in the cache alone: nothing is shown")
    shown(tool("check", ssd, "--origin", disk))
    shown(tool("view", ssd, "--origin", disk, "-o", merged))
    copy = work / "checked.img"
    shutil.copy(merged, copy)
    shown(["e2fsck", "-fy", str(copy)], expected=(0, 1))
    promised_files(copy, safe, "the merged view")
    shown(tool("writeback", ssd, "--origin", disk, "--dry-run"))
    shown(tool("writeback", ssd, "--origin", disk))
    if disk.read_bytes() != merged.read_bytes():
        raise FailedError("the origin is not what the view showed")
    print("==> the origin is now, to the byte, what the view showed")
    shown(tool("check", ssd, "--origin", disk))
    shown(tool("undo", str(disk) + ".undo"))
    if (ssd.read_bytes(), disk.read_bytes()) != before:
        raise FailedError("undo did not give the devices back as they were")
    print("==> both devices are, to the byte, what they were")
    shown(tool("writeback", ssd, "--origin", disk))
    shown(["e2fsck", "-fy", str(disk)], expected=(0, 1))
    promised_files(disk, safe, "the origin, without the cache")


def demonstrate(kernel: str, seconds: float, block_size: int) -> None:
    """Crash, and rescue."""
    with tempfile.TemporaryDirectory(prefix="rescue-") as name:
        work = Path(name)
        disk = work / "disk.img"
        with disk.open("wb") as file:
            file.truncate(ORIGIN_BYTES)
        shown(["mke2fs", "-q", "-t", "ext4", "-b", str(max(block_size, 1024)), str(disk)])
        options = BootOptions(entry="shell", disk_bytes=ORIGIN_BYTES, cache_bytes=CACHE_BYTES)
        with start(locate(kernel), options) as machine:
            machine.disks["origin"][:] = disk.read_bytes()
            release = machine.image.release
            print(f"\nLinux {release} writes files to ext4 on a writecache", flush=True)
            safe = die(machine, seconds, block_size)
            print(f"... and is killed (-9); {len(safe)} files had been written, synced and flushed")
            (work / "ssd.img").write_bytes(machine.disks["cache"][:])
            disk.write_bytes(machine.disks["origin"][:])
        rescue(work, safe)


def main(arguments: list[str] | None = None) -> int:
    """Run it; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kernel", default="sid", help="suite, release or path")
    parser.add_argument("--seconds", type=float, default=3.0, help="from the first file to the end")
    parser.add_argument("--block-size", type=int, default=4096)
    options = parser.parse_args(arguments)
    os.environ["PATH"] = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"  # where a user has none
    absent = [name for name in NEEDED if shutil.which(name) is None]
    if absent:
        print(f"demo-rescue: needs {', '.join(absent)} (package e2fsprogs)", file=sys.stderr)
        return NOT_JUDGED
    try:
        demonstrate(options.kernel, options.seconds, options.block_size)
    except FailedError as failure:
        print(f"demo-rescue: FAILED: {failure}", file=sys.stderr)
        return PROBLEMS
    except UNUSABLE as error:
        print(f"demo-rescue: {one_line(error)}", file=sys.stderr)
        return NOT_JUDGED
    return FINE


if __name__ == "__main__":
    sys.exit(main())

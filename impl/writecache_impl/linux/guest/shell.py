"""Runs a program of the user's in the guest, with the target loaded and two disks.

The program finds the disks' names in ORIGIN and CACHE, runs in a directory that it may write to
and that the host sees, and writes to the console. Its exit status goes over the serial line.
"""

import os
import subprocess
import sys
import termios
import time
import tty
from contextlib import suppress
from typing import Any

from .kernel import mount
from .serve import Line, prepare, run

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def shell(config: dict[str, Any]) -> None:
    """Answer one request to run a program."""
    prepare(config)
    disks = {use: f"/dev/{disk}" for use, disk in config["disks"].items()}
    if not os.path.exists(disks["origin"]):
        mount("none", "/dev", "devtmpfs")
    line = Line(config)
    line.send({"kernel": os.uname().release})
    command = line.receive()
    with suppress(termios.error):  # a console that is no terminal needs no raw mode
        tty.setraw(1)
    done = subprocess.run(
        command,
        cwd=config["exchange"],
        env={
            "PATH": PATH,
            "HOME": config["exchange"],
            "LANG": "C.UTF-8",
            "ORIGIN": disks["origin"],
            "CACHE": disks["cache"],
        },
        check=False,
    )
    sys.stdout.flush()
    line.send({"exit": done.returncode if done.returncode >= 0 else 128 - done.returncode})
    time.sleep(10)  # the host ends the kernel when it has read that


def main(path: str) -> None:
    """Run one program."""
    run(path, shell)

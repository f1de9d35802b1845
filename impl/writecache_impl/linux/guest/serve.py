"""Talks to the host over a serial line: requests come in as JSON lines, answers go out likewise.

Kernel facts: the user-mode serial driver reads the host's side one byte per system call, so long
requests come as a file in the exchange directory; what it writes goes out in one piece.
Kernel messages go to the console, never to this line.
"""

import gc
import json
import os
import sys
import termios
import traceback
import tty
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .clients import Step
from .devicemapper import DeviceMapper
from .disks import Disk, Under
from .kernel import (
    device_numbers,
    fix_io_priority,
    kernel_version,
    load_modules,
    module_code,
    mount,
    power_off,
    set_io_scheduler,
    symbol_address,
)
from .logs import Logs
from .player import NAME, Player


class Line:
    """The line to the host: a serial line in raw mode, or a port that is raw anyway."""

    def __init__(self, config: dict[str, Any]) -> None:
        path = f"{config['nodes']}/line"
        os.mknod(path, 0o020600, os.makedev(*device_numbers(config["line"])))
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        with suppress(termios.error):
            tty.setraw(self.fd)
        self.rest = b""

    def receive(self) -> Any:
        """Return the next request; the host's end of the line ends the kernel."""
        while b"\n" not in self.rest:
            got = os.read(self.fd, 4096)
            if not got:
                power_off()
            self.rest += got
        line, _, self.rest = self.rest.partition(b"\n")
        return json.loads(line)

    def send(self, answer: object) -> None:
        """Send one answer."""
        data = json.dumps(answer, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(self.fd, data) :]


class Guest:
    """One boot: the disks, the player and the line."""

    def __init__(self, config: dict[str, Any]) -> None:
        nodes = config["nodes"]
        prepare(config)
        self.line = Line(config)
        fix_io_priority()
        numbers = {
            use: device_numbers(f"/sys/block/{disk}/dev") for use, disk in config["disks"].items()
        }
        with open(f"/sys/block/{config['disks']['cache']}/queue/dax") as dax:
            self.memory = dax.read().strip() == "1"
        devices = {use: "{}:{}".format(*number) for use, number in numbers.items()}
        if config["scheduler"] is not None:
            set_io_scheduler(config["scheduler"], devices["origin"], devices["cache"])
        mapper = DeviceMapper(nodes)
        self.version = mapper.target_version(NAME)
        if self.version is None:
            raise RuntimeError(f"this kernel has no target {NAME.decode()}")
        self.delays = mapper.target_version(b"delay") is not None
        self.fails = mapper.target_version(b"flakey") is not None
        self.logs = mapper.target_version(b"log-writes") is not None
        origin = Disk(mapper, b"origin", Under(devices["origin"]))
        cache = Disk(mapper, b"cache", Under(devices["cache"]))
        logs = Logs(mapper, cache, origin, devices)
        barrier = f"{nodes}/barrier"
        os.mknod(barrier, 0o060600, os.makedev(*numbers["barrier"]))
        self.player = Player(mapper, logs, barrier, config["settle_s"], config["exclusive"])

    def hello(self) -> Step:
        """Say who answers."""
        system = os.uname()
        kernel = kernel_version(system.release, system.version)
        return {
            "kernel": kernel,
            "target": self.version,
            "delays": self.delays,
            "fails": self.fails,
            "logs": self.logs,
            "memory": self.memory,
            "code": module_code("dm_writecache"),
        }

    def play(self, ops: list[list[Any]], lockstep: bool) -> None:
        """Play operations; in lockstep the host looks at the disks after each of them."""
        for op in ops:
            self.line.send(self.player.play(op))
            if lockstep:
                self.line.receive()

    def answer(self, request: list[Any]) -> None:
        """Answer one request."""
        match request:
            case ["reset", table, cache_sectors, origin_sectors, [reads, writes], logs]:
                self.player.reset(table, cache_sectors, origin_sectors, (reads, writes), logs)
                self.line.send({"ready": True})
            case ["symbol", name]:
                self.line.send({"address": symbol_address(name)})
            case ["end logs"]:
                self.player.logs.end()
                self.line.send({"ready": True})
            case ["play", lockstep, ops]:
                self.play(ops, lockstep)
            case ["file", path]:
                with open(path) as batch:
                    whole = json.load(batch)
                os.unlink(path)
                self.answer(whole)
            case _:
                raise ValueError(f"unknown request: {request!r}")

    def serve(self) -> None:
        """Answer requests for ever."""
        self.line.send(self.hello())
        gc.disable()
        while True:
            self.answer(self.line.receive())


def prepare(config: dict[str, Any]) -> None:
    """Mount what every program needs, and load the modules."""
    mount("none", "/proc", "proc")
    mount("none", "/sys", "sysfs")
    mount("none", config["nodes"], "tmpfs")
    source, kind, data = config["exchange_mount"]
    mount(source, config["exchange"], kind, data)
    with open("/proc/sys/kernel/panic_on_oops", "w") as switch:
        switch.write("1")  # a kernel that goes on after an oops would only hang
    load_modules(config["modules"])


def run(path: str, program: Callable[[dict[str, Any]], None]) -> None:
    """Run a program; whatever goes wrong is told on the console, and the kernel ends."""
    try:
        with open(path) as file:
            program(json.load(file))
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        power_off()


def main(path: str) -> None:
    """Serve one boot."""
    run(path, lambda config: Guest(config).serve())

"""Plays one operation after the other on the dm-writecache device and describes what it saw.

Kernel facts: the block size, and with it the alignment of direct I/O, may change with a new table,
so the device is opened anew after one. A request that the target splits is mapped piece by piece; a
kernel with voluntary preemption may run the work of an earlier piece before the next, or not, as
time has it. With real-time priority for the length of an operation it never does unless the
operation itself waits.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from .clients import Client, Crowd, Step
from .devicemapper import STATUS_TABLE_FLAG, DeviceMapper
from .disks import Disk, Settling
from .kernel import KernelLog, errno_name
from .logs import Logs

NAME = b"writecache"
BEGUN_SECONDS = 0.03
RETURNED = "returned"
"""What the one log says where an operation that was begun has returned."""
REQUESTS = ("write", "write_dsync", "read", "flush", "discard", "together")


class Player:
    """The device under test; None where there is none."""

    def __init__(
        self,
        mapper: DeviceMapper,
        logs: Logs,
        barrier: str,
        settle_s: float,
        exclusive: bool,
    ) -> None:
        self.mapper, self.logs = mapper, logs
        self.cache, self.origin = logs.cache, logs.origin
        self.exclusive, self.first = exclusive, False
        self.settling = Settling(barrier)
        self.settle_s = settle_s
        self.log = KernelLog()
        self.table = ""
        self.path = ""
        self.fd: int | None = None
        self.exists = self.suspended = False
        self.client, self.crowd = Client(), Crowd()

    def reset(
        self,
        table: str,
        cache_sectors: int,
        origin_sectors: int,
        delays: tuple[int, int],
        logs: str,
    ) -> None:
        """Remove the device and give the disks new sizes; `table` is the one to open with.

        Reads of the cache and writes of the origin take `delays` milliseconds longer; `logs` says
        what is logged.
        """
        self._close()
        if self.exists:
            self.mapper.remove(NAME)
        self.exists = self.suspended = False
        self.table = table
        self.logs.begin(logs, cache_sectors, origin_sectors, delays)
        self.settling.patience = 1.5 * max(delays) / 1000

    def play(self, op: Sequence[Any]) -> Step | None:
        """Play one operation, settle, describe; None for one that has no device to act on."""
        begun = op[0] == "begin"
        kind, *arguments = op[1:] if begun else op
        needs_running = kind in REQUESTS
        absent = kind not in ("open", "fail", "heal") and not self.exists
        if absent or (needs_running and self.suspended):  # suspended, it would wait for ever
            return None
        seen: Step = {}
        self._first(self.exclusive)
        try:
            if needs_running:
                seen.update(self._request(kind, arguments))
            else:
                getattr(self, "op_" + kind)(seen, *arguments)
        except OSError as error:
            if "returned" not in seen:
                seen["errno"] = errno_name(error.errno or 0)
        self._first(False)
        refused = "errno" in seen or "returned" in seen
        if kind == "open" and refused:
            text = self.log.constructor_error()
            if text is not None:
                seen["error"] = text
        if begun:  # what is slow goes on, all else has the time to run
            self.logs.mark(RETURNED)
            time.sleep(BEGUN_SECONDS)
            return {"op": list(op), **seen}
        status, settled = self.settling.wait(self._status, self.settle_s)
        step: Step = {"op": list(op), "status": status}
        if kind == "open" and not refused:
            step["table"] = self._table()
        step.update(seen)
        if not settled:
            step["hang"] = True
        return step

    def _first(self, wanted: bool) -> None:
        """Run before every kernel thread, or like all others."""
        if wanted != self.first:
            policy, priority = (os.SCHED_FIFO, 1) if wanted else (os.SCHED_IDLE, 0)
            os.sched_setscheduler(0, policy, os.sched_param(priority))
            self.first = wanted

    def _status(self) -> str | None:
        return self.mapper.text(NAME) if self.exists else None

    def _table(self) -> str:
        names = {self.cache.dev: "CACHE", self.origin.dev: "ORIGIN"}
        words = self.mapper.text(NAME, STATUS_TABLE_FLAG).split(" ")
        words[1:3] = [names.get(word, word) for word in words[1:3]]
        return " ".join(words)

    def _params(self, table: str) -> str:
        devices = {"CACHE": self.cache.dev, "ORIGIN": self.origin.dev}
        return " ".join(devices.get(word, word) for word in table.split(" "))

    def _close(self) -> None:
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def op_open(self, seen: Step, table: str | None = None) -> None:
        """Construct and resume, or reload where a device is there."""
        self.log.skip()
        params = self._params(self.table if table is None else table)
        created = not self.exists
        if created:
            self.path = self.mapper.create(NAME)[0]
            self.exists = True
        self._close()
        try:
            returned = self.mapper.load(NAME, self.origin.sectors, NAME, params)
            if returned:
                seen["returned"] = returned
                raise OSError
            if not created:
                self.mapper.suspend(NAME)
                self.suspended = True
            self.mapper.resume(NAME)
            self.suspended = False
        except OSError:
            if created:
                self.mapper.remove(NAME)
                self.exists = False
            else:
                self.mapper.clear(NAME)
            raise
        finally:
            if self.exists:
                self.fd = os.open(self.path, os.O_RDWR | os.O_DIRECT)

    def _request(self, kind: str, arguments: Sequence[Any]) -> Step:
        assert self.fd is not None
        if kind == "together":
            return {"together": self.crowd.request(self.fd, arguments)}
        return self.client.request(self.fd, [kind, *arguments])

    def op_message(self, seen: Step, *words: str) -> None:
        """Send a device-mapper message."""
        self.mapper.message(NAME, " ".join(words))

    def op_suspend(self, seen: Step) -> None:
        """Suspend without freezing a filesystem."""
        self.mapper.suspend(NAME)
        self.suspended = True

    def op_resume(self, seen: Step) -> None:
        """Resume."""
        self.mapper.resume(NAME)
        self.suspended = False

    def op_fail(self, seen: Step, device: str, kind: str, sector: int, count: int) -> None:
        """Make sectors of a disk fail; poisoned ones are the host's to do."""
        if kind != "poison":
            self._disk(device).fail((kind, sector, count))

    def op_heal(self, seen: Step, device: str) -> None:
        """Let all of a disk work again."""
        self._disk(device).fail(None)

    def _disk(self, device: str) -> Disk:
        return self.cache if device == "cache" else self.origin

    def op_sleep(self, seen: Step, ms: float) -> None:
        """Let time pass."""
        time.sleep(ms / 1000)

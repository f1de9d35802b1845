"""One trace being played on a real Linux: operations go to the guest, steps come back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .boot import Machine
from .content import SECTOR_BYTES, ContentHash
from .errors import KernelDied, KernelHung, KernelUnavailable
from .memorylog import TraceMemoryLog
from .trace import MEMORY_LOG, POISON, Op, Step, TraceHeader, check_op, named_start_sectors
from .writelog import TraceLogs, WriteLog

if TYPE_CHECKING:
    from .target import LinuxTarget

ALWAYS = frozenset({"op", "panic", "hang"})


class Session:
    """One trace being played."""

    def __init__(
        self,
        target: "LinuxTarget",
        machine: Machine,
        parsed: TraceHeader,
        header: dict[str, Any],
    ) -> None:
        self.target, self.machine, self.parsed, self.header = target, machine, parsed, header
        self.start_sectors = {0}
        self.ended = False
        """The kernel died or hung, or a later trace was begun: no more steps."""
        images = {
            "cache": (parsed.cache_image, parsed.cache_sectors * SECTOR_BYTES),
            "origin": (parsed.origin_image, parsed.origin_sectors * SECTOR_BYTES),
        }
        self.memory_log: TraceMemoryLog | None = None
        self.logs = self._begin_logs(images)
        self.contents: dict[str, ContentHash] = {}
        for name, (image, size) in images.items():
            machine.private.set_disk(name, image)
            if name in target.hashed:
                self.contents[name] = ContentHash(machine.disks[name], size)
        if parsed.logs == MEMORY_LOG:
            whole = (image.ljust(size, b"\0") for image, size in images.values())
            self.memory_log = TraceMemoryLog(target.memory_log(machine), *whole)

    def _begin_logs(self, images: dict[str, tuple[bytes, int]]) -> TraceLogs | None:
        """Return the logs that the trace's header asks for, empty."""
        names = {"each": ("cache", "origin"), "one": ("both",)}.get(self.parsed.logs, ())
        logs = {}
        for name in names:
            disk = "origin-log" if name == "origin" else "cache-log"
            self.machine.private.set_disk(disk, b"")
            size = self.machine.private.places[disk].size
            logs[name] = WriteLog(self.machine.disks[disk], size)
        whole = {name: image.ljust(size, b"\0") for name, (image, size) in images.items()}
        return TraceLogs(logs, whole) if logs else None

    def disk(self, name: str) -> bytes:
        """Return the bytes that `cache` or `origin` holds now."""
        sectors = self.parsed.cache_sectors if name == "cache" else self.parsed.origin_sectors
        return self.machine.disks[name][: sectors * SECTOR_BYTES]

    def step(self, op: Op) -> Step | None:
        """Play one operation; None if there is no device it could act on."""
        steps = self.steps([op])
        return steps[0] if steps else None

    def steps(self, ops: Sequence[Op]) -> list[Step]:
        """Play a batch; operations without a device to act on are left out.

        ValueError for a malformed operation: nothing has been played then.
        """
        for op in ops:
            check_op(op)
            if op[:1] == ["fail"]:
                self._check_fault(op)
        over = self.ended or not self.target.runs(self.machine)
        if over:
            raise RuntimeError("this trace has ended")
        if any(op[0] in ("fail", "heal") for op in ops) and self.parsed.poison and len(ops) > 1:
            return [step for op in ops if not self.ended for step in self.steps([op])]
        for op in ops:
            self._poison(op)
        lockstep = bool(self.contents)
        self.machine.send(["play", lockstep, [list(op) for op in ops]])
        steps: list[Step] = []
        for op in ops:
            step = self._answer(op)
            if step is not None:
                steps.append(step)
            if self.ended:
                break
            if lockstep:
                self.machine.send(0)
        return steps

    def _check_fault(self, op: Op) -> None:
        """Refuse a fault that this kernel, or this trace, cannot have."""
        if op[2] == POISON:
            if not self.parsed.poison:
                raise ValueError("poison: the trace's header does not say that it comes")
            return
        goes_on = self.logs is None or ("both" in self.logs.logs and op[2] == "flakey")
        if self.memory_log or not goes_on:
            raise ValueError("over a log a disk fails with flakey, and over one log only")
        if not self.target.can_fail:
            raise KernelUnavailable("this kernel has no target flakey (dm-flakey)")

    def _poison(self, op: Op) -> None:
        """Poison sectors of the cache, or none any more."""
        if op[0] == "fail" and op[2] == POISON:
            self.target.poison(self.machine, range(op[3], op[3] + op[4]))
        elif op[0] == "heal" and op[1] == "cache":
            self.target.poison(self.machine, range(0))

    def _answer(self, op: Op) -> Step | None:
        """Receive what the guest saw and add what the disks hold."""
        pause = op[1] / 1000 if op[0] == "sleep" else 0.0
        try:
            seen: Step | None = self.machine.receive(self.target.op_seconds + pause)
        except KernelDied as death:
            return self._end(op, "panic", death)
        except KernelHung as hang:
            return self._end(op, "hang", hang)
        if seen is None:
            return None
        if seen.get("hang"):
            return self._end(
                op, "hang", KernelHung(self.machine.options.settle_s, self.machine.console())
            )
        if op[0] == "open":
            self.start_sectors |= named_start_sectors(op[1] if len(op) > 1 else self.parsed.table)
        if op[0] == "begin":
            return seen
        for name, content in self.contents.items():
            seen[name] = content.digest(self.start_sectors)
        if self.logs:
            self.logs.look(self.machine.disks)
            hashed = self.contents.get("cache")
            seen["log"] = self.logs.described(hashed.undefined if hashed else ())
        if self.memory_log:
            self.memory_log.look()
            seen["log"] = {MEMORY_LOG: self.memory_log.described()}
        if self.target.columns is None:
            return seen
        return {key: seen[key] for key in seen if key in self.target.columns | ALWAYS}

    def end_logs(self) -> None:
        """Let the logs end: they come to hold what no flush has logged yet.  No step may follow.

        Raises LogError where a log, replayed, is not what its device holds.
        """
        self.ended = True
        if self.memory_log:
            self.memory_log.check(self.disk("cache"), self.disk("origin"))
            return
        assert self.logs is not None
        self.machine.send(["end logs"])
        self.machine.receive(self.target.op_seconds)
        self.logs.look(self.machine.disks)
        self.logs.check({name: self.disk(name) for name in ("cache", "origin")})

    def _end(self, op: Op, kind: str, death: KernelDied | KernelHung) -> Step:
        self.ended = True
        self.target.bury(death)
        return {"op": list(op), kind: True}

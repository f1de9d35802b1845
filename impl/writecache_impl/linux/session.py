"""One trace being played on a real Linux: operations go to the guest, steps come back."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .boot import Machine
from .content import SECTOR_BYTES, ContentHash
from .errors import KernelDied, KernelHung, KernelUnavailable
from .trace import Op, Step, TraceHeader, check_op, named_start_sectors
from .writelog import MARK, Entry, LogError, WriteLog, replay

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
        self.logs: dict[str, WriteLog] = {}
        """By the device that is logged; `both` where that is one."""
        self.entries: dict[str, list[Entry]] = {}
        """What was logged since the step before."""
        self._replayed = self._contents_at_first(images) if parsed.logs != "none" else {}
        for name in self._replayed:
            disk = "origin-log" if name == "origin" else "cache-log"
            machine.private.set_disk(disk, b"")
            self.logs[name] = WriteLog(machine.disks[disk], machine.private.places[disk].size)
        self.contents: dict[str, ContentHash] = {}
        for name, (image, size) in images.items():
            machine.private.set_disk(name, image)
            if name in target.hashed:
                self.contents[name] = ContentHash(machine.disks[name], size)

    def _contents_at_first(self, images: dict[str, tuple[bytes, int]]) -> dict[str, bytearray]:
        """Return what each logged device holds before it is written."""
        whole = {name: bytearray(image.ljust(size, b"\0")) for name, (image, size) in images.items()}
        return whole if self.parsed.logs == "each" else {"both": whole["origin"] + whole["cache"]}

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
            if self.logs and op[0] == "fail":
                raise ValueError("a disk with a log does not fail")
            if op[0] == "fail" and not self.target.can_fail:
                raise KernelUnavailable("this kernel has no target flakey (dm-flakey)")
        over = self.ended or not self.target.runs(self.machine)
        if over:
            raise RuntimeError("this trace has ended")
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
            seen["log"] = self._logged()
        if self.target.columns is None:
            return seen
        return {key: seen[key] for key in seen if key in self.target.columns | ALWAYS}

    def _logged(self) -> dict[str, list[Any]]:
        """Return what was logged in this step, and keep it."""
        self.entries = {name: list(log.news()) for name, log in self.logs.items()}
        undefined = self.contents["cache"].undefined if "cache" in self.contents else set()
        shift = self.parsed.origin_sectors * SECTOR_BYTES
        masks = {
            "cache": undefined,
            "both": {(first + shift, last + shift) for first, last in undefined},
        }
        for name, entries in self.entries.items():
            replay(entries, self._replayed[name])
        return {
            name: [entry.described(masks.get(name, ())) for entry in entries]
            for name, entries in self.entries.items()
        }

    def end_logs(self) -> dict[str, list[Entry]]:
        """Let the logs end, and return what no flush had logged yet, without the marks.

        Raises LogError where a log, replayed, is not what its device holds.  No step may follow.
        """
        self.ended = True
        self.machine.send(["end logs"])
        self.machine.receive(self.target.op_seconds)
        rest = {name: list(log.news()) for name, log in self.logs.items()}
        for name, entries in rest.items():
            replay(entries, self._replayed[name])
            parts = ("origin", "cache") if name == "both" else (name,)
            if self._replayed[name] != b"".join(map(self.disk, parts)):
                raise LogError(f"the log of {name}, replayed, is not what the device holds")
        return {name: [one for one in entries if not one.flags & MARK] for name, entries in rest.items()}

    def _end(self, op: Op, kind: str, death: KernelDied | KernelHung) -> Step:
        self.ended = True
        self.target.bury(death)
        return {"op": list(op), kind: True}

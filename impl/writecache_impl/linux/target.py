"""A real Linux as a target: plays traces operation by operation and yields what a vector records.

One boot serves many traces. The guest plays, settles and describes; the host, which sees the disks'
files at once, hashes them while the guest waits. Without hashes a batch goes through unattended.

What limits it in user mode: a system call is two switches between host processes, 10 to 20
microseconds. A step is the operation (some 100), two looks (150), a line to the host (60), and with
hashes its answer and SHA-256 from the first 64 KiB that changed (400): about 2500 steps a second
without hashes, 1100 with those of 1.25 MiB. An emulated machine plays 200.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from .boot import Machine
from .content import SECTOR_BYTES
from .emulator import EmulatedMachine
from .errors import KernelDied, KernelHung, KernelUnavailable
from .locating import locate
from .machinecheck import COPY, Poison
from .machines import start
from .memorylog import DISK, MEMORY, MemoryLog
from .private import BootOptions
from .session import Session
from .suites import KernelImage, remember_target
from .trace import MEMORY_LOG, NO_LOGS, Op, Step, TraceHeader

BATCH_OPS = 64
RESET_SECONDS = 60.0
HASHES = frozenset({"cache", "origin"})


class LinuxTarget:
    """A kernel that is booted when it is needed, and anew after it has died.

    `kernel` is a suite, a fetched version or a file; `columns` names the keys wanted in a step
    (None: all), `hashes` False is short for all but `cache` and `origin`. `op_seconds` bounds one
    operation, a `sleep` not counted.
    """

    def __init__(
        self,
        kernel: str | KernelImage,
        *,
        modules: str | None = None,
        hashes: bool = True,
        columns: Iterable[str] | None = None,
        op_seconds: float = 20.0,
        options: BootOptions | None = None,
    ) -> None:
        self.image = kernel if isinstance(kernel, KernelImage) else locate(kernel, modules)
        self.columns = None if columns is None else frozenset(columns)
        self.hashed = HASHES if self.columns is None else HASHES & self.columns
        if not hashes:
            self.hashed = frozenset()
        self.op_seconds = op_seconds
        self.options = options or BootOptions()
        self.console = ""
        """What the last kernel that died or hung left on its console."""
        self._machine: Machine | None = None
        self._memory_log: tuple[Machine, MemoryLog] | None = None
        self._poison: Poison | None = None
        self._hello: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the kernel."""
        if self._machine is not None:
            self._machine.close()
            self._machine = None
        if self._poison is not None:
            self._poison.forget()
            self._poison = None

    def machine(
        self,
        cache_bytes: int = 0,
        origin_bytes: int = 0,
        logs: bool = False,
        poison: bool = False,
    ) -> Machine:
        """Return the running kernel, booting one if none runs or its disks are too small or few."""
        options = self.options.with_disks_of(cache_bytes, origin_bytes)
        options = replace(options, logs=options.logs or logs, poison=options.poison or poison)
        if options != self.options:
            self.close()
        if self._machine is None:
            machine = start(self.image, options)
            try:
                self._hello = machine.receive(options.boot_s)
            except BaseException:
                machine.close()
                raise
            self._machine, self.options = machine, options
            remember_target(self.image, self._hello["target"])
        return self._machine

    def runs(self, machine: Machine) -> bool:
        """Tell whether this is the kernel that runs now."""
        return self._machine is machine

    @property
    def kernel_version(self) -> str:
        """The kernel's release, as it says itself."""
        self.machine()
        return str(self._hello["kernel"])

    @property
    def target_version(self) -> str:
        """The version of the writecache target, as the kernel says itself."""
        self.machine()
        return str(self._hello["target"])

    @property
    def can_fail(self) -> bool:
        """Whether the kernel has what makes sectors of a disk fail."""
        self.machine()
        return bool(self._hello["fails"])

    @property
    def has_memory(self) -> bool:
        """Whether the cache device is persistent memory."""
        self.machine()
        return bool(self._hello["memory"])

    def memory_log(self, machine: Machine) -> MemoryLog:
        """Return the log of a machine's use of persistent memory."""
        if self.image.emulator is None:
            raise KernelUnavailable("this kernel has no persistent memory to be logged")
        if self._memory_log is None or self._memory_log[0] is not machine:
            first, size = self._hello["code"]
            disks = machine.disks
            log = MemoryLog(disks[MEMORY], disks[DISK], range(first, first + size))
            self._memory_log = machine, log
        return self._memory_log[1]

    def poison(self, machine: Machine, sectors: range) -> None:
        """From now on loads from sectors of the cache fail, or from none."""
        if self._poison is not None:
            held, self._poison = self._poison, None
            held.close()
        if sectors:
            if not isinstance(machine, EmulatedMachine):
                raise KernelUnavailable("this kernel has no persistent memory to be poisoned")
            machine.send(["symbol", COPY])
            copy = machine.receive(RESET_SECONDS)["address"]
            self._poison = machine.poison(sectors, copy)

    def header(self, header: Mapping[str, Any]) -> dict[str, Any]:
        """Return a trace's header with who recorded it filled in."""
        return {
            **header,
            "format": 1,
            "kernel": self.kernel_version,
            "target": self.target_version,
        }

    def open_trace(self, header: Mapping[str, Any]) -> Session:
        """Begin a trace: the device is removed and the disks hold the header's images.

        ValueError for a header that cannot be played.
        """
        parsed = TraceHeader.parse(header)
        sectors = parsed.cache_sectors, parsed.origin_sectors
        for last_attempt in (False, True):
            logs = parsed.logs != NO_LOGS
            cache_bytes, origin_bytes = (n * SECTOR_BYTES for n in sectors)
            machine = self.machine(cache_bytes, origin_bytes, logs, parsed.poison)
            self.poison(machine, range(0))
            by_guest = NO_LOGS if parsed.logs == MEMORY_LOG else parsed.logs
            if by_guest != NO_LOGS and not self._hello["logs"]:
                raise KernelUnavailable("this kernel has no target log-writes (dm-log-writes)")
            if parsed.logs == MEMORY_LOG and self.memory_log(machine).nearly_full:
                self.close()
                machine = self.machine(cache_bytes, origin_bytes, logs)
            delays = parsed.cache_delay, parsed.origin_delay
            if any(delays) and not self._hello["delays"]:
                raise KernelUnavailable("this kernel has no target delay (dm-delay)")
            machine.send(["reset", parsed.table, *sectors, delays, by_guest])
            try:
                machine.receive(RESET_SECONDS)
                break
            except (KernelDied, KernelHung) as death:
                self.bury(death)  # what an earlier trace left made the removal fail
                if last_attempt:
                    raise
        return Session(self, machine, parsed, self.header(header))

    def bury(self, death: KernelDied | KernelHung) -> None:
        """Keep the last words of a kernel that has ended."""
        self.console = death.console
        self.close()

    def play(self, header: Mapping[str, Any], ops: Iterable[Op]) -> Iterator[Step]:
        """Play a whole trace, yielding its steps; it ends with the step on which the kernel died.

        A sequence goes in batches; any other iterable is asked for one operation at a time, after
        the step before it was yielded.  Logs of a trace that comes to its end are checked:
        LogError where one, replayed, is not what its device holds.
        """
        session = self.open_trace(header)
        yield from self._play(session, ops)
        if (session.logs or session.memory_log) and not session.ended:
            session.end_logs()

    def _play(self, session: Session, ops: Iterable[Op]) -> Iterator[Step]:
        if not isinstance(ops, Sequence):
            for op in ops:
                step = session.step(op)
                if step is not None:
                    yield step
                if session.ended:
                    return
            return
        for at in range(0, len(ops), BATCH_OPS):
            yield from session.steps(ops[at : at + BATCH_OPS])
            if session.ended:
                return

"""The target's two disks, and how to know that nothing is going on.

Kernel facts
    * Both disks are dm-linear devices over big ubd disks. They take any size without a new boot,
      queue limits stack unchanged, so requests are split as on a bare disk, and every bio of a
      bio-based device is counted from submission to completion, flushes too (request-based disks
      hide those). So ``/proc/diskstats`` says exactly whether I/O is in flight, and any that came
      and went since the last look has changed a line.
    * A log of what is written (dm-log-writes) takes the place of dm-linear: it passes sectors on as
      they are, so a disk with a log lies on the first sectors of its device.
    * One processor, no preemption: while this process runs nothing else does, and `sched_yield`
      lets every runnable thread go first. ``/proc/loadavg`` counts runnable tasks: 1 is us alone.

Quiet means: two looks give the same status and the same lines for all disks with nothing in
flight, and at a moment between them no task but this one was runnable. From the first look to the
second no I/O has begun or ended, so at that moment nobody waited for I/O and nobody could go on by
himself: only timers are left. The devices' contents have stayed, they need no comparing. While
I/O is in flight a read from a third disk waits behind it in the same helper process: the guest is
idle and the helper has the processor. A look costs three or four system calls, 10 to 20
microseconds each in user mode.
"""

import mmap
import os
import time
from collections.abc import Callable
from typing import NamedTuple

from .devicemapper import DeviceMapper

QUIET_LOOKS = 2
UNDER_WRITEBACK_LOOKS = 200
LOOKS_PER_CLOCK = 32
PAUSE_SECONDS = 0.01
IN_FLIGHT_FIELD = 11


Fault = tuple[str, int, int]
"""The device-mapper target that fails, its first sector, and how many."""
FAULT_PARAMS = {"error": "", "flakey": " 0 1 1 error_writes"}
"""What follows the place in a target's parameters; `flakey` is up for 0 s, and down for ever."""


class Under(NamedTuple):
    """What a disk lies on."""

    whole: str
    """A device ("major:minor")."""
    first: int = 0
    """The sector of it that is the disk's first one."""
    log: str | None = None
    """The device that logs what the disk is told to write; None: nothing does."""


class Disk:
    """Some sectors of a device that is as large as any trace needs."""

    def __init__(self, mapper: DeviceMapper, name: bytes, under: Under) -> None:
        self.mapper, self.name, self.under = mapper, name, under
        self.dev = mapper.create(name)[1]
        self.sectors, self.delay = 0, (0, 0)
        self.fault: Fault | None = None

    def lie_on(self, under: Under) -> None:
        """Lie on something else as soon as it becomes anything; a log always begins anew."""
        if under != self.under or under.log:
            self.under, self.sectors = under, 0

    def become(
        self, sectors: int, delay: tuple[int, int] = (0, 0), fault: Fault | None = None
    ) -> None:
        """Have so many sectors; reads and writes take `delay` ms longer, and some fail."""
        if (sectors, delay, fault) == (self.sectors, self.delay, self.fault):
            return
        kind, first, failing = fault or ("", sectors, 0)
        first = min(first, sectors)
        end = min(first + failing, sectors)
        targets = [self._working(0, first, delay)] if first else []
        if end > first:
            place = f"{self.under.whole} {self.under.first + first}" if kind == "flakey" else ""
            targets.append((end - first, kind.encode(), place + FAULT_PARAMS[kind]))
        if end < sectors:
            targets.append(self._working(end, sectors, delay))
        self.mapper.load_all(self.name, targets)
        self.mapper.suspend(self.name)
        self.mapper.resume(self.name)
        self.sectors, self.delay, self.fault = sectors, delay, fault

    def _working(self, first: int, end: int, delay: tuple[int, int]) -> tuple[int, bytes, str]:
        """Return a target whose I/O succeeds."""
        place = f"{self.under.whole} {self.under.first + first}"
        if self.under.log:
            return end - first, b"log-writes", f"{self.under.whole} {self.under.log}"
        if self.under.first:  # what dm-linear does, but it tells of a flush where it comes from
            return end - first, b"flakey", f"{place} 1 0"
        if any(delay):
            return end - first, b"delay", f"{place} {delay[0]} {place} {delay[1]}"
        return end - first, b"linear", place

    def fail(self, fault: Fault | None) -> None:
        """From now on some sectors fail, or none."""
        self.become(self.sectors, self.delay, fault)


def nothing_in_flight(diskstats: bytes) -> bool:
    """Tell whether no line of ``/proc/diskstats`` counts an I/O in flight.

    >>> nothing_in_flight(b" 254 0 dm-0 1 0 8 0 1 0 8 0 0 0 0\\n")
    True
    >>> nothing_in_flight(b" 254 0 dm-0 1 0 8 0 1 0 8 0 2 0 0\\n")
    False
    """
    return all(line.split()[IN_FLIGHT_FIELD] == b"0" for line in diskstats.splitlines())


def under_writeback(status: str | None) -> bool:
    """Tell whether a status promises more work: blocks under writeback and no error so far.

    After an error blocks may stay under writeback for ever.

    >>> under_writeback("0 62 60 1"), under_writeback("1 62 60 1"), under_writeback(None)
    (True, False, False)
    """
    fields = status.split() if status else []
    return len(fields) > 3 and fields[0] == "0" and fields[3] != "0"


class Settling:
    """Waits until everything an operation set in motion has run."""

    def __init__(self, barrier: str) -> None:
        self.barrier = os.open(barrier, os.O_RDONLY | os.O_DIRECT)
        self.page = mmap.mmap(-1, mmap.PAGESIZE)
        self.page.write(bytes(mmap.PAGESIZE))
        self.loadavg = os.open("/proc/loadavg", os.O_RDONLY)
        self.diskstats = os.open("/proc/diskstats", os.O_RDONLY)
        self.patience = 0.0
        """Seconds for which all must stay as it is: what a delay holds back is not in flight."""

    def _alone(self) -> bool:
        return os.pread(self.loadavg, 64, 0).split()[3].startswith(b"1/")

    def wait(self, status: Callable[[], str | None], seconds: float) -> tuple[str | None, bool]:
        """Return the settled status, and whether it did settle within the bound."""
        before: tuple[str | None, bytes] | None = None
        agreed = looks = 0
        bound = 0.0
        patient_until = self.patience and time.monotonic() + self.patience
        while True:
            if before is None or nothing_in_flight(before[1]):
                os.sched_yield()
            else:  # behind everything in flight: meanwhile the helper has the processor
                os.preadv(self.barrier, [self.page], 0)
            alone = before is not None and self._alone()
            now = (status(), os.pread(self.diskstats, 4096, 0))
            quiet = alone and now == before and nothing_in_flight(now[1])
            if self.patience:
                if not quiet:
                    patient_until = time.monotonic() + self.patience
                elif time.monotonic() < patient_until:
                    quiet = False
                    time.sleep(PAUSE_SECONDS)
            agreed = agreed + 1 if quiet else 0
            before = now
            wanted = UNDER_WRITEBACK_LOOKS if under_writeback(now[0]) else QUIET_LOOKS - 1
            if agreed >= wanted:
                return now[0], True
            looks += 1
            if looks % LOOKS_PER_CLOCK == 0:  # asking for the time is a system call, too
                bound = bound or time.monotonic() + seconds
                if time.monotonic() > bound:
                    return now[0], False

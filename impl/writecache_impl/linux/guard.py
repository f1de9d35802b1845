"""Starts a user-mode kernel and sees to it that it never outlives its user.

Stands alone: run as ``python -I -S guard.py CONTROL_FD SERIAL_FD CPU DIRECTORY... -- KERNEL ...``.
It ends the whole process group of the kernel (which forks helpers and one process per address
space of the guest) and removes the directories when the other end of CONTROL_FD is closed, which
the operating system does even for a killed user, or when the kernel has ended. The exit status is
the kernel's own.

Facts: a user-mode kernel calls abort() on a panic, so core dumps are switched off; each system call
in the guest is two switches between host processes, three times as fast if all of them stay on one
processor.
"""

import contextlib
import ctypes
import os
import resource
import select
import shutil
import signal
import sys
import time

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
REAP_SECONDS = 5.0


def start(kernel: list[str], cpu: int, guard: int) -> None:
    """Become the kernel: leader of its own session, killed when the guard is."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != guard:
        os._exit(1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        os.sched_setaffinity(0, {cpu})
    os.execv(kernel[0], kernel)


def wait(control: int, wakeup: int, pid: int) -> int | None:
    """Wait until the user is gone (None) or the kernel has ended (its wait status)."""
    while True:
        ready, _, _ = select.select([control, wakeup], [], [])
        if wakeup in ready:
            os.read(wakeup, 64)
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                return status
        if control in ready and not os.read(control, 64):
            return None


def reap() -> None:
    """Wait for what the kernel leaves behind, so that nobody else has to."""
    bound = time.monotonic() + REAP_SECONDS
    with contextlib.suppress(ChildProcessError):
        while time.monotonic() < bound:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.005)


def main(arguments: list[str]) -> int:
    """Start, wait, end everything."""
    split = arguments.index("--")
    control_text, serial, cpu, *directories = arguments[:split]
    control = int(control_text)
    kernel = arguments[split + 1 :]
    wakeup, wakeup_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wakeup_writer)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    os.set_inheritable(control, False)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    guard = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            start(kernel, int(cpu), guard)
        finally:
            os._exit(127)
    os.close(int(serial))  # the line must end when the kernel does
    with contextlib.suppress(BrokenPipeError):
        os.write(control, f"{pid}\n".encode())
    try:
        status = wait(control, wakeup, pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        reap()
        for directory in directories:
            shutil.rmtree(directory, ignore_errors=True)
    if status is None:
        return 0
    return os.waitstatus_to_exitcode(status) & 255


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

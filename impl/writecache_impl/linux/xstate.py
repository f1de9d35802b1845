"""Processors whose extended state is longer than an older user-mode kernel keeps.

Linux before 6.13 in user mode has room for what processors had up to AVX-512. On one with AMX (or
APX) its first return to the guest fails, and it panics with "Attempted to kill init!". `xstate.c`,
preloaded, writes the rest of the state for it.
"""

from pathlib import Path

from .compiled import shared_object
from .suites import KernelImage

SOURCE = Path(__file__).with_name("xstate.c")
CPU_INFO = Path("/proc/cpuinfo")
LONG_STATE_FLAGS = frozenset({"amx_tile", "apx"})
"""As the host's kernel names the features whose state lies behind AVX-512's and PKRU's."""
KEEPS_ANY_LENGTH = (6, 13)
"""Since this release a user-mode kernel asks the host for the state's length."""


def prefix(image: KernelImage, cpu_info: Path = CPU_INFO) -> list[str]:
    """Return what to put before the command line of a user-mode kernel: often nothing.

    Raises KernelUnavailable where a compiler is needed and there is none.
    """
    if not has_long_state(cpu_info) or keeps_any_length(image.release):
        return []
    preloaded = shared_object(SOURCE, "what this processor (AMX) needs", "-nostdlib")
    return ["/usr/bin/env", f"LD_PRELOAD={preloaded}"]


def has_long_state(cpu_info: Path = CPU_INFO) -> bool:
    """Tell whether the host's processors have more state than AVX-512's."""
    try:
        text = cpu_info.read_text()
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return not LONG_STATE_FLAGS.isdisjoint(flags.partition(":")[2].split())


def keeps_any_length(release: str | None) -> bool:
    """Tell whether a kernel of this release keeps a state of any length.

    >>> [keeps_any_length(release) for release in ("6.12.101", "6.13", "7.2.7", "?", None)]
    [False, True, True, False, False]
    """
    numbers = (release or "").split(".")[:2]
    if len(numbers) < 2 or not all(number.isdecimal() for number in numbers):
        return False
    return tuple(map(int, numbers)) >= KEEPS_ANY_LENGTH

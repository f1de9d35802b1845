"""Real Linux kernels as targets: fetched, booted in user mode or emulated, driven step by step."""

from .boot import Machine
from .content import content_hash
from .emulator import EmulatedMachine
from .errors import (
    UNUSABLE,
    HarnessError,
    KernelDied,
    KernelHung,
    KernelUnavailable,
    KernelUnknown,
    one_line,
)
from .fetch import fetch
from .locating import check_name, locate
from .machines import start
from .private import BootOptions
from .session import Session
from .suites import SUITES, KernelImage, Suite, is_fetched_name, kernels
from .target import LinuxTarget
from .usermode import UserModeLinux

__all__ = [
    "SUITES",
    "UNUSABLE",
    "BootOptions",
    "EmulatedMachine",
    "HarnessError",
    "KernelDied",
    "KernelHung",
    "KernelImage",
    "KernelUnavailable",
    "KernelUnknown",
    "LinuxTarget",
    "Machine",
    "Session",
    "Suite",
    "UserModeLinux",
    "check_name",
    "content_hash",
    "fetch",
    "is_fetched_name",
    "kernels",
    "locate",
    "one_line",
    "start",
]

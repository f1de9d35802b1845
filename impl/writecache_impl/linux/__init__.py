"""Real Linux kernels as targets: fetched, booted in user mode, driven step by step."""

from .boot import UserModeLinux
from .content import content_hash
from .errors import HarnessError, KernelDied, KernelHung, KernelUnavailable
from .fetch import fetch
from .private import BootOptions
from .suites import SUITES, KernelImage, Suite, kernels, locate
from .target import LinuxTarget, Session

__all__ = [
    "SUITES",
    "BootOptions",
    "HarnessError",
    "KernelDied",
    "KernelHung",
    "KernelImage",
    "KernelUnavailable",
    "LinuxTarget",
    "Session",
    "Suite",
    "UserModeLinux",
    "content_hash",
    "fetch",
    "kernels",
    "locate",
]

"""Real Linux kernels as targets: fetched, booted in user mode, driven step by step."""

from .boot import UserModeLinux
from .content import content_hash
from .errors import UNUSABLE, HarnessError, KernelDied, KernelHung, KernelUnavailable, one_line
from .fetch import fetch
from .private import BootOptions
from .suites import SUITES, KernelImage, Suite, is_fetched_name, kernels, locate
from .target import LinuxTarget, Session

__all__ = [
    "SUITES",
    "UNUSABLE",
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
    "is_fetched_name",
    "kernels",
    "locate",
    "one_line",
]

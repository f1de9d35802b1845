"""Which machine runs which kernel."""

from .boot import Machine
from .emulator import EmulatedMachine
from .private import BootOptions
from .suites import KernelImage
from .usermode import UserModeLinux


def start(image: KernelImage, options: BootOptions | None = None) -> Machine:
    """Start a kernel; the machine is to be closed."""
    kind = UserModeLinux if image.emulator is None else EmulatedMachine
    return kind(image, options)

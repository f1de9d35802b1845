"""An emulated machine (QEMU, in software): a kernel with persistent memory.

The guest's memory is a file that the host maps too. A piece of it is persistent memory, which the
kernel offers as /dev/pmem0: the host sees each store at once. The origin is a virtio disk.

Kernel facts: ``memmap=SIZE!START`` on the boot line declares the persistent memory, in multiples of
2 MiB; QEMU ends with the guest's restart, which a panic asks for at once; a virtio port is a line
without a terminal's driver, fast both ways.
"""

from collections.abc import Mapping
from pathlib import Path

from . import initramfs, machinecheck, memorylog
from .boot import Machine
from .private import BARRIER_BYTES, SMALLEST_CACHE_BYTES, BootOptions, Place

PROGRAM, BUSYBOX = "usr/bin/qemu-system-x86_64", "bin/busybox"
FIRMWARE = ("usr/share/qemu", "usr/share/seabios")
"""Under the directory into which the emulator was unpacked."""
MEBIBYTE = 1 << 20
PMEM_ALIGNMENT = 2 * MEBIBYTE
PMEM_START = 256 * MEBIBYTE
"""Where persistent memory begins; the kernel has the memory below for itself."""
TAIL_BYTES = 32 * MEBIBYTE
"""Memory after it: the emulator puts the initramfs and its tables at the end."""
MODULES = ("virtio_blk", "virtio_console", "nd_pmem", "nd_e820", "dm-mod", "dm-writecache")
PARAMETERS = {"virtio_blk.ko": "queue_depth=1"}
"""One request at a time: their ends come in the order of their beginnings, run after run."""
OPTIONAL_MODULES = ("dm-delay",)


class EmulatedMachine(Machine):
    """A kernel in an emulated machine."""

    request_bytes_max = 1 << 16

    @classmethod
    def _places(cls, options: BootOptions) -> Mapping[str, Place]:
        wanted = options.cache_bytes or SMALLEST_CACHE_BYTES
        size = -(-wanted // PMEM_ALIGNMENT) * PMEM_ALIGNMENT
        places = {
            "origin": Place(file="origin", size=options.disk_bytes),
            "cache": Place(file="memory", size=size, offset=PMEM_START, tail=TAIL_BYTES),
            "barrier": Place(file="barrier", size=BARRIER_BYTES),
        }
        return {**places, **memorylog.PLACES} if options.logs else places

    def _command(self, line: int) -> list[str]:
        root = self.image.emulator
        assert root is not None
        wanted = (*MODULES, *OPTIONAL_MODULES, *self.options.extra_modules)
        devices = {
            "disks": {"origin": "vda", "cache": "pmem0", "barrier": "vdb"},
            "line": "/sys/class/virtio-ports/vport*/dev",
            "exchange_mount": [initramfs.EXCHANGE_TAG, "9p", initramfs.MOUNT_DATA],
        }
        init = self.private.guest_files(self.image.modules(wanted), devices, PARAMETERS)
        first = self.private.work / "initramfs"
        modules = self.image.modules(initramfs.MODULES)
        first.write_bytes(initramfs.initramfs(root / BUSYBOX, modules))
        pmem = self.private.places["cache"]
        boot_line = (
            f"console=ttyS0 quiet panic=-1 nokaslr mitigations=off log_buf_len=256K "
            f"memmap={pmem.size // MEBIBYTE}M!{PMEM_START // MEBIBYTE}M "
            f"random.trust_cpu=on {initramfs.INIT_VARIABLE}={init}"
        )
        if self.options.poison:
            boot_line = f"{machinecheck.BOOT_WORDS} {boot_line}"
        return [
            *self._board(root),
            *(self._plugin() if self.options.logs else ()),
            *(self._debugger() if self.options.poison else ()),
            *self._devices(line),
            *("-kernel", str(self.image.path), "-initrd", str(first), "-append", boot_line),
        ]

    def _board(self, root: Path) -> list[str]:
        """Return the emulator, its processor and memory."""
        place = self.private.places["cache"]
        memory = self.private.fast / place.file
        size = place.file_bytes
        processor = machinecheck.PROCESSOR if self.options.poison else "max,la57=off"
        return [
            str(root / PROGRAM),
            *(word for place in FIRMWARE for word in ("-L", str(root / place))),
            *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
            *("-accel", "tcg", "-smp", "1", "-cpu", processor),
            *("-machine", "pc,memory-backend=ram", "-m", f"{size // MEBIBYTE}M"),
            *("-object", f"memory-backend-file,id=ram,size={size},mem-path={memory},share=on"),
        ]

    def _debugger(self) -> list[str]:
        """Return the line on which the emulator's debugger listens."""
        path = self.private.work / machinecheck.SOCKET
        listens = f"socket,id=debugger,path={path},server=on,wait=off"
        return ["-chardev", listens, "-gdb", "chardev:debugger"]

    def poison(self, sectors: range, copy: int) -> machinecheck.Poison:
        """Have loads from sectors of the cache fail, until it is closed."""
        path = self.private.work / machinecheck.SOCKET
        return machinecheck.Poison(path, self.private.places["cache"].offset, copy, sectors)

    def _plugin(self) -> list[str]:
        """Return what logs the use of persistent memory, and the origin's disk beside it."""
        pmem = self.private.places["cache"]
        arguments = {
            "memory": self.private.fast / pmem.file,
            "first": pmem.offset,
            "size": pmem.size,
            "log": self.private.fast / memorylog.MEMORY,
            "disk": self.private.fast / memorylog.DISK,
        }
        words = [str(memorylog.plugin()), *(f"{name}={value}" for name, value in arguments.items())]
        return ["-plugin", ",".join(words)]

    def _drive(self, name: str) -> str:
        """Return how a disk is to be attached; with logs, the origin's says what it does."""
        place = self.private.fast / name
        if name != "origin" or not self.options.logs:
            return f"file={place},format=raw,cache=unsafe"
        log = f"log.driver=file,log.filename={self.private.fast / memorylog.DISK}"
        log += ",log-sector-size=512"
        return f"driver=blklogwrites,file.driver=file,file.filename={place},{log},cache=writeback"

    def _devices(self, line: int) -> list[str]:
        """Return the disks, the console, the line, the host's files."""
        arguments = ["-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console"]
        arguments += ["-device", "virtio-serial-pci", "-chardev", f"socket,id=line,fd={line}"]
        arguments += ["-device", "virtserialport,chardev=line"]
        for name in ("origin", "barrier"):
            drive = f"{self._drive(name)},discard=unmap,if=none,id={name}"
            arguments += ["-drive", drive]
            arguments += ["-device", f"virtio-blk-pci,drive={name}"]
        shared = (
            (initramfs.ROOT_TAG, "/", ",readonly=on"),
            (initramfs.EXCHANGE_TAG, str(self.private.exchange), ""),
        )
        for tag, path, access in shared:
            backend = f"local,id={tag},path={path},security_model=none,multidevs=remap{access}"
            arguments += ["-fsdev", backend]
            arguments += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
        return arguments

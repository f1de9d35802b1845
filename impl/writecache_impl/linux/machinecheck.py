"""Memory errors of an emulated machine: loads from poisoned sectors end in a machine check.

The emulator has no poisoned memory.  Its debugger's line (GDB's remote protocol) does: where the
kernel is about to load from a poisoned place, it stops, and a machine check is injected through
the emulator's monitor, as a processor reports an uncorrected error of a load that it needs.

Kernel facts: with ``mce=recovery`` the kernel copies what may be poisoned with ``copy_mc_fragile``,
word by word, and an error of that load ends the copy; the count of bytes that were left is the
result.  The processor must be one of Intel's.  Disks that read the memory by themselves meet no
error here, nor do stores.
"""

import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from .content import SECTOR_BYTES
from .errors import HarnessError

SOCKET: Final = "debugger"
PROCESSOR: Final = "Haswell-v1"
BOOT_WORDS: Final = "mce=recovery"
COPY: Final = "copy_mc_fragile"
CODE_BYTES: Final = 256
LOAD_OF_WORD: Final = bytes.fromhex("4c8b06")
"""The instruction ``mov (%rsi),%r8``."""
DIRECT_MAP: Final = 0xFFFF888000000000
"""Where the kernel sees physical memory, with ``nokaslr``."""
_STATUS: Final = 0xBD80000000000134
"""Valid, uncorrected, with its address, to be acted upon: a load of data."""
_RESTARTABLE: Final = 7
_WHOLE_PAGE: Final = 0x8C
_RSI, _RIP = 4, 16
_N_REGISTERS: Final = 17
INTERRUPT: Final = b"\x03"
STEP, NOTHING_ELSE = 1, 6
"""Of a step: that it is one; that no interrupt or timer comes in."""
SECONDS: Final = 10.0


class Debugger:
    """The emulator's debugger, as far as it is needed."""

    def __init__(self, path: Path) -> None:
        self.line = socket.socket(socket.AF_UNIX)
        self.line.settimeout(SECONDS)
        self.line.connect(str(path))
        self.rest = b""

    def ask(self, command: str) -> str:
        """Send a command and return its answer."""
        self.send(command)
        return self.answer()

    def send(self, command: str) -> None:
        """Send a command whose answer comes when it may."""
        data = command.encode()
        self.line.sendall(b"$%b#%02x" % (data, sum(data) % 256))

    def answer(self) -> str:
        """Return the next answer."""
        while b"#" not in self.rest or len(self.rest) < self.rest.index(b"#") + 3:
            got = self.line.recv(4096)
            if not got:
                raise ConnectionResetError("the emulator has ended")
            self.rest += got
        packet, _, rest = self.rest.partition(b"#")
        self.rest = rest[2:]
        self.line.sendall(b"+")
        return packet.partition(b"$")[2].decode()

    def monitor(self, command: str) -> None:
        """Have the emulator's monitor do something."""
        if self.ask("qRcmd," + command.encode().hex()) != "OK":
            raise HarnessError(f"the emulator's monitor refuses: {command}")

    def registers(self) -> tuple[int, ...]:
        """Return the processor's, in the debugger's order."""
        raw = bytes.fromhex(self.ask("g")[: _N_REGISTERS * 16])
        return struct.unpack(f"<{_N_REGISTERS}Q", raw)

    def close(self) -> None:
        """Let the machine run alone."""
        with suppress(OSError):
            self.line.close()


class Poison:
    """Poisoned sectors of a running machine's persistent memory, until it is closed.

    `start` is the physical address of its first byte, `copy` the kernel's function that loads.
    """

    def __init__(self, path: Path, start: int, copy: int, sectors: range) -> None:
        self.start, self.sectors = start, sectors
        self.n_injected = 0
        self.problem: BaseException | None = None
        self._closing = False
        self.debugger = Debugger(path)
        try:
            self.debugger.answer()  # the machine has stopped
            code = bytes.fromhex(self.debugger.ask(f"m{copy:x},{CODE_BYTES:x}"))
            at = code.find(LOAD_OF_WORD)
            if at < 0:
                raise HarnessError(f"{COPY} is not as it is known")
            self.load = copy + at
            self._break(True)
            self.debugger.send("c")
        except BaseException:
            self.debugger.close()
            raise
        self.watch = threading.Thread(target=self._watch, daemon=True)
        self.watch.start()

    def close(self) -> None:
        """Let the machine run without, as soon as it is between two loads."""
        self._closing = True
        with suppress(OSError):
            self.debugger.line.sendall(INTERRUPT)
        self.forget()
        if self.problem is not None:
            raise HarnessError(f"the emulator's debugger: {self.problem}")

    def forget(self) -> None:
        """Give everything back; the machine has ended, or goes on without."""
        self.watch.join(SECONDS)
        self.debugger.close()

    def _watch(self) -> None:
        """Meet each load until the machine ends, or is to go on without."""
        self.debugger.line.settimeout(None)
        try:
            while self.debugger.answer()[:1] in "TS":
                if self._load_is_next():
                    continue
                if self._closing:
                    self._break(False)
                    self.debugger.ask("D")
                    return
                self.debugger.send("c")
        except OSError:
            pass  # the machine has ended
        except (HarnessError, ValueError) as problem:
            self.problem = problem

    def _load_is_next(self) -> bool:
        """Let a load end, one way or the other, if the machine has stopped before one."""
        registers = self.debugger.registers()
        if registers[_RIP] != self.load:
            return False
        place = registers[_RSI] - DIRECT_MAP
        poisoned = (place - self.start) // SECTOR_BYTES in self.sectors
        if poisoned:
            words = f"0 0 {_STATUS:#x} {_RESTARTABLE} {place:#x} {_WHOLE_PAGE:#x}"
            self.debugger.monitor(f"mce {words}")
            self.n_injected += 1
        # One step: with what interrupts it, or without.
        self.debugger.ask(f"Qqemu.sstep={STEP if poisoned else STEP | NOTHING_ELSE:#x}")
        self._break(False)
        self.debugger.ask("s")
        self._break(True)
        self.debugger.send("c")
        return True

    def _break(self, wanted: bool) -> None:
        """Stop before each load, or do not."""
        self.debugger.ask(f"{'Z' if wanted else 'z'}0,{self.load:x},1")

"""Builds the few pieces of C that run within other programs: an emulator, a user-mode kernel.

What was built is kept in the user's cache directory by its source, so that the compiler is needed
once.
"""

import hashlib
import os
import subprocess
from pathlib import Path

from .errors import KernelUnavailable
from .suites import cache_root

COMPILERS = ("cc", "gcc", "clang")
COMPILER_SECONDS = 120
FLAGS = ("-O2", "-shared", "-fPIC", "-fvisibility=hidden")


def shared_object(source: Path, what: str, *flags: str) -> Path:
    """Return the shared object of a C file, built if this source was not yet.

    `what` is its name in a message. KernelUnavailable says why it cannot be built.
    """
    text = source.read_bytes()
    built = cache_root().parent / "plugins" / f"{hashlib.sha256(text).hexdigest()[:16]}.so"
    if built.exists():
        return built
    built.parent.mkdir(parents=True, exist_ok=True)
    partial = built.with_suffix(f".{os.getpid()}")
    for compiler in COMPILERS:
        try:
            done = subprocess.run(
                [compiler, *FLAGS, *flags, "-o", str(partial), str(source)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=COMPILER_SECONDS,
            )
        except FileNotFoundError:
            continue
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KernelUnavailable(f"{compiler}: {error}") from None
        if done.returncode:
            complaint = (done.stderr.strip().splitlines() or ["?"])[0]
            raise KernelUnavailable(f"{compiler} does not build {what}: {complaint}")
        partial.replace(built)
        return built
    raise KernelUnavailable(f"no C compiler (gcc) to build {what} with")

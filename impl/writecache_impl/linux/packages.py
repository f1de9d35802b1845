"""Downloads packages with the host's own apt-get, without root and without a trace.

apt-get runs on lists, caches and a status file of its own in a temporary directory; the mirror, and
the keys that sign it, are those of the host's configuration.
"""

import os
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path

from .errors import KernelUnavailable

Report = Callable[[str], None]
APT_SECONDS = 600


def run_tool(command: list[str], where: Path | None = None) -> str:
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
    lines = run_tool(["apt-get", "indextargets", "--format", fields]).splitlines()
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


class Archive:
    """A release's packages, as one mirror has them."""

    def __init__(self, release: str, site: str, keyring: str, here: Path) -> None:
        (here / "lists" / "partial").mkdir(parents=True)
        (here / "cache" / "archives" / "partial").mkdir(parents=True)
        option = f"[signed-by={keyring}] " if keyring else ""
        (here / "sources.list").write_text(f"deb {option}{site} {release} main\n")
        self.here = here
        self.apt = ["apt-get", "-q"]
        for setting in (
            f"Dir::State::Lists={here}/lists",
            f"Dir::Etc::SourceList={here}/sources.list",
            f"Dir::Cache={here}/cache",
            *(f"Dir::Etc::{part}=/dev/null" for part in ("SourceParts", "Preferences")),
            *("Dir::Etc::PreferencesParts=/dev/null", "Dir::State::Status=/dev/null"),
            *("APT::Sandbox::User=root", "Acquire::Languages=none", "Acquire::Retries=2"),
            *("Acquire::http::Timeout=30", "APT::Update::Error-Mode=any"),
        ):
            self.apt += ["-o", setting]
        run_tool([*self.apt, "update"])

    def closure(self, package: str) -> list[str]:
        """Return the names of a package and of all that it needs, on a machine without any."""
        command = [*self.apt, "--print-uris", "--no-install-recommends", "install", package]
        lines = run_tool(command).splitlines()
        # 'URI' FILE SIZE HASH, where FILE is NAME_VERSION_ARCHITECTURE.deb
        return [line.split()[1].partition("_")[0] for line in lines if line.startswith("'")]

    def download(self, packages: Iterable[str]) -> list[Path]:
        """Download packages, without what they need."""
        run_tool([*self.apt, "download", *packages], self.here)
        return sorted(self.here.glob("*.deb"))


def download(
    release: str, choose: Callable[[Archive], Iterable[str]], work: Path, report: Report
) -> list[Path]:
    """Download the packages chosen from an archive, with the first mirror that has them."""
    refusals: list[str] = []
    for number, (site, keyring) in enumerate(mirrors()):
        try:
            report("package lists")
            archive = Archive(release, site, keyring, work / f"apt-{number}")
            packages = list(choose(archive))
            few = " and ".join(packages) if len(packages) < 3 else f"{len(packages)} packages"
            report(f"downloading {few}")
            return archive.download(packages)
        except KernelUnavailable as refusal:
            refusals.append(str(refusal))
    raise KernelUnavailable(f"{release} cannot be fetched: {refusals[0]}")


def unpack(debs: Iterable[Path], root: Path) -> None:
    """Unpack packages over each other into a directory."""
    for deb in debs:
        run_tool(["dpkg-deb", "-x", str(deb), str(root)])


def version_of(debs: Iterable[Path], package: str) -> str:
    """Return the version of the package whose name begins like this."""
    found = next(deb.name for deb in debs if deb.name.startswith(package))
    return found.split("_")[1].replace("%3a", ":")
